"""The four **states** of whatever is watched: an alarm needs an effect and evidence, and silence needs power.

>>> print(State.UNDERPOWERED)
UNDERPOWERED
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """OK: no effect that matters, and one would have been seen. DRIFT: an effect that matters, and evidence.
    UNDERPOWERED: too little to tell. NO_DATA: nothing at all."""

    OK = "OK"
    DRIFT = "DRIFT"
    UNDERPOWERED = "UNDERPOWERED"
    NO_DATA = "NO_DATA"
