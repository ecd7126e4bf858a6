"""The sample standard deviation from exact sums: as floats where these tell it, and exactly where differences cancel.

With n values, s = sum of x and q = sum of x squared, the variance is (n q - s s) / (n (n - 1)). Both sums are exact
here (a square is a float and the rounding error of it, Dekker 1971). The difference is taken in pairs of floats, good
to about 2**-100 of n q; where it is below 2**-40 of that, of values that differ by a millionth of their size or less,
it is taken again in Python's integers, which lose nothing. So it is right to the last bits, and 0 of a constant.

Where a product leaves the range of floats (values beyond 1e145 or so) the deviation is null; a value below 2**-485
(1e-146) in size counts as 0, because its square is no pair of floats.
"""

from __future__ import annotations

from math import ldexp, nan, sqrt
from typing import Any

import numpy as np

from backstay.features.exact import Bools, Floats, Ints, quotient

Two = tuple[Any, Any]
"""A number as the float nearest to it, and what is left: arrays, or plain floats."""

Ratio = tuple[int, int]
"""A number as an integer, and the power of two that divides it."""

_SPLIT = 2.0**27 + 1
_CANCELS = 2.0**-40
_NOTHING = 2.0**-485


def squarable(values: Floats) -> Floats:
    """The values, with 0 for those whose squares are no pair of floats."""
    small = np.abs(values) < _NOTHING
    return np.where(small, 0.0, values) if small.any() else values


@np.errstate(over="ignore", invalid="ignore")
def squares(values: Floats) -> Two:
    """Each value squared: the nearest float, and its rounding error; NaN where it is beyond the floats."""
    square, error = _times(values, values)
    beyond = ~np.isfinite(error) | ~np.isfinite(square)
    return np.where(beyond, np.nan, square), np.where(beyond, np.nan, error)


@np.errstate(over="ignore", invalid="ignore")
def deviation(number: Ints, total: Two, square: Two, error: Two) -> tuple[Floats, Bools]:
    """The sample standard deviation, NaN of fewer than two values; and for which rows `exactly` is to say it.

    total: the sum of the values; square, error: the sums of the two parts of `squares`.
    """
    count = number.astype(np.float64)
    scaled, difference = _difference(count, total, square, error)
    pairs = np.where(number > 1, count * (count - 1.0), np.nan)
    cancels = (number > 1) & (scaled > 0) & (difference <= scaled * _CANCELS)  # not NaN: it is beyond the floats
    out = np.sqrt(difference / pairs)
    if cancels.any():
        alike = cancels & _alike(count, total, square, error)
        out[alike], cancels[alike] = 0.0, False
    return out, cancels


def _alike(count: Floats, total: Two, square: Two, error: Two) -> Any:
    """Which sums are those of one value, so often: found without Python's integers.

    Values whose sums are these lie so close to each other that each sum is a pair of floats, and not only near one.
    """
    mean = total[0] / count
    each = (mean, *_times(mean, mean))
    same = [
        (high == one[0]) & (low == one[1])
        for one, (high, low) in zip((total, square, error), (_times(count, part) for part in each), strict=True)
    ]
    return same[0] & same[1] & same[2]


def deviation_of(number: int, total: Two, square: Two, error: Two) -> tuple[float, bool]:
    """The same of plain numbers."""
    if number < 2:
        return nan, False
    count = float(number)
    scaled, difference = _difference(count, total, square, error)
    if scaled > 0 and difference <= scaled * _CANCELS:
        return nan, True
    return (sqrt(difference / (count * (count - 1.0))) if difference == difference else nan), False


def exactly(number: int, total: Ratio, square: Ratio, error: Ratio) -> float:
    """The same, of the sums as they are: nothing is rounded before the difference is."""
    power = max(2 * total[1], square[1], error[1])
    squared = (square[0] << power - square[1]) + (error[0] << power - error[1])
    difference = number * squared - (total[0] ** 2 << power - 2 * total[1])
    half = (difference.bit_length() - power) // 2  # so that neither the quotient nor its root leaves the floats
    return ldexp(sqrt(quotient(difference, power + 2 * half) / (number * (number - 1.0))), half)


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
