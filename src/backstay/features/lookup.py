"""Online lookup: the features of the requests in flight, from one consistent snapshot of the online state.

Prepared histories are kept in memory and used again as long as their generation in the state is the same, so a lookup
that finds nothing changed reads a few bytes an entity. Values are computed by the same kernel and row engine as
training sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import ConflictError, InputError
from backstay.core.times import instant_text
from backstay.definitions import FeatureSet
from backstay.features.history import Answer, History
from backstay.features.online import Packed, entity_key, unpack, view_id, watermark_key
from backstay.features.rows import RowEngine, Rows
from backstay.features.views import Computed, ViewPlan
from backstay.storage.ports import OnlineState

_HEADER_BYTES = 16
_CACHED = 100_000
_FIRST = np.zeros(64, np.int64)  # an entity's history has one segment


@dataclass(slots=True)
class Asked:
    """One request: entity keys, request-time fields (already of their types), and T."""

    keys: Mapping[str, Any]
    fields: Mapping[str, Any]
    at: int


@dataclass(slots=True)
class Found:
    """The features of some requests, in their order, and how far the state had read: per source the sequence."""

    rows: Rows
    watermark: dict[str, int]
    computed: list[Computed]


@dataclass(slots=True)
class _Prepared:
    generation: int
    complete_from: int
    history: History


class OnlineLookup:
    """Reads the features of one feature set from the online state."""

    def __init__(self, features: FeatureSet, state: OnlineState) -> None:
        self.features = features
        self._state = state
        self._engine = RowEngine(features)
        self._identities = [view_id(view) for view in features.views]
        self._marks = [
            watermark_key(view.source.name, identity)
            for view, identity in zip(features.views, self._identities, strict=True)
        ]
        self._prepared: dict[bytes, _Prepared] = {}
        self._requests = pl.Schema({feature.name: feature.dtype for feature in features.requests})

    def lookup(self, asked: Sequence[Asked]) -> Found:
        """The features of each request at its own T.

        Raises `InputError` for a T older than the state keeps.
        """
        keys = [
            self._keys(plan, identity, asked)
            for plan, identity in zip(self._engine.plans, self._identities, strict=True)
        ]
        watermark, histories = self._snapshot({key for per_view in keys for key in per_view if key is not None})
        at = np.array([one.at for one in asked], np.int64)
        computed = [
            self._compute(plan, per_view, at, histories)
            for plan, per_view in zip(self._engine.plans, keys, strict=True)
        ]
        return Found(self._engine.rows(computed, self._request_frame(asked)), watermark, computed)

    def _keys(self, plan: ViewPlan, identity: bytes, asked: Sequence[Asked]) -> list[bytes | None]:
        names = plan.view.entity.keys
        out: list[bytes | None] = []
        for one in asked:
            values = [one.keys[name] for name in names]
            out.append(None if None in values else entity_key(identity, values))
        return out

    def _snapshot(self, wanted: set[bytes]) -> tuple[dict[str, int], dict[bytes, _Prepared]]:
        order = list(wanted)
        blobs = self._state.read([*self._marks, *order])
        watermark: dict[str, int] = {}
        for view, blob in zip(self.features.views, blobs, strict=False):
            sequence = int.from_bytes(blob[:8], "little", signed=True) if blob else 0
            name = view.source.name
            if watermark.setdefault(name, sequence) != sequence:
                raise ConflictError(
                    f"the views of source {name!r} have been applied up to different events",
                    where=f"online state of feature set {self.features.name!r}",
                    fix="run: backstay features backfill",
                )
        found: dict[bytes, _Prepared] = {}
        for key, blob in zip(order, blobs[len(self._marks) :], strict=True):
            if blob is not None:
                found[key] = self._prepare(key, blob)
        return watermark, found

    def _prepare(self, key: bytes, blob: bytes) -> _Prepared:
        ready = self._prepared.get(key)
        if ready is not None and ready.generation == int.from_bytes(blob[:8], "little", signed=True):
            return ready
        view = self.features.views[self._identities.index(key[:8])]
        packed: Packed = unpack(blob, len(view.values))
        times = packed.times
        history = History(
            np.zeros(len(times), np.int64), times[:, 0].copy(), times[:, 1].copy(), times[:, 2], packed.values, 1
        )
        if len(self._prepared) >= _CACHED:
            self._prepared.clear()
        self._prepared[key] = ready = _Prepared(packed.generation, packed.complete_from, history)
        return ready

    def _compute(
        self,
        plan: ViewPlan,
        keys: Sequence[bytes | None],
        at: npt.NDArray[np.int64],
        histories: Mapping[bytes, _Prepared],
    ) -> Computed:
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            if key is not None and key in histories:
                places.setdefault(key, []).append(place)
        if len(places) == 1 and len(keys) == len(rows := next(iter(places.values()))):
            return plan.compute(self._ask(plan, histories[next(iter(places))], at, rows), at)
        answer = plan.nothing(len(at))
        for key, rows in places.items():
            answer.put(rows, self._ask(plan, histories[key], at[rows], rows))
        return plan.compute(answer, at)

    def _ask(self, plan: ViewPlan, ready: _Prepared, at: npt.NDArray[np.int64], rows: Sequence[int]) -> Answer:
        earliest = int(at.min()) if len(rows) > 1 else int(at[0])
        if earliest < ready.complete_from:
            raise InputError(
                f"T {instant_text(earliest)} is older than the online state keeps",
                where="at",
                expected=f"a time from {instant_text(ready.complete_from)} on",
                fix="compute old rows from the events record",
            )
        return ready.history.ask(
            _FIRST[: len(rows)] if len(rows) <= len(_FIRST) else np.zeros(len(rows), np.int64), at, plan.lengths
        )

    def _request_frame(self, asked: Sequence[Asked]) -> pl.DataFrame:
        if not self._requests:
            return pl.DataFrame({"": pl.Series([0] * len(asked))})
        columns = []
        for name, kind in self._requests.items():
            values = [one.fields[name] for one in asked]
            if isinstance(kind, pl.Datetime):
                columns.append(pl.Series(name, values, pl.Int64).cast(kind))
            else:
                columns.append(pl.Series(name, values, kind))
        return pl.DataFrame(columns)
