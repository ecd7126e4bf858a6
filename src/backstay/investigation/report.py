"""An **investigation**: the gap between offline and online quality, its causes in order, and the way from one to the
other, step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.evaluation.interval import Estimate, Interval
from backstay.investigation.verdicts import Cause, State, Verdict


@dataclass(frozen=True, slots=True)
class Quality(Shown):
    """One side's quality.

    value:    in the metric's unit, with its interval
    since, until: the rows were asked in [since, until), microseconds
    rows:     labelled rows that count
    maturity: the share of the rows whose labels are mature
    said:     where it comes from
    """

    value: Estimate
    since: int
    until: int
    rows: int
    maturity: float
    said: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "value": self.value.as_dict(), "since": instant_text(self.since), "until": instant_text(self.until),
            "rows": self.rows, "maturity": self.maturity, "said": self.said,
        }  # fmt: skip


class Step(NamedTuple):
    """One step of the waterfall from offline to online quality: what it is called, and by how much worse it gets."""

    label: str
    effect: Interval | None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Investigation(Shown):
    """Why online is worse than offline.

    metric:    as the gate has it; `larger`: whether larger is better
    offline:   on the rows that the version was judged on
    online:    as it was seen: on the labels that have arrived, as a dashboard would have it
    gap:       by how much online is worse, in the metric's unit: positive is worse
    verdicts:  one a cause, in the order of `Cause`
    waterfall: from offline to online; the steps sum to the gap
    material:  the effect from which a cause counts, in the metric's unit
    """

    model: str
    version: int
    metric: str
    larger: bool
    since: int
    until: int
    as_of: int
    offline: Quality
    online: Quality
    gap: Estimate
    material: float
    verdicts: tuple[Verdict, ...]
    waterfall: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def ranked(self) -> tuple[Verdict, ...]:
        """The causes that were found, the largest effect first."""
        found = [one for one in self.verdicts if one.state is State.FOUND]
        return tuple(sorted(found, key=lambda one: -(one.effect.estimate if one.effect else 0.0)))

    def of(self, cause: Cause) -> Verdict:
        """The verdict on a cause."""
        return next(one for one in self.verdicts if one.cause is cause)

    def __str__(self) -> str:
        """The gap, the causes that were found, and how many could not be told."""
        head = f"{self.model}, version {self.version}: {self.metric.replace('_', ' ')}"
        lines = [f"{head} offline {self.offline.value}, online {self.online.value}, worse by {self.gap}"]
        for place, one in enumerate(self.ranked, 1):
            lines += [f"{place}. {one.cause.words}, {one.surely}: {one.why}", f"   to do: {one.next}"]
        if not self.ranked:
            lines.append("no cause was found")
        blind = [one.cause.words for one in self.verdicts if one.state is State.CANNOT_TELL]
        return "\n".join([*lines, *([f"cannot tell: {', '.join(blind)}"] if blind else [])])

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "version": self.version, "metric": self.metric,
            "since": instant_text(self.since), "until": instant_text(self.until), "as_of": instant_text(self.as_of),
            "offline": self.offline.as_dict(), "online": self.online.as_dict(), "gap": self.gap.as_dict(),
            "material": self.material, "ranked": [one.cause.value for one in self.ranked],
            "verdicts": [one.as_dict() for one in self.verdicts],
            "waterfall": [
                {"step": one.label, "effect": None if one.effect is None else one.effect.as_dict(),
                 "cause": None if one.cause is None else one.cause.value}
                for one in self.waterfall
            ],
            "notes": list(self.notes),
        }  # fmt: skip
