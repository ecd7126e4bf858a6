"""Exact sums of floats, as prefix sums of integers.

A float is an integer times a power of two. Values are brought to one scale and cut into *limbs* of at most 40 bits; the
prefix sums of each limb are 64-bit integers without rounding, so the sum over any window is a difference of two rows of
them. It is rounded to a float once, to the nearest: what `math.fsum` returns, whatever the order of the values. How
many limbs there are, and which scale, depends on the values at hand; the result does not.

A prefix sum over many entities may wrap around 64 bits; the difference of two does not, as long as the sum of one
window fits, and limbs are made so narrow that it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Number = TypeVar("Number", np.int64, np.float64)

_ROOM = 62  # bits that a sum may take: one less than fit, and the sign
_LIMB = 40
_EXACT = 1 << 53  # whole numbers below are floats
_SIGNLESS = (1 << 63) - 1
_FEW = 64  # sums up to which Python's integers are faster


@dataclass(frozen=True, slots=True)
class Fixed:
    """Floats as integers: value = sum over k of limbs[:, k] * 2**(k * bits - scale). Limbs have shape (rows, limbs)."""

    limbs: Ints
    scale: int
    bits: int


def fixed(values: Floats, most: int) -> Fixed:
    """Finite floats in fixed point, so that the sum of any `most` of them fits its limbs."""
    room = _ROOM - max(most, 1).bit_length()
    largest = float(np.abs(values).max()) if len(values) else 0.0
    if largest < 2.0**room:
        whole = values.astype(np.int64)
        if (whole == values).all():
            return Fixed(whole[:, None], 0, room)
    lowest, highest = _exponents(values)
    if highest - lowest <= room:
        return Fixed(_scaled(values, -lowest).astype(np.int64)[:, None], -lowest, room)
    bits = min(_LIMB, room)
    limbs = np.empty((-(-(highest - lowest) // bits), len(values)), np.int64).T  # each in one piece
    rest = values
    for place in reversed(range(limbs.shape[1])):
        part = np.trunc(_scaled(rest, -lowest - place * bits))
        rest = rest - _scaled(part, place * bits + lowest)
        limbs[:, place] = part
    return Fixed(limbs, -lowest, bits)


def taken(rows: npt.NDArray[Number], places: Ints) -> npt.NDArray[Number]:
    """The columns at these places, row by row: what NumPy does for a row, it does without the interpreter's lock."""
    out = np.empty((len(rows), *places.shape), rows.dtype)
    for row, into in zip(rows, out, strict=True):
        row.take(places, out=into, mode="clip")  # another mode would take a copy
    return out


def _exponents(values: Floats) -> tuple[int, int]:
    """Powers of two between which all bits of all values lie."""
    bits = values.view(np.int64) if values.flags.c_contiguous else values.copy().view(np.int64)
    bits = bits & np.int64(_SIGNLESS)
    if not bits.all():
        bits = bits[bits != 0]
    exponent = bits >> 52
    smallest, largest = int(exponent.min()), int(exponent.max())
    used = int(np.bitwise_or.reduce(bits)) & (1 << 52) - 1
    unused = (used & -used).bit_length() - 1 if used else 52  # bits that end no mantissa
    # Numbers too small for a mantissa of their own have the exponent of the smallest that has one.
    return max(smallest, 1) - 1075 + unused, max(largest, 1) - 1022


def _scaled(values: Floats, power: int) -> Floats:
    """values * 2**power; a product where that is one, which is several times faster than `ldexp`."""
    if -1022 <= power <= 1023:
        return values * 2.0**power
    return np.ldexp(values, power)


def rounded(totals: Ints, scale: int | Ints, bits: int) -> Floats:
    """Sums of limbs, shape (..., limbs), each to its nearest float. `scale`: one for all, or one a row."""
    if totals.shape[-1] == 1:
        out = totals[..., 0].astype(np.float64)
        return out if isinstance(scale, int) and not scale else np.ldexp(out, -scale)
    if totals.size <= _FEW * totals.shape[-1]:
        return _in_python(totals, scale, bits)
    if totals.shape[-1] == 2 and isinstance(scale, int) and -900 < scale < 900:
        low, high = totals[..., 0], totals[..., 1]
        high = high + (low >> bits)
        if high.max(initial=0) < _EXACT and high.min(initial=0) > -_EXACT:
            # Both are floats exactly, so that their sum is rounded once.
            return high * 2.0 ** (bits - scale) + (low & ((1 << bits) - 1)) * 2.0**-scale
    negative, limbs = _magnitude(totals, bits)
    size = _leading(limbs, bits, scale)
    return np.where(negative, -size, size)


