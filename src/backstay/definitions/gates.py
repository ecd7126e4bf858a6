"""What a gate may ask beside the comparison: calibration, budgets of the serving runtime, parity. Pure data.

Each is declared in `GatePolicy`; what is not declared is not asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from backstay.core.errors import DefinitionError
from backstay.core.times import duration

METRICS = ("log_loss", "brier", "auc")
"""What a gate may compare or bound."""
REPRODUCIBLE = ("lineage", "exact")
"""What `GatePolicy.reproducible` may ask for."""

_UNITS = {"B": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|kB|MB|GB)")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What is said must be what happens, on the rows that judge. None: that one is not asked.

    slope: limits of Cox's slope of the log-odds; 1 is right, below it probabilities are too extreme
    level: how far from 0 the level of the log-odds may be, either way; 0.2 is about a fifth more or fewer cases
    error: the largest expected calibration error (ECE), what noise makes of it taken off
    """

    slope: tuple[float, float] | None = (0.8, 1.25)
    level: float | None = 0.2
    error: float | None = None

    def __post_init__(self) -> None:
        if self.slope is None and self.level is None and self.error is None:
            raise DefinitionError("nothing is asked", where="Calibrated", expected="a slope, a level or an error")
        if self.slope is not None and not (len(self.slope) == 2 and 0 < self.slope[0] < self.slope[1] < math.inf):
            raise DefinitionError(f"slope {self.slope}", where="Calibrated", expected="two limits, such as (0.8, 1.25)")
        for name, value in (("level", self.level), ("error", self.error)):
            if value is not None and not 0 < value < math.inf:
                raise DefinitionError(f"{name} {value}", where="Calibrated", expected="a number above 0")


@dataclass(frozen=True, slots=True)
class ServingBudget:
    """What a version may cost its server, measured on the files and in the runtime that serve. None: not asked.

    latency: the p99 of scoring one row, by the model and the rule in force, on the machine that judges
    size:    of all files that it is loaded from, such as "20MB", or bytes
    rows:    how often a row is scored; 1000 or more, for a p99 of fewer says little
    """

    latency: str | None = None
    size: str | int | None = None
    rows: int = 2_000

    def __post_init__(self) -> None:
        if self.latency is None and self.size is None:
            raise DefinitionError("nothing is asked", where="ServingBudget", expected="a latency or a size")
        if self.latency is not None and duration(self.latency, where="ServingBudget.latency") == 0:
            raise DefinitionError("latency is 0", where="ServingBudget", expected='a duration, such as "5ms"')
        if self.rows < 1_000:
            raise DefinitionError(f"rows {self.rows}", where="ServingBudget", expected="1000 or more")
        _ = self.bytes

    @property
    def bytes(self) -> int | None:
        """The size in bytes."""
        if self.size is None:
            return None
        if isinstance(self.size, int) and not isinstance(self.size, bool) and self.size > 0:
            return self.size
        found = _SIZE.fullmatch(self.size) if isinstance(self.size, str) else None
        if found is None or float(found[1]) <= 0:
            raise DefinitionError(
                f"size {self.size!r}", where="ServingBudget", expected='a number and a unit (B, kB, MB, GB): "20MB"'
            )
        return int(float(found[1]) * _UNITS[found[2]])


@dataclass(frozen=True, slots=True)
class Parity:
    """Features and scores that were served lately are the same, bit for bit, computed again from the events record.

    window:    how far back predictions are looked at
    sample:    so many of them are computed again at the most
    minimum:   with fewer than this many to compare, the answer is INSUFFICIENT
    max_stale: the share of them that may have been answered before an event that was already known had arrived
    """

    window: str = "7d"
    sample: int = 1_000
    minimum: int = 100
    max_stale: float | None = None

    def __post_init__(self) -> None:
        if duration(self.window, where="Parity.window") == 0:
            raise DefinitionError("window is 0", where="Parity", expected='a duration, such as "7d"')
        if not 1 <= self.minimum <= self.sample:
            raise DefinitionError(
                f"minimum {self.minimum}, sample {self.sample}", where="Parity",
                expected="at least one prediction, and a sample no smaller than the minimum",
            )  # fmt: skip
        if self.max_stale is not None and not 0 <= self.max_stale <= 1:
            raise DefinitionError(f"max_stale {self.max_stale}", where="Parity", expected="a share, 0 to 1")


def checked_bounds(bounds: Mapping[str, float], name: str) -> None:
    """`DefinitionError` unless each names a metric of a gate, and a number."""
    if not isinstance(bounds, Mapping):
        raise DefinitionError(
            f"{name}={bounds!r}", where="GatePolicy", expected="metrics and numbers", fix=f'{name}={{"auc": 0.7}}'
        )
    for metric, value in bounds.items():
        if metric not in METRICS:
            raise DefinitionError(f"{name} names {metric!r}", where="GatePolicy", expected=" or ".join(METRICS))
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DefinitionError(f"{name} of {metric} is {value!r}", where="GatePolicy", expected="a number")
