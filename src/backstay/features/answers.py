"""What an online lookup answers, row by row: values with their statuses and ages, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.views import Status

_NAMES = [status.name for status in Status]


@dataclass(frozen=True, slots=True)
class OnlineRow(Shown):
    """The features of one entity at T: values (null as None, times as microseconds), statuses and ages by name.

    ages: microseconds from the last event that a value was made of to T; None where there is none
    """

    at: int
    values: dict[str, Any]
    statuses: dict[str, str]
    ages: dict[str, int | None]


def online_rows(lookup: OnlineLookup, asked: Sequence[Asked]) -> list[OnlineRow]:
    """Look rows up together, in one round trip and from one snapshot; an answer each, in their order."""
    if not asked:
        return []
    found = lookup.lookup(asked)
    names = [feature.name for feature in lookup.features]
    values, statuses, ages = found.rows.values(), found.rows.statuses.tolist(), found.ages().tolist()
    return [
        OnlineRow(
            one.at,
            dict(zip(names, value, strict=True)),
            {name: _NAMES[code] for name, code in zip(names, status, strict=True)},
            {name: None if micros < 0 else micros for name, micros in zip(names, age, strict=True)},
        )
        for one, value, status, age in zip(asked, values, statuses, ages, strict=True)
    ]
