"""A *route* says which version of a model answers a request. It is asked once a request, before anything is computed.

What it says is an immutable `Snapshot` of versions and shares, replaced in one assignment. A request takes one, and
keeps it to its end. An entity falls into one of 10,000 buckets by the salted hash of its keys, so it gets the same
version each time; rows that bring no keys are assigned by the request's id, and without one at random.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import randrange
from time import perf_counter
from typing import Any

import numpy as np

from backstay.definitions import Model
from backstay.evaluation.calibration.rule import Rule
from backstay.features.lookup import OnlineLookup
from backstay.registry.exploring import Explorer
from backstay.registry.routing import BUCKETS, RouteEntry, bucket, drawn
from backstay.registry.versions import ModelVersion
from backstay.runtimes.scorer import Scorer
from backstay.runtimes.trying import known_row
from backstay.serving.refusal import Refusal
from backstay.storage.predictions import SHADOW

_logger = logging.getLogger("backstay.serving")
_SLOW = (0.001, 0.0001)
"""Seconds a batch and a row that are assumed where they cannot be measured: more than most models take."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What scoring takes, in seconds: `fixed` a batch and `each` a row, measured when the model was loaded."""

    fixed: float
    each: float

    def of(self, rows: int) -> float:
        return self.fixed + self.each * rows

    @classmethod
    def measured(cls, scorer: Scorer, width: int, rows: int = 64) -> Cost:
        """The best of a few runs, of one row and of many; the rows vary, or a tree's branches would be foretold.

        A model may refuse rows at random, such as those of no category that it knows; then a row is taken that it
        scored when it was loaded. One that raises on that, too, is taken to be slow: it may score others.
        """
        varied = np.random.default_rng(0).normal(0, 100, (rows, width)).astype(np.float32)
        problem: Exception | None = None
        for matrix in (varied, np.repeat(known_row(scorer, width), rows, axis=0)):
            try:
                one, many = (min(_timed(scorer, matrix[:count]) for _ in range(3)) for count in (1, rows))
            except Exception as error:  # noqa: BLE001 - the model's own, of any type
                problem = error
                continue
            each = max(many - one, 0.0) / (rows - 1)
            return cls(max(one - each, 0.0), each)
        _logger.warning("a model raises on every row that it was to be timed with, and counts as slow: %s", problem)
        return cls(*_SLOW)


def _timed(scorer: Scorer, matrix: np.ndarray) -> float:
    begin = perf_counter()
    scorer.score(matrix)
    return perf_counter() - begin


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A loaded version of a model: everything that a request needs, immutable."""

    model: Model
    version: ModelVersion
    scorer: Scorer
    lookup: OnlineLookup
    rule: Rule
    cost: Cost


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that answers a request, on which route, and with which probability the version was chosen."""

    served: ServedModel
    route: str
    propensity: float


CHAMPION, FALLBACK = "champion", "fallback"
_serials = count()


