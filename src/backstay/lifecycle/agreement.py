"""How the logged values of one feature agree with those computed again, and the likely cause where they do not.

    match      the same bits and status
    stale      what the server's read watermark justifies, but not what was known at T
    mismatch   another value;   missing: the log has no value and the record one;   extra: the other way round

Stale values have one of two causes: a *late event* had not been appended when the server answered, and with *online
lag* it had, but was not applied yet. Anything else is a *default used* where there was a value, or a *bug*: the log,
the record or the code is not what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Feature
from backstay.features.rows import plain
from backstay.features.views import Status

Bools = npt.NDArray[np.bool_]


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
        2 |a - b| / (|a| + |b|), 0 where both are 0; None where no row has both. It is the consistency metric of
        Chronon's documentation."""
        return self._error / self._compared if self._compared else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "match": self.match, "stale": self.stale, "mismatch": self.mismatch, "missing": self.missing,
            "extra": self.extra, "defaults": self.defaults, "smape": self.smape,
            "causes": dict(self.causes.most_common()),
        }  # fmt: skip

    def add(self, feature: Feature, logged: Column, read: Column, known: Column, late: Bools) -> tuple[Bools, Bools]:
        """Count some rows; which differ from what was read, and which are stale.

        late: which rows missed nothing but events that came late.
        """
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
        self._count("online lag", stale & ~late)
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
        size = np.abs(a) + np.abs(b)
        self._error += float((2 * np.abs(a - b) / np.where(size == 0, 1.0, size)).sum())
        self._compared += len(a)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A feature's values and statuses for some rows."""

    values: pl.Series
    statuses: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, values: Sequence[Any] | pl.Series, statuses: npt.NDArray[np.uint8], like: pl.DataType) -> Column:
        """Logged values, which are plain, as a column of the recomputed type."""
        return cls(pl.Series(values, dtype=like, strict=True), statuses)

    @classmethod
    def again(cls, column: pl.Series, statuses: npt.NDArray[np.uint8]) -> Column:
        """Recomputed values, as they are logged."""
        return cls(plain(column), statuses)

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
