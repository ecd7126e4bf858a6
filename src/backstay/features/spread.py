"""The sample standard deviation from exact sums, with twice the precision where differences cancel.

With n values, s = sum of x and q = sum of x squared, the variance is (n q - s s) / (n (n - 1)). Both sums are exact
here (a square is a float and the rounding error of it, Dekker 1971); the difference is taken in pairs of floats, good
to about 2**-100 of n q, so that values which differ by less than 2**-47 of their size count as equal: a constant has
exactly 0. Where a product leaves the range of floats (values beyond 1e145 or so) the deviation is null; values below
1e-150 in size count as equal.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import Any

import numpy as np

from backstay.features.exact import Floats, Ints

Two = tuple[Any, Any]
"""A number as the float nearest to it, and what is left: arrays, or plain floats."""

_SPLIT = 2.0**27 + 1
_NONE = 2.0**-95


@np.errstate(over="ignore", invalid="ignore")
def squares(values: Floats) -> Two:
    """Each value squared: the nearest float, and its rounding error; NaN where it is beyond the floats."""
    square, error = _times(values, values)
    beyond = ~np.isfinite(error) | ~np.isfinite(square)
    return np.where(beyond, np.nan, square), np.where(beyond, np.nan, error)


@np.errstate(over="ignore", invalid="ignore")
def deviation(number: Ints, total: Two, square: Two, error: Two) -> Floats:
    """The sample standard deviation; NaN of fewer than two values.

    total: the sum of the values; square, error: the sums of the two parts of `squares`.
    """
    count = number.astype(np.float64)
    scaled, difference = _difference(count, total, square, error)
    difference = np.where(difference <= scaled * _NONE, 0.0, difference)  # NaN stays: it is beyond the floats
    pairs = np.where(number > 1, count * (count - 1.0), np.nan)
    return np.sqrt(difference / pairs)


def deviation_of(number: int, total: Two, square: Two, error: Two) -> float:
    """The same of plain numbers."""
    if number < 2:
        return nan
    count = float(number)
    scaled, difference = _difference(count, total, square, error)
    if difference != difference:
        return nan
    return 0.0 if difference <= scaled * _NONE else sqrt(difference / (count * (count - 1.0)))


def _difference(count: Any, total: Two, square: Two, error: Two) -> tuple[Any, Any]:
    """n q, and n q - s s, of arrays or of plain numbers."""
    q = _plus(square, error)
    high, low = _times(count, q[0])
    scaled = _normal(high, low + count * q[1])
    high, low = _times(total[0], total[0])
    product = _normal(high, low + 2.0 * total[0] * total[1])
    return scaled[0], _plus(scaled, (-product[0], -product[1]))[0]


def _times(a: Any, b: Any) -> Two:
    product = a * b
    (ah, al), (bh, bl) = _split(a), _split(b)
    return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl


def _split(a: Any) -> Two:
    wide = _SPLIT * a
    high = wide - (wide - a)
    return high, a - high


def _plus(a: Two, b: Two) -> Two:
    high = a[0] + b[0]
    part = high - a[0]
    low = (a[0] - (high - part)) + (b[0] - part)
    return _normal(high, low + a[1] + b[1])


def _normal(high: Any, low: Any) -> Two:
    total = high + low
    return total, low - (total - high)
