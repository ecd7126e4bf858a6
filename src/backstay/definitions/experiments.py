"""An experiment: which versions answer side by side, by what they are compared, and when it ends. Pure data.

It is about versions, which no definition knows, so that it is started and not declared:

    Experiment("reminders", {"v7": 0.5}, Metric("payments.amount", better="higher", within="14d"))

The champion has what is left. Whoever takes part is drawn by lot, and stays with the version that the lot gave.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.names import check_name
from backstay.definitions.rollout import Guard

BOUNDED = ("outcome", "decisions", "errors", "brier")
"""Metrics of values between 0 and 1."""
LOSSES = ("errors", "brier", "log_loss")
"""Metrics that are better lower."""
LABELLED = ("outcome", "brier", "log_loss")
"""Metrics that wait for mature labels."""
ALLOCATIONS = ("fixed", "thompson", "epsilon")


@dataclass(frozen=True, slots=True)
class Metric:
    """What an experiment is about: one value an entity, the mean of its rows.

    name:   "outcome" (the label), "decisions" (the share of `true`), "log_loss" or "brier" (of mature labels),
            "errors" (rows without a score), or SOURCE.COLUMN: the sum of an event source's column
    better: "higher" or "lower"; may be left out of a loss
    within: of a source's column: of which events after the prediction, such as "14d"
    """

    name: str
    better: str = ""
    within: str = ""

    def __post_init__(self) -> None:
        where, column = f"metric {self.name!r}", "." in self.name
        if not column and self.name not in (*BOUNDED, *LOSSES):
            names = ", ".join(dict.fromkeys((*BOUNDED, *LOSSES)))
            raise DefinitionError(f"there is no {where}", where="Metric", expected=f"one of {names}, or SOURCE.COLUMN")
        if not self.better and self.name in LOSSES:
            object.__setattr__(self, "better", "lower")
        if self.better not in ("higher", "lower"):
            raise DefinitionError(
                f"better is {self.better!r}", where=where, expected="'higher' or 'lower'",
                fix="say which way this metric is better",
            )  # fmt: skip
        if column != bool(self.within):
            raise DefinitionError(
                f"within is {self.within!r}", where=where,
                expected="a span such as '14d' for a source's column, and none for any other metric",
            )  # fmt: skip
        if column:
            duration(self.within, where=where)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Of each value; None where there are none."""
        return (0.0, 1.0) if self.name in BOUNDED else None

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "better": self.better, "within": self.within}


@dataclass(frozen=True, slots=True)
class Experiment:
    """An A/B experiment of versions beside the champion.

    arms:       version ("v7") to its share of the entities, each above 0; the champion has the rest
    metric:     what is to become better
    guards:     what must not become worse (`Guard`); one that shows harm ends the experiment
    allocation: "fixed"; "thompson": an arm's share is the probability that it is the best; "epsilon": the best so far
                gets what is left by the others. The latter two draw the shares anew every `every`
    floor:      the least share that an arm has then; so that each goes on being seen, and can be judged
    every:      how long the shares stay as they are, at least, and how long the blocks are that arms are compared in
    covariate:  "before": the metric of the entity in the span `before` the start; or the name of a feature, as it was
                at the entity's first request. What it explains is taken out of the metric (CUPED); "": nothing
    margin:     a gain up to this is not worth it: success is a gain above
    effect:     the gain that it is to find; shown to be smaller, it is futile. 0: that is not asked
    at_most:    how long it may take
    early:      whether it ends as soon as success or futility is shown; if not, at `at_most`. Harm always ends it
    level:      how often all that is said of the metric, at all looks together, is true
    key:        the keys that entities are told apart by; by default all of the model's

    Raises `DefinitionError` for what makes no sense, `InputError` for what is no span.
    """

    name: str
    arms: Mapping[str, float]
    metric: Metric
    guards: Sequence[Guard] = (Guard("errors"),)
    allocation: str = "fixed"
    floor: float = 0.1
    every: str = "1d"
    covariate: str = ""
    before: str = "28d"
    margin: float = 0.0
    effect: float = 0.0
    at_most: str = "28d"
    early: bool = True
    level: float = 0.95
    key: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        where = f"experiment {check_name(self.name, 'experiment', where='Experiment')!r}"
        object.__setattr__(self, "guards", tuple(self.guards))
        object.__setattr__(self, "key", tuple(self.key))
        object.__setattr__(self, "arms", dict(self.arms))
        self._check_arms(where)
        self._check_numbers(where)
        if duration(self.every, where=where) > duration(self.at_most, where=where):
            raise DefinitionError(
                f"every {self.every}, at_most {self.at_most}", where=where, expected="an experiment of a block or more"
            )
        duration(self.before, where=where)

    def _check_arms(self, where: str) -> None:
        if not self.arms or "champion" in self.arms:
            raise DefinitionError(
                f"the arms are {', '.join(self.arms) or 'none'}", where=where,
                expected="versions beside the champion, which has what is left", fix='such as {"v7": 0.5}',
            )  # fmt: skip
        if not all(share > 0 for share in self.arms.values()) or not sum(self.arms.values()) < 1:
            raise DefinitionError(
                f"the shares are {dict(self.arms)}", where=where,
                expected="each above 0, together below 1: the champion is the arm to compare with",
            )  # fmt: skip
        if self.allocation not in ALLOCATIONS:
            raise DefinitionError(
                f"allocation {self.allocation!r}", where=where, expected=f"one of {', '.join(ALLOCATIONS)}"
            )
        if self.allocation == "thompson" and self.metric.bounds is None:
            raise DefinitionError(
                f"Thompson sampling of {self.metric.name!r}", where=where,
                expected=f"a metric between 0 and 1: {', '.join(BOUNDED)}", fix='allocation="epsilon", or "fixed"',
            )  # fmt: skip
        most = 1.0 / (len(self.arms) + 1)
        if self.allocation != "fixed" and not 0 < self.floor <= most:
            raise DefinitionError(
                f"floor {self.floor:g}", where=where, expected=f"above 0 and at most {most:.4g}, of so many arms"
            )

    def _check_numbers(self, where: str) -> None:
        if not all(0.0 <= one < math.inf for one in (self.margin, self.effect)):
            raise DefinitionError(
                f"margin {self.margin:g}, effect {self.effect:g}", where=where,
                expected="0 or more, in the metric's unit",
            )  # fmt: skip
        if self.effect and self.effect <= self.margin:
            raise DefinitionError(
                f"margin {self.margin:g}, effect {self.effect:g}", where=where, expected="an effect above the margin"
            )
        if not 0.5 < self.level < 1:
            raise DefinitionError(f"level {self.level:g}", where=where, expected="such as 0.95")
        if not all(isinstance(one, Guard) for one in self.guards):
            raise DefinitionError(f"guards {self.guards!r}", where=where, expected='guards, such as (Guard("errors"),)')

    @property
    def length(self) -> int:
        """How long it may take, in microseconds."""
        return duration(self.at_most, where=self.name)

    @property
    def block(self) -> int:
        """How long a block is, in microseconds."""
        return duration(self.every, where=self.name)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the ledger and JSON; `from_dict` takes them back."""
        plain = {name: getattr(self, name) for name in Experiment.__slots__}
        guards = [{"metric": one.metric, "margin": one.margin, "level": one.level} for one in self.guards]
        return {**plain, "metric": self.metric.as_dict(), "guards": guards, "key": list(self.key)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Experiment:
        """The experiment that these plain values are."""
        guards = tuple(Guard(**one) for one in told["guards"])
        return cls(**{**told, "metric": Metric(**told["metric"]), "guards": guards})
