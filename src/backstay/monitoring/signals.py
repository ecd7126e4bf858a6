"""A signal: that something about a model's inputs, scores or quality is not as it was, with effect and evidence.

Monitors give signals, incidents are made of them. A signal is about one thing, a column or a metric, in one closed
window; what has one cause and belongs together is decided by who groups them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.core.errors import InputError
from backstay.core.show import Shown, dated
from backstay.core.times import instant_text

DATA_QUALITY, SKEW, SCORE_DRIFT, INPUT_DRIFT = "data_quality", "skew", "score_drift", "input_drift"
ESTIMATED_LOSS, REALISED_LOSS = "estimated_loss", "realised_loss"
KINDS = (INPUT_DRIFT, DATA_QUALITY, SKEW, SCORE_DRIFT, ESTIMATED_LOSS, REALISED_LOSS)
LADDER = (DATA_QUALITY, SKEW, SCORE_DRIFT, ESTIMATED_LOSS, REALISED_LOSS)
"""The rungs of severity, from below: what is nearer to a customer's harm stands higher. Input drift stands on none: it
is harm only where it moves the scores or the quality."""


@dataclass(frozen=True, slots=True)
class Signal(Shown):
    """What a monitor found in one closed window.

    kind:      one of `KINDS`
    what:      the column or metric it is about, such as "distance", "score", "log_loss", "volume"
    state:     "DRIFT", or "OK" where a window is clean again after a signal: what incidents are resolved by
    effect:    in the unit of the kind: PSI of drifts, a share of rows of data quality and skew, the metric of losses
    threshold: the effect that the policy tolerates, in the same unit
    since:     since when it has been so, as far as windows show it: the first of them begins then; microseconds UTC
    window:    the closed window it was found in: from (with) and until (without), microseconds UTC
    evidence:  what the statement stands on: counts, p-values, limits; plain data
    cost:      the estimated cost of a day of it, in the policy's units; None if it cannot be told

    >>> day = 86_400_000_000
    >>> Signal("input_drift", "distance", "DRIFT", 0.31, 0.1, since=0, window=(0, day)).rung
    -1
    """

    kind: str
    what: str
    state: str
    effect: float
    threshold: float
    since: int
    window: tuple[int, int]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind={self.kind!r}", where="Signal", expected=f"one of {', '.join(KINDS)}")

    @property
    def rung(self) -> int:
        """Its place on the ladder of severity, the lowest 0; -1 where it stands on none."""
        return LADDER.index(self.kind) if self.kind in LADDER else -1

    @property
    def corrupts(self) -> bool:
        """Whether values themselves are wrong, so that nothing may be learned from them; in doubt they are."""
        return self.kind == DATA_QUALITY and bool(self.evidence.get("corrupts", True))

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "what": self.what, "state": self.state, "effect": self.effect,
            "threshold": self.threshold, "since": self.since, "window": list(self.window),
            "evidence": dict(self.evidence), "cost": self.cost,
        }  # fmt: skip

    def told(self) -> dict[str, Any]:
        """The same for whoever asks: moments as text. `as_dict` is what the ledger keeps."""
        window = [instant_text(at) for at in self.window]
        return {**dated(self.as_dict(), "since"), "window": window, "evidence": dated(self.evidence, "since")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Signal:
        """The signal that `as_dict` has written down."""
        start, end = data["window"]
        return cls(**{**data, "window": (start, end)})

    def __str__(self) -> str:
        return (
            f"{self.kind.replace('_', ' ')}: {self.what} {self.effect:.3g} (tolerated {self.threshold:.3g})"
            f" since {instant_text(self.since)[:10]}"
        )
