"""Online lookup: the features of the requests in flight, from one consistent snapshot of the online state.

Prepared histories are kept in memory and used again as long as their generation in the state is the same, so a lookup
that finds nothing changed reads a few bytes an entity. Values are computed by the same kernel and row engine as
training sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from backstay.core.errors import BackstayError, ConflictError, InputError
from backstay.core.times import instant_text
from backstay.definitions import FeatureSet, View
from backstay.features.few import FewEngine, FewRows
from backstay.features.online import entity_key, view_id, watermark_key
from backstay.features.plainly import Cells, PlainView
from backstay.features.prepared import Prepared
from backstay.features.views import Status, ViewPlan
from backstay.storage.ports import OnlineState

KEPT_BYTES = 150_000_000
"""Of prepared histories that are kept in memory, roughly."""
STRANGERS = 100_000
"""Of how many entities it is kept that the store has never seen them."""


class Unavailable(BackstayError):  # noqa: N818 - a state of the store, not a mistake
    """The online state cannot be asked: it is down, or too slow."""


class Reached:
    """How far the online state was seen to be: the sequence, by the key of a watermark. All lookups of a process share
    one. It never goes back unless the state was lost, as where a server of it starts again without its data."""

    def __init__(self, sequences: Mapping[bytes, int] | None = None) -> None:
        self._sequences = dict(sequences or {})

    def at(self, mark: bytes) -> int:
        """To be asked before the state is read: meanwhile others may see more."""
        return self._sequences.get(mark, 0)

    def saw(self, mark: bytes, source: str, before: int, now: int) -> None:
        """Raise `Unavailable` if the state, which had been at `before`, has less now: what it holds is not all."""
        if now < before:
            raise Unavailable(
                f"the online state has lost events of source {source!r}: it had seen {before} of them, and now {now}",
                where="online state",
                fix="run: backstay features backfill; where the events themselves are those of a backup, restart what "
                "asks",
            )
        if now > self._sequences.get(mark, 0):
            self._sequences[mark] = now


@dataclass(slots=True)
class Asked:
    """One request: entity keys, request-time fields (already of their types), and T."""

    keys: Mapping[str, Any]
    fields: Mapping[str, Any]
    at: int


@dataclass(slots=True)
class Found:
    """The features of some requests, in their order, and how far the state had read: per source the sequence."""

    rows: FewRows
    watermark: dict[str, int]
    cells: list[Cells]
    at: Sequence[int]
    places: list[list[int]]
    degraded: str = ""
    """the policy by which they were made without the store: "last_known" or "defaults"; then no watermark is known"""

    def ages(self, names: Sequence[str]) -> list[dict[str, int | None]]:
        """By feature, how old a value's last event was at T, in microseconds: a row each; None where there is none.

        names: of all features, in their order
        """
        nothing = dict.fromkeys(names)
        out: list[dict[str, int | None]] = [nothing.copy() for _ in self.at]
        for one, places in zip(self.cells, self.places, strict=True):
            told = [names[place] for place in places]
            for row, at, then in zip(out, self.at, one.event_time, strict=True):
                if then >= 0:
                    row.update(dict.fromkeys(told, at - then))
        return out


class OnlineLookup:
    """Reads the features of one feature set from the online state."""

    def __init__(self, features: FeatureSet, state: OnlineState, reached: Reached | None = None) -> None:
        self.features = features
        self._state = state
        plans = [ViewPlan(features, view) for view in range(len(features.views))]
        self._engine = FewEngine(features, plans)
        self._identities = [view_id(view) for view in features.views]
        self._plans = dict(zip(self._identities, plans, strict=True))
        self._plain = [PlainView(plan) for plan in plans]
        self._marks = [
            watermark_key(view.source.name, identity)
            for view, identity in zip(features.views, self._identities, strict=True)
        ]
        self._no_heads = [b""] * len(self._marks)
        self._reached = Reached() if reached is None else reached
        self._prepared: dict[bytes, Prepared] = {}
        self._counted: dict[bytes, int] = {}
        """the bytes that each takes, when that was counted last; their sum is kept"""
        self._kept = 0
        self._strangers: dict[bytes, None] = {}
        """whom the store had never seen when it was asked last, the latest of them"""
        self._room = Lock()
        self._places = [
            [place for place, one in enumerate(features) if one.view == view] for view in range(len(features.views))
        ]
        self._requests = [feature.name for feature in features.requests]
        self._views = list(zip(features.views, self._identities, strict=True))

    def lookup(self, asked: Sequence[Asked]) -> Found:
        """The features of each request at its own T.

        Raises `InputError` for a T older than the state keeps.
        """
        keys = [self._keys(view, identity, asked) for view, identity in self._views]
        wanted = {key: None for per_view in keys for key in per_view if key is not None}
        watermark, histories = self._snapshot(wanted)
        return self._found(asked, keys, histories, watermark)

    def degraded(self, asked: Sequence[Asked], why: Unavailable) -> Found:
        """The features of each request without the store, by the policy that the feature set declares.

        last_known: of the histories that were read last and are still in memory, at each request's T. Whom the store
                    had never seen then is MISSING. A history that was never read, or is no longer kept, raises `why`:
                    nothing is known of that entity.
        defaults:   the declared defaults; null where none is declared
        fail:       raises `why`
        """
        policy = self.features.on_failure
        if policy == "defaults":
            cells = [Cells.unavailable(len(asked), len(plan.features)) for plan in self._plans.values()]
            return self._rows(asked, cells, {}, policy)
        if policy != "last_known":
            raise why
        keys = [self._keys(view, identity, asked) for view, identity in self._views]
        histories = {key: self._prepared.get(key) for per_view in keys for key in per_view if key is not None}
        known = {key: one for key, one in histories.items() if one is not None}
        if any(one is None and key not in self._strangers for key, one in histories.items()):
            raise why
        return self._found(asked, keys, known, {}, policy)

    def _found(
        self,
        asked: Sequence[Asked],
        keys: Sequence[Sequence[bytes | None]],
        histories: Mapping[bytes, Prepared],
        watermark: dict[str, int],
        degraded: str = "",
    ) -> Found:
        at = [one.at for one in asked]
        cells = [
            self._cells(plain, plan, per_view, at, histories)
            for plain, plan, per_view in zip(self._plain, self._plans.values(), keys, strict=True)
        ]
        if degraded:
            for one in cells:
                one.marked(Status.OK, Status.LAST_KNOWN)
        return self._rows(asked, cells, watermark, degraded)

    def _rows(self, asked: Sequence[Asked], cells: list[Cells], watermark: dict[str, int], degraded: str) -> Found:
        fields = [[one.fields[name] for name in self._requests] for one in asked]
        rows = self._engine.rows(cells, fields)
        return Found(rows, watermark, cells, [one.at for one in asked], self._places, degraded)

    @staticmethod
    def _keys(view: View, identity: bytes, asked: Sequence[Asked]) -> list[bytes | None]:
        names = view.entity.keys
        out: list[bytes | None] = []
        for one in asked:
            values = [one.keys[name] for name in names]
            out.append(None if None in values else entity_key(identity, values))
        return out

    def _snapshot(self, wanted: Mapping[bytes, None]) -> tuple[dict[str, int], dict[bytes, Prepared]]:
        order = list(wanted)
        ready = [self._prepared.get(key) for key in order]
        heads = [b"" if one is None else one.head for one in ready]
        before = [self._reached.at(mark) for mark in self._marks]
        blobs = self._state.read([*self._marks, *order], have=[*self._no_heads, *heads])
        watermark: dict[str, int] = {}
        for view, mark, was, blob in zip(self.features.views, self._marks, before, blobs, strict=False):
            sequence = int.from_bytes(blob[:8], "little", signed=True) if blob else 0
            name = view.source.name
            self._reached.saw(mark, name, was, sequence)
            if watermark.setdefault(name, sequence) != sequence:
                raise ConflictError(
                    f"the views of source {name!r} have been applied up to different events",
                    where=f"online state of feature set {self.features.name!r}",
                    fix="run: backstay features backfill",
                )
        found: dict[bytes, Prepared] = {}
        for key, blob, one in zip(order, blobs[len(self._marks) :], ready, strict=True):
            if blob is not None:
                if one is None or blob is not one.head:
                    one = self._keep(key, Prepared(self._plans[key[:8]], blob))
                found[key] = one
        if self.features.on_failure == "last_known":
            self._remember([key for key, blob in zip(order, blobs[len(self._marks) :], strict=True) if blob is None])
        return watermark, found

    def _remember(self, strangers: Sequence[bytes]) -> None:
        """Keep whom the store has never seen, and of the oldest only as many as there is room for."""
        with self._room:
            for key in strangers:
                self._strangers.pop(key, None)
                self._strangers[key] = None
            while len(self._strangers) > STRANGERS:
                del self._strangers[next(iter(self._strangers))]

    def _keep(self, key: bytes, ready: Prepared) -> Prepared:
        """Keep a prepared history, newly made or grown, and of the oldest ones only as many as there is room for."""
        with self._room:  # whoever asks in process may do so from several threads
            self._kept += ready.bytes - self._counted.get(key, 0)
            self._prepared.pop(key, None)  # what was made last is the last to go
            self._strangers.pop(key, None)
            self._prepared[key], self._counted[key] = ready, ready.bytes
            while self._kept > KEPT_BYTES and len(self._prepared) > 1:
                oldest = next(iter(self._prepared))
                del self._prepared[oldest]
                self._kept -= self._counted.pop(oldest)
        return ready

    def _cells(
        self,
        plain: PlainView,
        plan: ViewPlan,
        keys: Sequence[bytes | None],
        at: Sequence[int],
        histories: Mapping[bytes, Prepared],
    ) -> Cells:
        ready = [None if key is None else histories.get(key) for key in keys]
        for one, moment in zip(ready, at, strict=True):
            if one is not None and moment < one.complete_from:
                raise InputError(
                    f"T {instant_text(moment)} is older than the online state keeps",
                    where="at",
                    expected=f"a time from {instant_text(one.complete_from)} on",
                    fix="compute old rows from the events record",
                )
        cells = plain.rows(ready, at)
        for key, one in zip(keys, ready, strict=True):
            if one is not None and key is not None and one.bytes != self._counted.get(key, one.bytes):
                self._keep(key, one)  # it has grown; one that there was no room for stays away
        for place, column in plan.coded:
            codes = [row[place] for row in cells.values]
            cells.coded[place] = _spelled(plan.view, column, codes, ready)
        return cells


def _spelled(view: View, column: int, codes: Sequence[float], ready: Sequence[Prepared | None]) -> list[Any]:
    """The words that codes stand for: each entity numbers its own."""
    number = sum(value.coded for value in view.values[:column])
    return [
        None if one is None or code != code else one.words[number][int(code)]
        for code, one in zip(codes, ready, strict=True)
    ]
