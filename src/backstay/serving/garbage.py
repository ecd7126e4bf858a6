"""The collector of cyclic garbage, kept from holding requests up.

Nearly everything a request makes is freed as soon as nothing refers to it. The collector looks for what is left, and
now and then at everything there is: with some thousand histories in memory, a pause of a tenth of a second. So what has
survived is taken out of its sight bit by bit, before there is much of it (`gc.freeze`). A cycle that was alive then and
is garbage now, such as the parts of a replaced model, is found by a look at everything, when nothing is in flight.
"""

from __future__ import annotations

import gc
from time import monotonic

_YOUNG, _MIDDLE, _NEVER = 10_000, 10, 1_000_000_000
"""New objects until the young are looked at; such looks until the middle-aged are; and everything on its own: never."""
_STEPS = 3
_EVERYTHING, _AT_LATEST = 600.0, 6 * 3600.0
"""Seconds until everything is looked at if nothing is in flight, and even if something is."""


class Garbage:
    """Takes over from the collector's own schedule."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()  # what is loaded now lives as long as the server
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
        self._looked = monotonic()

    def tick(self, *, idle: bool) -> None:
        """Called several times a second. `idle`: whether nothing is in flight."""
        since = monotonic() - self._looked
        if since > _AT_LATEST or (idle and since > _EVERYTHING):
            gc.unfreeze()
            self._looked = monotonic()
        elif gc.get_count()[2] < _STEPS:
            return
        gc.collect()
        gc.freeze()
