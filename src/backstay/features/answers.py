"""What an online lookup answers, row by row: values with their statuses and ages, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstay.core.show import Shown
from backstay.definitions import FeatureSet
from backstay.features.lookup import Asked, OnlineLookup, Reached
from backstay.features.newest import Newest
from backstay.features.views import Status
from backstay.storage.ports import OnlineState

_NAMES = [status.name for status in Status]
_KEPT = 1_000
"""Different rows of statuses that are kept as mappings."""


class OnlineRow(msgspec.Struct, Shown, gc=False):  # a dataclass costs more than what is in it
    """The features of one entity at T: values (null as None, times as microseconds), statuses and ages by name.

    ages: microseconds from the last event that a value was made of to T; None where there is none
    """

    at: int
    values: dict[str, Any]
    statuses: dict[str, str]
    ages: dict[str, int | None]

    def as_dict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


class Answers:
    """Looks rows of one feature set up together, in one round trip and from one snapshot."""

    def __init__(self, features: FeatureSet, state: OnlineState, reached: Reached | None = None) -> None:
        reached = Reached() if reached is None else reached
        self._lookup = OnlineLookup(features, state, reached)
        self._newest = Newest.of(features, state, reached)
        self._names = [feature.name for feature in features]
        self._ageless = dict.fromkeys(self._names)  # names out of a mapping are taken faster than out of a list
        self._told: dict[bytes, dict[str, str]] = {}

    def rows(self, asked: Sequence[Asked]) -> list[OnlineRow]:
        """An answer for each, in their order."""
        if not asked:
            return []
        quick = self.quick([one.keys for one in asked], [one.at for one in asked])
        return self._general(asked) if quick is None else quick

    def quick(self, keys: Sequence[Mapping[str, Any]], at: Sequence[int]) -> list[OnlineRow] | None:
        """The same for feature sets without inputs; None where it takes the general way."""
        if self._newest is None or (ready := self._newest.answer(keys, at)) is None:
            return None
        row, ages, names = OnlineRow, dict.fromkeys, self._ageless
        return [
            row(
                moment, one.values.copy(), one.statuses.copy(),
                ages(names, moment - one.event_time if one.event_time >= 0 else None),
            )
            for one, moment in zip(ready, at, strict=True)
        ]  # fmt: skip

    def _general(self, asked: Sequence[Asked]) -> list[OnlineRow]:
        found = self._lookup.lookup(asked)
        names, rows = self._names, found.rows
        return [
            OnlineRow(
                one.at,
                dict(zip(names, values, strict=True)),
                self._statuses(codes).copy(),
                ages,
            )
            for one, values, codes, ages in zip(asked, rows.values(), rows.codes, found.ages(names), strict=True)
        ]

    def _statuses(self, codes: bytes) -> dict[str, str]:
        """By feature the status; rows mostly have the same ones."""
        told = self._told.get(codes)
        if told is None:
            if len(self._told) >= _KEPT:
                self._told.clear()
            told = self._told[codes] = {name: _NAMES[code] for name, code in zip(self._names, codes, strict=True)}
        return told
