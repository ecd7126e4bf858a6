"""How large everything is, and where it lies: plain constants, the same for every side.

BENCH_SCALE=0.01 makes everything a hundredth, to try the bench itself; figures count at 1 only.
"""

from __future__ import annotations

import os
from pathlib import Path

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
DATA = Path(__file__).resolve().parent.parent / ".data" / f"features-{SCALE:g}"
HOME = DATA / "home"

SECOND, DAY = 1_000_000, 86_400_000_000
ENTITIES = 10_000
EVENTS = round(2_000_000 * SCALE)
LABELS = round(1_000_000 * SCALE)
FEW_LABELS = round(100_000 * SCALE)  # as many as either engine of Feast finishes
START = 1_704_067_200_000_000  # 2024-01-01, UTC
SPAN = 90 * DAY

SOURCES = ("clicks", "payments")
COLUMNS = ("a", "b", "c", "d", "e")
"""the values of an event of either source; ten features with two sources"""
WIDE = tuple(f"v{number}" for number in range(10))
"""the values of an entity's profile, which is read online"""

LATE = 0.05
"""the share of events that become known late"""
_WEIGHTS = [1 / rank for rank in range(1, ENTITIES + 1)]
ZIPF = [weight / sum(_WEIGHTS) for weight in _WEIGHTS]
"""how often each entity has an event, and is asked about"""
AVERAGES = (5, 50, 500)
AGGREGATES = ("count", "sum", "mean", "min", "max")


def window(average: int) -> int:
    """The window, in whole seconds, that holds so many events on average over the asked rows."""
    a_second = EVENTS / (SPAN / SECOND) * sum(weight * weight for weight in ZIPF)
    return round(average / a_second)
