"""Evaluations: what is known about the quality of versions, from rows that they have not learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.definitions import Model
from backstay.evaluation.decided import Costs
from backstay.evaluation.fairness import QUESTIONS, Answers
from backstay.evaluation.slices import Predicate
from backstay.features.backfill import Progress
from backstay.lifecycle.evaluating import EvaluationReport, evaluated
from backstay.lifecycle.fairness import (
    Chosen,
    VersionFairness,
    choose_criterion,
    criterion_of,
    declared_fairness,
    version_fairness,
)
from backstay.lifecycle.imbalance import ImbalanceReport, imbalance
from backstay.lifecycle.records import Records
from backstay.lifecycle.reweighing import with_reweighed
from backstay.lifecycle.scored import ScoredRows, scored_rows
from backstay.lifecycle.shadow import shadow_comparison
from backstay.lifecycle.slices import DAY, Pin, SliceReport, pin, pins, slices, unpin
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.rollout.shadow import ShadowComparison

Moment = str | int | None
"""A time as people write it or in microseconds; None: the default."""


class Evaluations:
    """`project.evaluations`. Times are given as `2013-04-01`, ISO 8601, or integer microseconds, UTC."""

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def rows(
        self,
        number: int,
        model: str | None = None,
        *,
        as_of: Moment = None,
        since: Moment = None,
        until: Moment = None,
    ) -> ScoredRows:
        """The rows that a version may be evaluated on, with its scores: see `scored_rows`."""
        chosen = self._model(model, "evaluate")
        return scored_rows(
            self._records, chosen, number, as_of=self._moment(as_of), since=_instant(since), until=_instant(until)
        )

    def shadow(
        self, number: int, model: str | None = None, *, since: Moment = None, until: Moment = None,
        as_of: Moment = None,
    ) -> ShadowComparison:  # fmt: skip
        """What a version said as a shadow, beside what was answered: scores, decisions, errors, time, quality."""
        return shadow_comparison(
            self._records, self._model(model, "compare shadows of"), number, since=_instant(since),
            until=_instant(until), as_of=self._moment(as_of),
        )  # fmt: skip

    def slices(
        self, number: int, model: str | None = None, *, as_of: Moment = None, since: Moment = None,
        until: Moment = None, find: bool = True, order: int = 2, loss: str = "log_loss", clusters: str = DAY,
        effect: float = 0.0, level: float = 0.95, seed: int = 0,
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> SliceReport:  # fmt: skip
        """Where a version is worse than elsewhere: its declared and pinned slices, and those that a search finds."""
        return slices(
            self._records, self._model(model, "evaluate"), number, as_of=self._moment(as_of), since=_instant(since),
            until=_instant(until), find=find, order=order, loss=loss, clusters=clusters, effect=effect, level=level,
            seed=seed, progress=progress,
        )  # fmt: skip

    def pin_slice(self, name: str, predicate: Predicate, model: str | None = None, *, why: str) -> Pin:
        """Watch a slice of a model from now on: it is always shown, and the gate lets no candidate be worse on it."""
        chosen = self._definitions.model(model)
        self._permits.model(chosen, "pin a slice of", "define")
        return pin(self._records, chosen, name, predicate, why)

    def unpin_slice(self, name: str, model: str | None = None, *, why: str) -> Pin:
        """Watch it no longer; the ledger keeps that it was, and why it is no longer."""
        chosen = self._definitions.model(model)
        self._permits.model(chosen, "unpin a slice of", "define")
        return unpin(self._records, chosen, name, why)

    def pinned_slices(self, model: str | None = None) -> list[Pin]:
        """The slices of a model that are watched."""
        return list(pins(self._records, self._model(model, "look at slices of")).values())

    def report(
        self,
        number: int,
        model: str | None = None,
        *,
        as_of: Moment = None,
        since: Moment = None,
        until: Moment = None,
        cost: tuple[float, float] | None = None,
        top: int | None = None,
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> EvaluationReport:
        """How good a version is, beside the champion: a record, and a page (`save`).

        cost: of a false alarm and of a missed case; top: how many of the rows can be looked at

        With where it is worse, and whom it falls on, if the model declares fairness and the actor may read the
        attributes.
        """
        chosen = self._model(model, "evaluate")
        declared = chosen.fairness
        may = declared is not None and self._permits.reads(declared.attributes.name)
        return evaluated(
            self._records, chosen, number, as_of=self._moment(as_of), since=_instant(since), until=_instant(until),
            costs=None if cost is None else Costs(*cost), k=top, attributes=may, progress=progress,
        )  # fmt: skip

    def fairness(
        self,
        number: int,
        model: str | None = None,
        *,
        by: Sequence[str] | None = None,
        as_of: Moment = None,
        since: Moment = None,
        until: Moment = None,
        reweigh: bool = False,
    ) -> VersionFairness:
        """The fairness of a version's decisions on the rows it may be evaluated on: see `evaluation.fairness`.

        by:      some of the attributes, by name or by the end of it (`race` for `person_race`); by default all
        reweigh: also train it on reweighed rows, and show what came of it beside the frontier

        `AccessError` without the role read_offline on the model's feature set and on that of its protected attributes.
        """
        chosen = self._model(model, "evaluate")
        attributes = declared_fairness(chosen).attributes.name
        self._permits.features(attributes, "read protected attributes of", "read_offline")
        rows = scored_rows(
            self._records, chosen, number, as_of=self._moment(as_of), since=_instant(since), until=_instant(until)
        )
        found = version_fairness(self._records, chosen, rows, by=by)
        return with_reweighed(self._records, chosen, rows, found) if reweigh else found

    def choose_criterion(
        self, model: str | None = None, *, why: str, criterion: str | None = None, **answers: str
    ) -> Chosen:
        """Record the primary criterion of fairness, with the actor's name: it is what the gate asks for from now on.

        answers:   to the questions of `evaluation.fairness.guide`: `kind` (by default the declared one), `capacity`,
                   `labels`, `feedback`
        criterion: another one than the guide proposes for them
        """
        one = self._definitions.model(model)
        self._permits.model(one, "choose the criterion of", "define")
        if unknown := sorted(answers.keys() - QUESTIONS.keys()):
            raise InputError(f"there is no question {unknown[0]!r}", expected=f"some of {', '.join(QUESTIONS)}")
        if answers and (kind := declared_fairness(one).kind) is not None:
            answers.setdefault("kind", kind)
        given = Answers(**{name: answers.get(name, "") for name in QUESTIONS}) if answers else None
        return choose_criterion(self._records, one, why=why, answers=given, criterion=criterion)

    def criterion(self, model: str | None = None, *, as_of: Moment = None) -> Chosen | None:
        """The criterion of fairness that was last recorded, and by whom."""
        return criterion_of(self._records, self._definitions.model(model), as_of=_instant(as_of))

    def imbalance(
        self,
        model: str | Model | None = None,
        *,
        as_of: Moment = None,
        folds: int = 3,
        costs: Costs | None = None,
        k: int | None = None,
        seed: int = 0,
        progress: Progress = lambda *_: None,
    ) -> ImbalanceReport:
        """Which way of dealing with imbalance to take for a model, and why: see `evaluation.imbalance`.

        model: by its name; or a `Model` that need not be declared, to ask before it is
        costs: what errors cost; without them decisions are compared by log loss
        k:     rows a day that can be looked at; by default as many as there are positives a day

        Each arm on each fold is a run. Interrupted or called again, with other costs too, it goes on where it was.
        """
        chosen = model if isinstance(model, Model) else self._definitions.model(model)
        self._permits.model(chosen, "try arms against imbalance for", "read_offline", "define")
        return imbalance(
            self._records, chosen, as_of=self._moment(as_of), folds=folds, costs=costs, k=k, seed=seed,
            progress=partial(progress, "arms by folds"),
        )  # fmt: skip

    def _model(self, model: str | None, what: str) -> Model:
        chosen = self._definitions.model(model)
        self._permits.model(chosen, what, "read_offline")
        return chosen

    def _moment(self, value: Moment) -> int:
        return self._records.clock.now() if value is None else instant(value, where="as_of")


def _instant(value: Moment) -> int | None:
    return None if value is None else instant(value, where="since, until")
