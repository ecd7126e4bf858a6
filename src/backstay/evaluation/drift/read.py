"""A column as it comes, made one of two plain forms: numbers with NaN for what is missing, or words with null.

What does not fit its column (a word among numbers) is *mistyped*: it is counted apart, and never raises.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Numbers = NDArray[np.floating[Any]]

KINDS = ("number", "category", "flag")


def kind_of(values: Any) -> str:
    """What a column holds: "number", "category" (words) or "flag" (truth values). Of a mixture, what is most of it.

    >>> kind_of([1, 2.5, None]), kind_of(["a", None]), kind_of([True, None]), kind_of([1, 2, "three"])
    ('number', 'category', 'flag', 'number')
    """
    if isinstance(values, pl.Series):
        if values.dtype == pl.Boolean:
            return "flag"
        return "number" if values.dtype.is_numeric() or values.dtype.is_temporal() else "category"
    array = values if isinstance(values, np.ndarray) else _array(values)
    if array.dtype.kind != "O":
        return {"b": "flag", "U": "category", "S": "category"}.get(array.dtype.kind, "number")
    there = [one for one in array.tolist() if not _missing(one)]
    flags = sum(isinstance(one, (bool, np.bool_)) for one in there)
    numbers = sum(_is_number(one) for one in there)
    if flags and flags * 2 >= len(there):
        return "flag"
    return "number" if numbers * 2 >= len(there) else "category"


def numbers(values: Any) -> tuple[Numbers, Bools | None]:
    """Numbers with NaN for what is missing or mistyped, and which rows are mistyped (None: no row is).

    Floats stay what they are, float32 too; other numbers and truth values become float64; moments become microseconds.

    >>> numbers([1, None, "x", True])
    (array([ 1., nan, nan,  1.]), array([False, False,  True, False]))
    """
    if isinstance(values, pl.Series):
        if values.dtype.is_temporal():
            values = values.to_physical()
        if values.dtype.is_numeric() or values.dtype == pl.Boolean:
            wide = values if values.dtype in (pl.Float32, pl.Float64) else values.cast(pl.Float64)
            return wide.to_numpy(), None
        values = values.to_list()
    array = values if isinstance(values, np.ndarray) else _array(values)
    if array.dtype.kind == "f" and array.dtype.itemsize in (4, 8):
        return array, None
    if array.dtype.kind in "iubf":
        return array.astype(np.float64), None
    if array.dtype.kind in "mM":
        moments = array.astype(array.dtype.str[:2] + "8[us]").astype(np.float64)
        moments[np.isnat(array)] = np.nan
        return moments, None
    cells = array.tolist()
    wrong = np.array([not _missing(one) and not _is_number(one) for one in cells], bool)
    told = np.array([float(one) if _is_number(one) else math.nan for one in cells], np.float64)
    return told, wrong if wrong.any() else None


def words(values: Any) -> pl.Series:
    """Words with null for what is missing; whole numbers as such ("1", also of 1.0), truth values "true" and "false".

    >>> words(["a", None, 1.0, True, float("nan")]).to_list()
    ['a', None, '1', 'true', None]
    """
    if isinstance(values, pl.Series):
        if values.dtype in (pl.String, pl.Categorical, pl.Enum):
            return values.cast(pl.String)
        values = values.to_list()
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return pl.Series(values.tolist(), dtype=pl.String)
    cells = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return pl.Series([_word(one) for one in cells], dtype=pl.String)


def length(values: Any) -> int:
    """Rows of a column."""
    return len(values)


def _array(values: Any) -> NDArray[Any]:
    cells = list(values)
    out = np.empty(len(cells), object)
    for place, one in enumerate(cells):
        out[place] = one
    return out


def _word(one: Any) -> str | None:
    if _missing(one):
        return None
    if isinstance(one, (bool, np.bool_)):
        return "true" if one else "false"
    if isinstance(one, (float, np.floating)) and float(one).is_integer():
        return str(int(one))
    if isinstance(one, bytes):
        return one.decode("utf-8", "replace")
    return str(one)


def _missing(one: Any) -> bool:
    return one is None or (isinstance(one, (float, np.floating)) and math.isnan(one))


def _is_number(one: Any) -> bool:
    return isinstance(one, (int, float, np.integer, np.floating, np.bool_))
