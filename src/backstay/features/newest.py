"""Online answers of feature sets that are nothing but latest values, several times faster than by the general way.

Once every event of an entity is visible, a later T changes nothing but ages, until a value expires. So an answer is
kept with the interval of T it holds for. It is given again while the view's watermark stands; when that has moved on,
while the entity's generation is the same. The last of a few events needs no kernel; many events, and corrections, are
asked of the one that everything is computed by. A T before all of an entity's events are visible is left to the
general way.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import polars as pl

from backstay.definitions import FeatureSet
from backstay.features.cells import NEVER
from backstay.features.lookup import Reached
from backstay.features.online import view_id, watermark_key
from backstay.features.packed import EVENT_TIME, GENERATION, HEADER, KNOWN_TIME, SEQUENCE, UNTIL, Packed, times
from backstay.features.prepared import history_of
from backstay.features.views import Status, ViewPlan
from backstay.storage.ports import OnlineState

KEPT = 50_000
"""Entities of a view whose answers are kept in memory, of about a kilobyte each."""
_FEW = 64
ALWAYS = -(2**63)

_encode = msgspec.msgpack.Encoder().encode
_OK, _NULL, _MISSING, _EXPIRED = (Status(code).name for code in range(4))


class _Last(msgspec.Struct, gc=False):  # fifty thousand of them are not for the collector to walk through
    """An entity's last event, once all are visible (from `since` on): the cells of its values, and their words.

    head: how the entity's value in the state begins
    """

    head: bytes
    since: int
    seen: bool
    event_time: int
    cells: Sequence[float]
    words: list[list[Any]]


class Ready(msgspec.Struct, gc=False):
    """An entity's answer for since <= T < until, found to be so when the view's watermark was `mark`."""

    last: _Last
    event_time: int
    since: int
    until: int
    values: dict[str, Any]
    statuses: dict[str, str]
    mark: bytes | None = None


class Newest:
    """Answers from one view, a feature set's only one."""

    @classmethod
    def of(cls, features: FeatureSet, state: OnlineState, reached: Reached) -> Newest | None:
        """None for a feature set of anything else than latest values of one view."""
        if len(features.views) != 1 or any(one.kind != "latest" for one in features):
            return None
        return cls(features, state, reached)

    def __init__(self, features: FeatureSet, state: OnlineState, reached: Reached) -> None:
        self._state, self._reached = state, reached
        self._plan = ViewPlan(features, 0)
        view = self._plan.view
        self._identity, self._keys = view_id(view), view.entity.keys
        self._lead, self._wide = times(view), len(view.values)
        self._step = self._lead + self._wide
        self._values = struct.Struct(f"<{self._wide}d")
        lead = f"{self._lead}q{8 * self._wide}x"
        self._leads = [struct.Struct(f"<{lead * number}") for number in range(_FEW + 1)]
        """by number of events, what takes the cells that lead their values"""
        self.names = [one.name for one in features]
        coded = np.cumsum([value.coded for value in view.values]) - 1
        kinds = {pl.Int64: int, pl.Datetime: int, pl.Boolean: bool}
        self._made = [
            (
                one.name, one.column, int(coded[one.column]) if view.values[one.column].coded else -1,
                kinds.get(one.dtype.base_type(), float), one.default,
                NEVER if one.max_age is None else one.max_age,
            )
            for one in features
        ]  # fmt: skip
        plain = len(self._made) > 1 and all(made[2:] == (-1, float, None, NEVER) for made in self._made)
        self._plain = itemgetter(*[made[1] for made in self._made]) if plain else None
        """takes the values out of the cells, where all are numbers that never expire and have no default"""
        self._fine = dict.fromkeys(self.names, _OK)
        self._mark_key = watermark_key(view.source.name, self._identity)
        self._mark: bytes | None = None
        self._moving = True
        """whether the watermark had changed when it was read last: then all is asked for at once, in one round trip"""
        self._lasting = all(one.max_age is None for one in features)
        self._since = ALWAYS  # of all answers that are kept, and have been
        self._statuses: dict[tuple[str, ...], dict[str, str]] = {}
        self._ready: dict[Any, Ready] = {}
        """by entity; of one whose answer holds still no key of the state is made"""
        self._never = self._answer(_Last(b"", ALWAYS, False, -1, [np.nan] * self._wide, []), 0)

    def answer(self, rows: Sequence[Mapping[str, Any]], at: Sequence[int]) -> list[Ready] | None:
        """What holds for each row's entity at its T; None if one of them has to be computed the general way.

        `KeyError` where a row lacks a key.
        """
        entities = self._entities(rows)
        named = [one for one in entities if one is not None]
        if len(named) == len(entities):
            return self._read(named, at)
        known = self._read(named, [moment for one, moment in zip(entities, at, strict=True) if one is not None])
        if known is None:
            return None
        found = iter(known)
        return [self._never if one is None else next(found) for one in entities]

    def _read(self, entities: Sequence[Any], at: Sequence[int]) -> list[Ready] | None:
        if not entities:
            return []
        mark = self._mark
        held = list(map(self._ready.get, entities))
        if not self._moving:
            unsure = [place for place, one in enumerate(held) if one is None or one.mark is not mark]
            now, some = self._fresh(mark, [entities[place] for place in unsure], [held[place] for place in unsure])
            if now is mark:
                if self._lasting and min(at) >= self._since:
                    return self._completed(entities, held, unsure, some, now, at)
                blobs = [None if one is None else one.last.head for one in held]
                for place, blob in zip(unsure, some, strict=True):
                    blobs[place] = blob
                return self._answers(entities, held, blobs, now, at)
        now, blobs = self._fresh(mark, entities, held)
        self._moving, self._mark = now is not mark, now
        return self._answers(entities, held, blobs, now, at)

    def _completed(
        self,
        entities: Sequence[Any],
        held: list[Ready | None],
        unsure: Sequence[int],
        blobs: Sequence[bytes | None],
        mark: bytes | None,
        at: Sequence[int],
    ) -> list[Ready] | None:
        """The answers where what is held holds at every T that is asked for, but at the `unsure` places."""
        if unsure:
            some = [entities[place] for place in unsure]
            told = self._answers(some, [held[place] for place in unsure], blobs, mark, [at[place] for place in unsure])
            if told is None:
                return None
            for place, one in zip(unsure, told, strict=True):
                held[place] = one
        return held  # type: ignore[return-value]  # each of them is there

    def _fresh(
        self, mark: bytes | None, entities: Sequence[Any], held: Sequence[Ready | None]
    ) -> tuple[bytes | None, list[bytes | None]]:
        """From one snapshot the view's watermark, which is `mark` itself if it is the same, and the entities' values,
        each of which is the head of what is held if that holds still."""
        heads = [None if one is None else one.last.head for one in held]
        identity, lone = self._identity, len(self._keys) == 1
        keys = [identity + _encode([one] if lone else one) for one in entities]  # as `entity_key` makes them
        before = self._reached.at(self._mark_key)
        now, *blobs = self._state.read([self._mark_key, *keys], have=[mark, *heads])
        if now is not mark or now is None:
            sequence = 0 if now is None else int.from_bytes(now[:8], "little")
            self._reached.saw(self._mark_key, self._plan.view.source.name, before, sequence)
        return now, blobs

    def _answers(
        self,
        entities: Sequence[Any],
        held: Sequence[Ready | None],
        blobs: Sequence[bytes | None],
        mark: bytes | None,
        at: Sequence[int],
    ) -> list[Ready] | None:
        out = []
        for entity, one, blob, moment in zip(entities, held, blobs, at, strict=True):
            if one is None or blob is not one.last.head or not one.since <= moment < one.until:
                if blob is None:
                    out.append(self._never)
                    continue
                last = self._last(blob) if one is None or blob is not one.last.head else one.last
                if moment < last.since:
                    return None
                one = self._keep(entity, self._answer(last, moment))
            one.mark = mark
            out.append(one)
        return out

    def _entities(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The entities, each by its key or its keys, of which a view has those of one type; None for one without."""
        if len(self._keys) == 1:
            (name,) = self._keys
            return [row[name] for row in rows]
        keys = [tuple([row[name] for name in self._keys]) for row in rows]
        return [None if None in one else one for one in keys]

    def _keep(self, entity: Any, one: Ready) -> Ready:
        if len(self._ready) >= KEPT and entity not in self._ready:
            self._ready.pop(next(iter(self._ready)), None)
        self._since = max(self._since, one.since)
        self._ready[entity] = one
        return one

    def _last(self, blob: bytes) -> _Last:
        _, complete_from, size = HEADER.unpack_from(blob)
        lead, number = self._lead, size // (8 * self._step)
        if 0 < number <= _FEW:
            leads = self._leads[number].unpack_from(blob, HEADER.size)
            if lead <= UNTIL or set(leads[UNTIL::lead]) == {NEVER}:
                happened = leads[EVENT_TIME::lead]
                event_time = max(happened)
                place = happened.index(event_time)
                if happened.count(event_time) > 1:  # at one moment, by known time, then by sequence
                    tied = [one for one, then in enumerate(happened) if then == event_time]
                    place = max(tied, key=lambda one: leads[one * lead + KNOWN_TIME : one * lead + SEQUENCE + 1])
                since = max(event_time + 1, complete_from, *leads[KNOWN_TIME::lead])
                cells = self._values.unpack_from(blob, HEADER.size + 8 * (place * self._step + lead))
                end = HEADER.size + size
                words = msgspec.msgpack.decode(blob[end:]) if len(blob) > end else []
                return _Last(blob[:GENERATION], since, True, event_time, cells, words)
        packed = Packed.read(blob, self._plan.view)
        times = packed.rows[:, EVENT_TIME] + 1, packed.rows[:, KNOWN_TIME]
        since = max(complete_from, *(int(column.max(initial=ALWAYS)) for column in times))
        if self._lead > UNTIL:
            until = packed.rows[:, UNTIL]
            since = max(since, int(until[until != NEVER].max(initial=ALWAYS)))
        answer = history_of(self._plan, packed).ask(np.zeros(1, np.int64), np.array([since]))
        seen, event_time = bool(answer.seen[0]), int(answer.event_time[0])
        return _Last(blob[:GENERATION], since, seen, event_time, answer.last[0].tolist(), packed.words)

    def _answer(self, last: _Last, at: int) -> Ready:
        """The answer at T, and for how long it holds: as `ViewPlan.compute` gives values and statuses."""
        since, until = last.since, NEVER
        if self._plain and last.seen and (whole := sum(last.cells)) == whole:  # NaN if one of them is
            numbers = dict(zip(self.names, self._plain(last.cells), strict=True))
            last.cells = ()  # this answer stays, at any T there is: they would only take memory
            return Ready(last, last.event_time, since, NEVER + 1, numbers, self._fine)
        values: dict[str, Any] = {}
        statuses: dict[str, str] = {}
        for name, column, coded, kind, default, max_age in self._made:
            cell = last.cells[column]
            status = _OK if cell == cell else _NULL
            if not last.seen:
                status = _MISSING
            elif max_age != NEVER:
                ends = last.event_time + max_age + 1
                if at >= ends:
                    status, since = _EXPIRED, max(since, ends)
                else:
                    until = min(until, ends)
            if status == _OK:
                values[name] = kind(cell) if coded < 0 else last.words[coded][int(cell)]
            else:
                values[name] = default if default is None or coded >= 0 else kind(default)
            statuses[name] = status
        shared = self._statuses.setdefault(tuple(statuses.values()), statuses)
        return Ready(last, last.event_time, since, until, values, shared)
