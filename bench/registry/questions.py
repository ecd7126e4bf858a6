"""What both sides of the probes are asked about: the same frame, the same changes of it, as many processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

ROWS, CHANGED = 20_000, 15_000
PROCESSES, ROUNDS = 8, 3


def frame() -> pl.DataFrame:
    """Twenty thousand orders: a number, a text, a moment and a flag each."""
    number = pl.int_range(ROWS, eager=True)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "size": (number * 7919 % 1000).cast(pl.Float64) / 8,
            "shop": "shop" + (number % 7).cast(pl.String),
            "paid": [start + timedelta(minutes=place) for place in range(ROWS)],
            "gift": number % 11 == 0,
        }
    )


class Touching:
    """What somebody may put in a pickle: it makes a file when the pickle is loaded."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self._file,)


def _cell(one: pl.DataFrame) -> pl.DataFrame:
    place = pl.int_range(pl.len()) == CHANGED
    return one.with_columns(size=pl.when(place).then(pl.lit(1e6)).otherwise(pl.col("size")))


DIGESTS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    f"the number in row {CHANGED:,} of {ROWS:,} changed": _cell,
    "every moment a year later": lambda one: one.with_columns(pl.col("paid").dt.offset_by("1y")),
    "every flag turned over": lambda one: one.with_columns(~pl.col("gift")),
    "the rows in the opposite order": lambda one: one.reverse(),
    "two columns renamed": lambda one: one.rename({"size": "weight", "shop": "place"}),
}
