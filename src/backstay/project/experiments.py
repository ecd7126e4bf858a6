"""The experiments of a project: `project.experiments`. Which version does better, by what customers do."""

from __future__ import annotations

from backstay.core.times import instant
from backstay.definitions import Model
from backstay.definitions.experiments import Experiment, Metric
from backstay.evaluation.decided import Costs
from backstay.lifecycle import experiments as control
from backstay.lifecycle.counterfactual import Counterfactual, counterfactual
from backstay.lifecycle.experiments import Look, Standing
from backstay.lifecycle.records import Records
from backstay.project.loading import Definitions
from backstay.project.permits import Permits


class Experiments:
    """Starts experiments, shows and stops them. That shares change, and that an experiment ends, is for `tick`.

    project.experiments.start(Experiment("reminders", {"v7": 0.5}, Metric("outcome", "lower")), why="fewer late ones?")
    print(project.experiments.show().conclusion)
    project.experiments.stop(why="the holidays begin")
    """

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def start(self, experiment: Experiment, model: str | None = None, *, why: str) -> Standing:
        """Start an experiment of a model, and set its route.

        Raises `RefusedError` while another experiment, a rollout or anything else has a share of the route, and for a
        version whose gate answered FAIL; `InputError` for what makes no sense.
        """
        one = self._definitions.model(model)
        self._permits.model(one, "start an experiment of", "promote")
        return control.start(self._records, one, experiment, sources=self._definitions.sources, why=why)

    def show(self, model: str | None = None, *, as_of: str | int | None = None) -> Look | None:
        """What the last experiment of a model shows, now or as it was known at a moment; None if there was none."""
        one = self._model(model)
        moment = None if as_of is None else instant(as_of, where="as_of")
        standing = control.last(self._records, one.name, as_of=moment)
        return None if standing is None else control.look(self._records, one, standing, as_of=moment)

    def history(self, model: str | None = None) -> list[Standing]:
        """Every experiment of a model, and how it ended; the first one first."""
        return control.history(self._records, self._model(model).name)

    def stop(self, model: str | None = None, *, why: str) -> Standing:
        """End the experiment of a model: its champion answers everybody again. What it showed is kept."""
        one = self._definitions.model(model)
        self._permits.model(one, "stop an experiment of", "promote")
        return control.stop(self._records, one, why)

    def counterfactual(
        self, threshold: float, metric: Metric | None = None, model: str | None = None, *, costs: Costs | None = None,
        since: str | int | None = None, until: str | int | None = None, as_of: str | int | None = None,
        clip: float | None = None,
    ) -> Counterfactual:  # fmt: skip
        """What another threshold would have been worth, from decisions that the route explored.

        metric: Metric("outcome", ...) or a source's column, whose mean is taken; or `costs` of wrong decisions
        clip:   the largest weight that a row may have: narrower, and biased by up to what is said

        Where too little was explored there is no number: `Insufficient` says why.
        """
        one = self._model(model)
        first, last, moment = (
            None if value is None else instant(value, where=name)
            for name, value in (("since", since), ("until", until), ("as_of", as_of))
        )
        return counterfactual(
            self._records, one, threshold, metric, sources=self._definitions.sources, costs=costs, since=first or 0,
            until=last, as_of=self._records.clock.now() if moment is None else moment, clip=clip,
        )  # fmt: skip

    def _model(self, name: str | None) -> Model:
        one = self._definitions.model(name)
        self._permits.model(one, "look at experiments of", "read_offline")
        return one
