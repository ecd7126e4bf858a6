"""Predictions to log: made of a number, so that each can be told from the others."""

from __future__ import annotations

from typing import Any

import msgspec

from backstay.storage.predictions import Prediction

NAMES = {"set": ("size", "name", "due")}
"""The features of the set that they were made of."""


def prediction(number: int, **changes: Any) -> Prediction:
    """The prediction with this number; its T is so many microseconds, and so is the time it was served at."""
    one = Prediction(
        id=f"{number:032x}",
        at=number,
        served_at=number,
        model="m",
        version="v" * 64,
        route="champion",
        propensity=0.5,
        feature_set="set",
        keys={"customer": f"c{number % 7}", "none": None},
        fields={"amount": number / 3},
        watermark={"orders": number},
        values=[number / 7, "text", None],
        statuses=b"\0\0\2",
        score=1 / (number + 1),
        decision=number % 2 == 0,
    )
    return msgspec.structs.replace(one, **changes)


def predicted(*numbers: int, **changes: Any) -> list[Prediction]:
    return [prediction(number, **changes) for number in numbers]


def numbers(predictions: Any) -> list[int]:
    """The numbers that they were made of."""
    return [int(one.id, 16) for one in predictions]