def _in_python(totals: Ints, scale: int | Ints, bits: int) -> Floats:
    """The same for few sums, with Python's integers, whose quotient is the nearest float too."""
    whole = integers(totals.reshape(-1, totals.shape[-1]), bits)
    powers = [scale] if isinstance(scale, int) else scale.ravel().tolist()
    each = len(whole) // len(powers) if powers else 1  # sums that share a scale stand together
    out = np.array([quotient(total, powers[place // each]) for place, total in enumerate(whole)], np.float64)
    return out.reshape(totals.shape[:-1])


def integers(totals: Ints, bits: int) -> list[int]:
    """Sums of limbs, shape (rows, limbs), as Python's integers, each times the scale's power of two."""
    out = []
    for limbs in totals.tolist():
        total = 0
        for limb in reversed(limbs):
            total = (total << bits) + limb
        out.append(total)
    return out


def quotient(total: int, power: int) -> float:
    """total / 2**power, to the nearest float."""
    try:
        return total / (1 << power) if power >= 0 else float(total << -power)
    except OverflowError:
        return float("inf") if total > 0 else float("-inf")


def quotient_in_two(total: int, power: int) -> tuple[float, float]:
    """total / 2**power as the nearest float, and what is left of it as the nearest float: twice the precision."""
    high = quotient(total, power)
    if high in (float("inf"), float("-inf")):
        return high, 0.0
    top, bottom = high.as_integer_ratio()
    over, under = (1 << power, 1) if power >= 0 else (1, 1 << -power)
    return high, (total * under * bottom - top * over) / (bottom * over)


def in_two(totals: Ints, scale: int | Ints, bits: int) -> tuple[Floats, Floats]:
    """Sums as the nearest float, and what is left of it as the nearest float: twice the precision."""
    high = rounded(totals, scale, bits)
    rest = np.zeros((*totals.shape[:-1], totals.shape[-1] + 2), np.int64)
    rest[..., :-2] = totals
    left, bits = high, bits if totals.shape[-1] > 1 else _LIMB
    if totals.shape[-1] == 1:  # one wide limb: cut it like the others, so that a difference has room
        rest[..., 0], rest[..., 1] = totals[..., 0] & ((1 << bits) - 1), totals[..., 0] >> bits
    for place in reversed(range(rest.shape[-1])):
        part = np.trunc(np.ldexp(left, scale - place * bits))
        left = left - np.ldexp(part, place * bits - scale)
        rest[..., place] -= part.astype(np.int64)
    return high, rounded(rest, scale, bits)


def _magnitude(totals: Ints, bits: int) -> tuple[Bools, Ints]:
    """The sign, and the limbs of the absolute value, each in [0, 2**bits); two zeros below, room for carries above."""
    limbs = np.zeros((*totals.shape[:-1], totals.shape[-1] + 4), np.int64)
    limbs[..., 2:-2] = totals
    negative = _carried(limbs, bits)[..., -1] < 0
    if negative.any():
        limbs[..., 2:-2] = np.where(negative[..., None], -totals, totals)
        limbs[..., -2:] = 0
        _carried(limbs, bits)
    return negative, limbs


def _carried(limbs: Ints, bits: int) -> Ints:
    for place in range(2, limbs.shape[-1] - 1):
        carry = limbs[..., place] >> bits
        limbs[..., place] -= carry << bits
        limbs[..., place + 1] += carry
    return limbs


def _leading(limbs: Ints, bits: int, scale: int | Ints) -> Floats:
    """The nearest float of normalised limbs: their first 62 bits, the last of which tells whether anything follows."""
    used = limbs != 0
    top = np.maximum(limbs.shape[-1] - 1 - np.argmax(used[..., ::-1], axis=-1), 2)
    bottom = np.argmax(used, axis=-1)
    first, second, third = (_at(limbs, top - below) for below in range(3))
    shift = 62 - np.frexp(first.astype(np.float64))[1].astype(np.int64)
    shift = np.where(first == 0, 0, shift)
    over = np.maximum(shift - bits, 0)  # bits taken of the third limb
    under = np.maximum(bits - shift, 0)  # bits of the second limb that are left over
    number = (first << shift) | ((second << over) >> under) | (third >> (bits - over))
    left = (second & ((np.int64(1) << under) - 1)) | (third & ((np.int64(1) << (bits - over)) - 1))
    number |= (left != 0) | ((bottom < top - 2) & (first != 0))
    out: Floats = np.ldexp(number.astype(np.float64), (top - 2) * bits - scale - shift)
    return out


def _at(limbs: Ints, place: Ints) -> Ints:
    return np.take_along_axis(limbs, place[..., None], axis=-1)[..., 0]
