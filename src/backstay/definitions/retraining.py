"""When a model is trained again, and on what. Pure data; `monitoring.triggers` decides by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstay.core.errors import DefinitionError
from backstay.core.times import duration

CADENCE, PSI, ESTIMATED, REALISED, VOLUME = "cadence", "psi", "estimated", "realised", "volume"
REASONS = (REALISED, ESTIMATED, PSI, VOLUME, CADENCE)
"""What a training may be due by, the weightiest first: where several are, that one is told."""


@dataclass(frozen=True, slots=True)
class RetrainPolicy:
    """When to train a candidate, and on which rows.

    every:      the cadence: so long after the newest version was trained
    window:     on all mature rows since so long back; None: on all history
    retrain_on: what makes a training due, one or several of

                "cadence"    `every` has passed
                "realised"   mature labels show that the model is worse than it was, by more than its monitor tolerates
                "estimated"  the same, estimated while labels are not there yet
                "psi"        an input drifts by `psi` or more. Not by default: an input that moved is no harm yet, and
                             opens an incident only
                "volume"     `rows` new mature rows have come

    psi:        the population stability index for "psi"; 0.2 is a large shift by the common rule
    rows:       for "volume": how many rows with a mature label must have come since the newest version
    cooldown:   what is due by anything but the cadence waits so long after the newest version

    While a data-quality incident is open nothing is trained, whatever is due: corrupt data teach wrongly, and would be
    the next reference. A model with high stakes is trained, and its version waits for a person.
    """

    every: str = "7d"
    window: str | None = None
    retrain_on: str | Sequence[str] = (CADENCE, REALISED, ESTIMATED)
    psi: float = 0.2
    rows: int | None = None
    cooldown: str = "7d"

    def __post_init__(self) -> None:
        where = "RetrainPolicy"
        duration(self.every, where=f"{where}.every")
        duration(self.cooldown, where=f"{where}.cooldown")
        if self.window is not None:
            duration(self.window, where=f"{where}.window")
        if not isinstance(self.retrain_on, str | Sequence):
            raise DefinitionError(f"retrain_on={self.retrain_on!r}", where=where, expected="one reason or several")
        given = (self.retrain_on,) if isinstance(self.retrain_on, str) else tuple(self.retrain_on)
        object.__setattr__(self, "retrain_on", given)
        unknown = [one for one in given if one not in REASONS]
        if unknown:
            raise DefinitionError(
                f"retrain_on={unknown[0]!r}", where=where, expected=f"of {', '.join(map(repr, REASONS))}",
                fix='for example retrain_on=("cadence", "psi")',
            )  # fmt: skip
        if not (isinstance(self.psi, int | float) and 0 < self.psi < float("inf")):
            raise DefinitionError(f"psi {self.psi!r}", where=where, expected="above 0, such as 0.2")
        if (VOLUME in given) != (self.rows is not None) or (self.rows is not None and self.rows < 1):
            raise DefinitionError(
                f"retrain_on={given}, rows={self.rows}", where=where,
                expected='"volume" with a number of rows, or neither',
                fix='retrain_on=("cadence", "volume"), rows=10000',
            )  # fmt: skip
