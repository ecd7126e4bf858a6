"""How the logged values of one feature agree with those computed again, and the likely cause where they do not.

    match      the same bits and status
    stale      what the server's read watermark justifies, but not what was known at T
    mismatch   another value;   missing: the log has no value and the record one;   extra: the other way round

Stale values have one of two causes: a *late event* had not been appended when the server answered, and with *online
lag* it had, but was not applied yet. Where the record does not show which, both are named. Anything else is a *default
used* where there was a value, or a *bug*: the log, the record or the code is not what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Feature
from backstay.features.rows import plain
from backstay.features.views import Status

Bools = npt.NDArray[np.bool_]
Timing = tuple[Bools, Bools]


@dataclass(slots=True)
class Agreement:
    """Counts of one feature's values by category, and of the likely causes of those that are no match.

    defaults: how many logged values were declared defaults
    """

    match: int = 0
    stale: int = 0
    mismatch: int = 0
    missing: int = 0
    extra: int = 0
    defaults: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    _error: float = 0.0
    _compared: int = 0

    @property
    def smape(self) -> float | None:
        """The symmetric mean absolute percentage error of logged against known values, 0 to 2: the mean over rows of
        2 |a - b| / (|a| + |b|), 0 where both are equal, infinite ones too, and 2 where one of two that differ is not
        finite; None where no row has both. It is the consistency metric of Chronon's documentation."""
        return self._error / self._compared if self._compared else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "match": self.match, "stale": self.stale, "mismatch": self.mismatch, "missing": self.missing,
            "extra": self.extra, "defaults": self.defaults, "smape": self.smape,
            "causes": dict(self.causes.most_common()),
        }  # fmt: skip

    def add(self, feature: Feature, logged: Column, read: Column, known: Column, timing: Timing) -> tuple[Bools, Bools]:
        """Count some rows; which differ from what was read, and which are stale.

        timing: which rows missed nothing but events that came late, and which missed one that had been appended.
        """
        late, in_time = timing
        same = logged.same(read)
        stale = same & ~logged.same(known) if known is not read else np.zeros(len(same), bool)
        differs = ~same
        missing = differs & ~logged.there & read.there
        extra = differs & logged.there & ~read.there
        self.match += int((same & ~stale).sum())
        self.stale += int(stale.sum())
        self.missing += int(missing.sum())
        self.extra += int(extra.sum())
        self.mismatch += int((differs & ~missing & ~extra).sum())
        if feature.default is not None:
            self.defaults += int((~logged.there & logged.values.is_not_null().to_numpy()).sum())
        self._count("late event", stale & late)
        self._count("online lag", stale & in_time)
        self._count("late event or online lag", stale & ~late & ~in_time)
        default = missing & (logged.values == feature.default).fill_null(value=False).to_numpy() if (
            feature.default is not None and missing.any()
        ) else np.zeros(len(same), bool)  # fmt: skip
        self._count("default used", default)
        self._count("bug", differs & ~default)
        self._measure(logged, known)
        return differs, stale

    def _count(self, cause: str, rows: Bools) -> None:
        if number := int(rows.sum()):
            self.causes[cause] += number

    def _measure(self, logged: Column, known: Column) -> None:
        if not logged.values.dtype.is_numeric():
            return
        both = logged.there & known.there
        both &= (logged.values.is_not_null() & known.values.is_not_null()).to_numpy()
        a, b = (one.values.cast(pl.Float64).to_numpy()[both] for one in (logged, known))
        self._error += float(_apart(a, b).sum())
        self._compared += len(a)


@np.errstate(invalid="ignore")
def _apart(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """2 |a - b| / (|a| + |b|); see `Agreement.smape`."""
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    a, b = a / 2, b / 2  # no sum of halves is too large for a float
    found = 2 * np.abs(a - b) / np.where(equal, 1.0, np.abs(a) + np.abs(b))
    return np.where(equal, 0.0, np.where(np.isfinite(found), found, 2.0))


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A feature's values and statuses for some rows. What is no number, condition or text is held as the log writes it
    down (a duration as text, say): bytes, which are equal where it is."""

    values: pl.Series
    statuses: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, values: Sequence[Any], statuses: npt.NDArray[np.uint8], like: pl.DataType) -> Column:
        """Logged values, which are plain, as a column of the recomputed type."""
        return cls(_written(values) if like == pl.Binary else pl.Series(values, dtype=like, strict=True), statuses)

    @classmethod
    def again(cls, column: pl.Series, statuses: npt.NDArray[np.uint8]) -> Column:
        """Recomputed values, as they are logged."""
        values = plain(column)
        kept = values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.String)
        return cls(values if kept else _written(values.to_list()), statuses)

    def told(self, row: int) -> dict[str, Any]:
        """The value and status of one row, for people."""
        value = self.values[row]
        if isinstance(value, bytes):
            value = msgspec.msgpack.decode(value)
        shown = value if value is None or isinstance(value, (bool, int, str)) or _finite(value) else repr(value)
        return {"value": shown, "status": Status(self.statuses[row]).name}

    @property
    def there(self) -> Bools:
        """Which rows have a value of their own, not a default."""
        ok: Bools = self.statuses == Status.OK
        return ok

    def same(self, other: Column) -> Bools:
        """Which rows have the same bits and status."""
        equal: Bools = _bits(self.values).eq_missing(_bits(other.values)).to_numpy() & (self.statuses == other.statuses)
        return equal


def _bits(column: pl.Series) -> pl.Series:
    """Floats by their bits, so that NaN equals itself and 0.0 differs from -0.0."""
    return column.reinterpret(signed=True) if column.dtype.is_float() else column


def _written(values: Sequence[Any]) -> pl.Series:
    """Values as the log writes them down: the same bytes whether they are read from it or computed again."""
    return pl.Series([None if value is None else msgspec.msgpack.encode(value) for value in values], dtype=pl.Binary)


def _finite(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isfinite(value))
