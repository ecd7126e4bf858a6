"""Thresholds of 64 bits, as float32 that ask the same of a float32: see `convert`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def float32_floor(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each value.

    >>> float(float32_floor([0.1])[0]) <= 0.1 < float(np.float32(0.1))
    True
    """
    exact = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > exact, below, nearest).astype(np.float32)
