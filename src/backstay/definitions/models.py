"""A model is a question asked of a feature set, and the estimator that learns to answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.experiments import Metric
from backstay.definitions.fairness import Fairness
from backstay.definitions.features import FeatureSet
from backstay.definitions.incidents import IncidentPolicy
from backstay.definitions.labels import Label
from backstay.definitions.monitors import Monitor, checked_monitor
from backstay.definitions.names import check_name
from backstay.definitions.objectives import Objective
from backstay.definitions.places import declared_at, located
from backstay.definitions.policies import DataPolicy, GatePolicy
from backstay.definitions.retraining import RetrainPolicy
from backstay.definitions.rollout import Rollout, checked_rollout
from backstay.definitions.slices import Slice, checked_slices
from backstay.definitions.sources import EventSource
from backstay.definitions.tuning import Tuning

_WATCHED = Monitor()


class Ask:
    """When the question is asked: for each event of `source`, at its event time minus `before`.

    `fields` says from which column of the source a request-time input comes, where the names differ
    (`{"scheduled_departure": "event_time"}`). Entity keys come from the columns of the same name.
    """

    def __init__(self, source: EventSource, *, before: str = "0s", fields: Mapping[str, str] | None = None) -> None:
        self.source, self.fields = source, dict(fields or {})
        self.before = duration(before, where=f"Ask({source.name})")


class Model:
    """A model to train, judge and serve.

    estimator: a function without arguments that returns a fresh scikit-learn-compatible classifier (a function, so that
               neither the server nor the command line imports a training library).
    threshold: a score at or above it is the decision `true`.
    runtime:   what keeps and serves its versions: "onnx", "lightgbm", "xgboost", "sklearn-pickle", or one of a package
               of yours. Versions that another one wrote go on being served by that one.
    data:      what a training set must be like, beside the one that was accepted last
    tuning:    which parameters of the estimator `backstay tune` searches
    objective: how fast and how reliably it is to answer, and why: servers count whether it does. It is no part of what
               a version is: changing it changes no hash.
    slices:    where it is looked at, and where the gate lets no candidate be worse; no part of what a version is
    fairness:  by which protected attributes its decisions are compared, and what the gate asks; in no hash
    rollout:   by which stages a version that passed its gate comes to answer everybody; None: at once. In no hash
    monitor:   how it is watched while it serves; None: it is not. In no hash
    incidents: what of it is one incident, whose it is, and where its runbook is; in no hash
    position:  the column of the asked rows that says at which place of a list the row was shown, 1 the first: what
               `backstay why` tells position bias by. It may be a request-time input, too. In no hash
    business:  the outcome that pays, a source's column within a span: what the label stands for. In no hash
    stakes:    "high": a version serves only after another person than its author has approved it
    trust_code: also load versions whose files can hold code, which runs then (pickles): say so only where nobody else
               can write to the records.
    """

    def __init__(
        self,
        name: str,
        *,
        features: FeatureSet,
        label: Label,
        ask: Ask,
        estimator: Callable[[], Any],
        threshold: float = 0.5,
        runtime: str = "onnx",
        trust_code: bool = False,
        gate: GatePolicy | None = None,
        retrain: RetrainPolicy | None = None,
        data: DataPolicy | None = None,
        tuning: Tuning | None = None,
        objective: Objective | None = None,
        slices: Sequence[Slice] = (),
        fairness: Fairness | None = None,
        rollout: Rollout | None = None,
        monitor: Monitor | None = _WATCHED,
        incidents: IncidentPolicy | None = None,
        position: str | None = None,
        business: Metric | None = None,
        stakes: str = "low",
        description: str = "",
    ) -> None:
        self.place = declared_at()
        self.name = check_name(name, "model")
        self.features, self.label, self.ask = features, label, ask
        self.estimator, self.threshold, self.description = estimator, threshold, description
        self.runtime, self.trust_code = runtime, trust_code
        self.gate = gate or GatePolicy()
        self.retrain = retrain or RetrainPolicy()
        self.data = data or DataPolicy()
        self.tuning, self.objective, self.stakes = tuning, objective, stakes
        self.incidents = IncidentPolicy() if incidents is None else incidents
        self._check_promised()
        self.slices = checked_slices(slices, {*features.keys, *(one.name for one in features)}, self.where)
        self.fairness, self.rollout = fairness, checked_rollout(rollout, self.keys, self.where)
        self.monitor = checked_monitor(monitor, self.keys, [one.name for one in features], self.where)
        if fairness is not None:
            fairness.check(self.keys, self.where)
        self.position, self.business = position, business
        self._check_asked()
        self._check_explained()

    def _check_promised(self) -> None:
        if self.objective is not None and not isinstance(self.objective, Objective):
            raise DefinitionError(
                f"objective={self.objective!r} is no objective", where=self.where, expected="Objective(...)",
                fix='write Objective(latency="50ms", why="...")',
            )  # fmt: skip
        if not isinstance(self.incidents, IncidentPolicy):
            raise DefinitionError(
                f"incidents={self.incidents!r} is no policy", where=self.where, expected="IncidentPolicy(...)",
                fix='write IncidentPolicy(owner="risk desk")',
            )  # fmt: skip
        if self.stakes not in ("low", "high"):
            raise DefinitionError(f"stakes={self.stakes!r}", where=self.where, expected='"low" or "high"')

    def _check_explained(self) -> None:
        """`DefinitionError` unless what `backstay why` is told of is there, and what trainings wait for is watched."""
        signalled = {"psi", "realised", "estimated"} & set(self.retrain.retrain_on)
        if self.monitor is None and signalled == set(self.retrain.retrain_on):
            raise DefinitionError(
                f"retrain_on={self.retrain.retrain_on!r}, and nothing is watched", where=self.where,
                expected='"cadence" or "volume" where monitor=None: the others are what a monitor says',
                fix="leave monitor=None out",
            )  # fmt: skip
        numbers = [name for name, kind in self.ask.source.schema.items() if kind.is_numeric()]
        if self.position is not None and self.position not in numbers:
            raise DefinitionError(
                f"position={self.position!r} is no column of numbers of the asked rows", where=self.where,
                expected=f"one of {', '.join(numbers) or 'its columns, of which none is a number'}",
                fix="add the column to the source's schema",
            )  # fmt: skip
        if self.business is not None and not (isinstance(self.business, Metric) and self.business.within):
            raise DefinitionError(
                f"business={self.business!r} is no outcome of a source", where=self.where,
                expected="a source's column within a span",
                fix='business=Metric("payments.amount", better="higher", within="14d")',
            )  # fmt: skip

    def _check_asked(self) -> None:
        """`DefinitionError` unless the asked rows have what features and label are looked up by."""
        features, label, ask = self.features, self.label, self.ask
        columns = {*ask.source.schema, "event_time"}
        needed = {*features.keys, label.key, *(ask.fields.get(f.name, f.name) for f in features.requests)}
        missing = sorted(needed - columns)
        if missing:
            raise DefinitionError(
                f"the asked rows have no column {missing[0]!r}",
                where=self.where,
                expected=f"source {ask.source.name!r} to have {sorted(needed)}",
                fix="add the column to the source's schema, or name another in Ask(fields=...)",
            )

    @property
    def where(self) -> str:
        """The model with its file and line, as errors name it."""
        return located(f"model {self.name!r}", self.place)

    @property
    def sources(self) -> list[EventSource]:
        """The sources that it reads, asks by, or is labelled and voided by."""
        label = self.label
        used = [*self.features.sources, self.ask.source, label.source, *([label.void] if label.void else [])]
        return list(dict.fromkeys(used))

    @property
    def keys(self) -> tuple[str, ...]:
        """What a request's `keys` hold: the entity keys and the label's key."""
        return tuple(dict.fromkeys((*self.features.keys, self.label.key)))

    def __repr__(self) -> str:
        return f"Model({self.name!r}, features={self.features.name!r}, label={self.label.name!r})"