class Snapshot:
    """The versions that answer for one model, and their shares, as of one moment. It never changes.

    champion: who answers whatever no share takes; alone: the same, if there were no shares
    shares:   other versions that answer
    baseline: the champion too, for its cohort that is told apart; None: there is none
    shadows:  who is shown what was answered
    explorer: which decisions are turned over by lot; None: none are
    """

    def __init__(
        self, champion: ServedModel, entry: RouteEntry | None = None, loaded: Mapping[str, ServedModel] | None = None
    ) -> None:
        self.serial = next(_serials)
        """Those that were made later have higher ones."""
        loaded, parts = loaded or {}, () if entry is None else entry.parts
        shares = [one for one in parts if not one.shadow and not one.baseline and one.digest in loaded]
        # A version that is champion too is one version: the probabilities are those of versions.
        shares = [one for one in shares if one.digest != champion.version.digest]
        left = 1.0 - sum(one.buckets for one in shares) / BUCKETS
        self.alone = Choice(champion, CHAMPION, 1.0)
        self.champion = Choice(champion, CHAMPION, left) if shares else self.alone
        self.shares = tuple(Choice(loaded[one.digest], one.name, one.share) for one in shares)
        # A baseline of another champion than today's compares with nothing: its entities are the champion's.
        cohort = next((one for one in parts if one.baseline and one.digest == champion.version.digest), None)
        self.baseline = None if cohort is None else Choice(champion, cohort.name, left)
        held = [*zip(self.shares, shares, strict=True)]
        if cohort is not None and self.baseline is not None:
            held.append((self.baseline, cohort))
        self.choices = (self.champion, *(choice for choice, _ in held))
        self.shadows = tuple(
            (Choice(loaded[one.digest], SHADOW, one.share), one.buckets)
            for one in parts
            if one.shadow and one.digest in loaded
        )
        self.entry, self.loaded = entry, dict(loaded)
        explored = None if entry is None else entry.explore
        self.explorer = None if entry is None or explored is None else Explorer(explored, entry.key, entry.salt)
        table = bytearray(BUCKETS)
        for place, (_, one) in enumerate(held, 1):
            for begin, end in one.spans:
                table[begin:end] = bytes([place]) * (end - begin)
        self._table = bytes(table) if held else None
        self._told = [(choice, one.share) for choice, one in held]
        self._key = () if entry is None else entry.key
        self._salt = b"" if entry is None else entry.salt.encode()

    def one(self, request_id: str = "") -> Choice:
        """Who answers a request without keys: by its id, at random if it has none."""
        if self._table is None:
            return self.champion
        number = randrange(BUCKETS) if not request_id else bucket(self._salt, [request_id])  # noqa: S311
        return self.choices[self._table[number]]

    def each(self, rows: Sequence[Mapping[str, Any]]) -> Choice | list[Choice]:
        """Who answers rows with these keys: one for all of them, or one each."""
        table = self._table
        if table is None:
            return self.champion
        out = [self._of(table, keys) for keys in rows]
        return out[0] if out and all(one is out[0] for one in out) else out or self.champion

    def _of(self, table: bytes, keys: Mapping[str, Any]) -> Choice:
        values = [keys.get(name) for name in self._key]
        if values.count(None) == len(values):
            return self.one()
        return self.choices[table[bucket(self._salt, values)]]

    def shadowed(self, keys: Mapping[str, Any]) -> Sequence[Choice]:
        """Who is shown a row: every shadow, or those in whose share its entity is."""
        return [choice for choice, buckets in self.shadows if buckets == BUCKETS or self._number(keys) < buckets]

    def slot(self, keys: Mapping[str, Any]) -> int | None:
        """A number of an entity that says nothing of its bucket; None if its keys say nothing of the entity."""
        values = [keys.get(name) for name in self._key]
        return None if values.count(None) == len(values) else drawn(self._salt, values) // BUCKETS

    def told(self) -> list[dict[str, Any]]:
        """Which versions answer, and which are shown what was answered, with their shares."""
        left = 1.0 - sum(share for _, share in self._told)
        shadows = [(choice, choice.propensity) for choice, _ in self.shadows]
        return [
            {"name": one.route, "version": one.served.version.number, "share": share}
            for one, share in ((self.champion, left), *self._told, *shadows)
        ]

    def _number(self, keys: Mapping[str, Any]) -> int:
        values = [keys.get(name) for name in self._key]
        if values.count(None) == len(values):
            return randrange(BUCKETS)  # noqa: S311
        return bucket(b"shadow" + self._salt, values)


class Route:
    """The route of one model. What serves is replaced in one assignment, never changed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.unloaded = False
        """Whether an operator took the model out of service."""
        self.snapshot: Snapshot | None = None

    @property
    def served(self) -> ServedModel | None:
        """The champion that is loaded."""
        return None if self.snapshot is None else self.snapshot.champion.served

    def taken(self) -> Snapshot:
        """Who answers the next request. Raises `Refusal` (503) if nobody can."""
        snapshot = self.snapshot
        if snapshot is None:
            raise self.missing()
        return snapshot

    def missing(self) -> Refusal:
        """Why nobody answers."""
        name = self.model.name
        if self.unloaded:
            return Refusal(
                503, f"model {name!r} was unloaded", field="model", fix=f"POST /v2/repository/models/{name}/load"
            )
        return Refusal(
            503, f"model {name!r} has no champion", field="model", fix=f"backstay promote NUMBER --model {name}"
        )

    def version(self, number: str) -> None:
        """Raise `Refusal` (404) unless this version, as a URL names it, is served; "" is whichever is."""
        served = self.taken().champion.served
        if number and number != str(served.version.number):
            raise Refusal(
                404,
                f"version {number!r} of model {self.model.name!r} is not served",
                field="version",
                expected=f"{served.version.number}, or none",
                fix="leave the version out: the route decides",
            )


def found(routes: Mapping[str, Route], name: str) -> Route:
    """The route of a model. Raises `Refusal` (404) if there is none of this name."""
    route = routes.get(name)
    if route is None:
        raise Refusal(404, f"there is no model {name!r}", field="model", expected=f"one of {sorted(routes)}")
    return route
