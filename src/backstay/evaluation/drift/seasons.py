"""Seasons: the weekdays, hours and months (UTC) that rows fall into, so that a Sunday can be held against Sundays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstay.core.errors import InputError

Ints = NDArray[np.int64]

SEASONS = {"hour": 24, "weekday": 7, "month": 12}
"""Cells of each season: hours from 0, weekdays from Monday as 0, months from January as 0; all UTC."""
_HOUR, _DAY = 3_600_000_000, 86_400_000_000


def season_cells(season: str, since: int, until: int) -> list[int]:
    """The weekdays, hours or months (UTC) that the time from `since` up to `until` (microseconds) touches.

    >>> season_cells("weekday", 0, 2 * 86_400_000_000)  # from Thursday, the first of January 1970
    [3, 4]
    """
    step = _HOUR if season == "hour" else _DAY
    most = since + 400 * _DAY  # a year holds every season
    last = min(until, most) - 1
    moments = np.unique(np.append(np.arange(since, last, step), last)) if until > since else np.empty(0, np.int64)
    return sorted(set(_season(season, np.asarray(moments, np.int64)).tolist()))


def _season(season: str, at: Ints) -> NDArray[np.intp]:
    if season not in SEASONS:
        raise InputError(f"there is no season {season!r}", where="season", expected=", ".join(SEASONS))
    if season == "hour":
        return np.asarray(at // _HOUR % 24, np.intp)
    if season == "weekday":
        return np.asarray((at // _DAY + 3) % 7, np.intp)
    return np.asarray(at.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12, np.intp)


def season_counts(codes: NDArray[np.intp], at: Ints, width: int) -> dict[str, Ints]:
    """How many rows fall into each cell in each weekday, hour and month. at: microseconds; codes: each row's cell."""
    found = {}
    for season, size in SEASONS.items():
        places = _season(season, at) * width + codes
        found[season] = np.bincount(places, minlength=size * width).reshape(size, width).astype(np.int64)
    return found
