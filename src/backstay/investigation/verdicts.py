"""A **verdict** says of one possible cause whether it makes online quality worse than offline, and by how much.

There are twelve causes, always looked at in the order of `Cause`, and three answers. *Cannot tell* is one of them: what
was not logged cannot be looked at, and the verdict names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from backstay.core.show import Shown
from backstay.evaluation.interval import Interval


class Cause(StrEnum):
    """What can make a model worse online than it was offline, in the order in which it is looked at."""

    STALE = "stale_feature"
    UNITS = "unit_change"
    DEFAULT = "wrong_default"
    TIME_ZONE = "time_zone_shift"
    LATE_JOIN = "late_join"
    LABEL_DELAY = "label_delay"
    COVARIATE = "covariate_shift"
    CONCEPT = "concept_shift"
    POSITION = "position_bias"
    POLICY = "policy_mismatch"
    FEEDBACK = "feedback_loop"
    PROXY = "proxy_mismatch"

    @property
    def words(self) -> str:
        """For people.

        >>> Cause.TIME_ZONE.words
        'time zone shift'
        """
        return self.value.replace("_", " ")


class State(StrEnum):
    """What a verdict says. FOUND: the effect is shown to be material. NOT_FOUND: it was looked at, and is not.
    CANNOT_TELL: what it takes was not logged, or there are too few rows."""

    FOUND = "FOUND"
    NOT_FOUND = "NOT_FOUND"
    CANNOT_TELL = "CANNOT_TELL"


FIXES: Mapping[Cause, str] = {
    Cause.STALE: "bring the online state up with the events: push as they happen, alarm on the source's freshness, and "
    "give the feature a max_age, so that what is old is EXPIRED and not served as new",
    Cause.UNITS: "convert where the value enters, and put the unit into the source's contract (a range that another "
    "unit breaks), so that the next change goes to quarantine and not into a score",
    Cause.DEFAULT: "backfill the online state of these entities before they are served (backstay features backfill), "
    "train with the default where it will be served, and alarm on the share of defaults",
    Cause.TIME_ZONE: "send times with their zone (UTC), declare the source's timezone, and refuse naive times at the "
    "door",
    Cause.LATE_JOIN: "declare known_time, or the delay with which events really become known, and train again: then no "
    "training row uses what was not known at its T",
    Cause.LABEL_DELAY: "measure mature cohorts only, or weight by the chance of having arrived (backstay quality); set "
    "horizon and delay to what the labels really take",
    Cause.COVARIATE: "train on rows like those now asked about (a shorter window, or weights), add rows from where "
    "there was no support, and let the drift trigger retrain",
    Cause.CONCEPT: "train again on rows since the change, with a shorter window or a shorter cadence, and look for an "
    "input that tells the new state",
    Cause.POSITION: "log the position, weight outcomes by the chance of being looked at when training and evaluating, "
    "and swap a small share of positions at random to know that chance",
    Cause.POLICY: "explore: let a small share of decisions be drawn by lot (backstay route explore), and evaluate "
    "offline with the logged chances (IPS, doubly robust), not on the rows that an earlier policy let through",
    Cause.FEEDBACK: "keep a share of traffic out of the model's own influence (exploration or a holdout), and train on "
    "rows weighted by the chance of having been chosen",
    Cause.PROXY: "judge by the outcome that pays: put it into experiments and the gate, or find a proxy that moves "
    "with it over experiments",
}
"""What is to be built so that a cause does not come back."""


@dataclass(frozen=True, slots=True)
class Verdict(Shown):
    """One cause, and what the records say about it.

    effect:   by how much it makes online quality worse, in the metric's unit, with its interval: positive is worse.
              None where it cannot be told
    share:    the effect as a share of the gap; None where there is no gap to share
    why:      a sentence with the numbers behind it
    evidence: the numbers
    features: which inputs it is about, the one with the largest effect first
    rows:     ids of the predictions that show it best
    next:     what to do: the architectural fix, where it is found; what to log, where it cannot be told
    sure:     how sure it is that the effect is above what is material, 0 to 1, all looks counted; 0 unless it is found
    """

    cause: Cause
    state: State
    why: str
    effect: Interval | None = None
    share: float | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    next: str = ""
    sure: float = 0.0

    @property
    def found(self) -> bool:
        return self.state is State.FOUND

    @property
    def surely(self) -> str:
        """How sure it is, in a word.

        >>> Verdict(Cause.STALE, State.FOUND, "", sure=0.9999).surely
        'almost certain'
        """
        if not self.found:
            return ""
        return "almost certain" if self.sure >= 0.999 else "very likely" if self.sure >= 0.99 else "likely"

    def as_dict(self) -> dict[str, Any]:
        return {
            "cause": self.cause.value, "state": self.state.value, "why": self.why,
            "effect": None if self.effect is None else self.effect.as_dict(), "share": self.share, "sure": self.sure,
            "features": list(self.features), "rows": list(self.rows), "next": self.next, "evidence": self.evidence,
        }  # fmt: skip


def cannot_tell(cause: Cause, why: str, *, log: str = "", **evidence: Any) -> Verdict:
    """That a cause can't be looked at: `why` says what is missing, `log` what would have to be logged."""
    return Verdict(cause, State.CANNOT_TELL, f"cannot tell: {why}", evidence=evidence, next=log)
