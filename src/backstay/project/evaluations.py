"""Evaluations: what is known about the quality of versions, from rows that they have not learned from."""

from __future__ import annotations

from collections.abc import Callable

from backstay.core.times import instant
from backstay.definitions import Model
from backstay.evaluation.decided import Costs
from backstay.evaluation.slices import Predicate
from backstay.lifecycle.evaluating import EvaluationReport, evaluated
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import ScoredRows, scored_rows
from backstay.lifecycle.slices import DAY, Pin, SliceReport, pin, pins, slices, unpin
from backstay.project.loading import Definitions
from backstay.project.permits import Permits

Moment = str | int | None
"""A time as people write it or in microseconds; None: the default."""


class Evaluations:
    """`project.evaluations`. Times are given as `2013-04-01`, ISO 8601, or integer microseconds, UTC."""

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def rows(
        self,
        number: int,
        model: str | None = None,
        *,
        as_of: Moment = None,
        since: Moment = None,
        until: Moment = None,
    ) -> ScoredRows:
        """The rows that a version may be evaluated on, with its scores: see `scored_rows`."""
        chosen = self._model(model, "evaluate")
        return scored_rows(
            self._records, chosen, number, as_of=self._moment(as_of), since=_instant(since), until=_instant(until)
        )

    def slices(
        self, number: int, model: str | None = None, *, as_of: Moment = None, since: Moment = None,
        until: Moment = None, find: bool = True, order: int = 2, loss: str = "log_loss", clusters: str = DAY,
        effect: float = 0.0, level: float = 0.95, seed: int = 0,
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> SliceReport:  # fmt: skip
        """Where a version is worse than elsewhere: its declared and pinned slices, and those that a search finds."""
        return slices(
            self._records, self._model(model, "evaluate"), number, as_of=self._moment(as_of), since=_instant(since),
            until=_instant(until), find=find, order=order, loss=loss, clusters=clusters, effect=effect, level=level,
            seed=seed, progress=progress,
        )  # fmt: skip

    def pin_slice(self, name: str, predicate: Predicate, model: str | None = None, *, why: str) -> Pin:
        """Watch a slice of a model from now on: it is always shown, and the gate lets no candidate be worse on it."""
        chosen = self._definitions.model(model)
        self._permits.model(chosen, "pin a slice of", "define")
        return pin(self._records, chosen, name, predicate, why)

    def unpin_slice(self, name: str, model: str | None = None, *, why: str) -> Pin:
        """Watch it no longer; the ledger keeps that it was, and why it is no longer."""
        chosen = self._definitions.model(model)
        self._permits.model(chosen, "unpin a slice of", "define")
        return unpin(self._records, chosen, name, why)

    def pinned_slices(self, model: str | None = None) -> list[Pin]:
        """The slices of a model that are watched."""
        return list(pins(self._records, self._model(model, "look at slices of")).values())

    def report(
        self,
        number: int,
        model: str | None = None,
        *,
        as_of: Moment = None,
        since: Moment = None,
        until: Moment = None,
        cost: tuple[float, float] | None = None,
        top: int | None = None,
    ) -> EvaluationReport:
        """How good a version is, beside the champion: a record, and a page (`save`).

        cost: of a false alarm and of a missed case; top: how many of the rows can be looked at
        """
        chosen = self._model(model, "evaluate")
        return evaluated(
            self._records, chosen, number, as_of=self._moment(as_of), since=_instant(since), until=_instant(until),
            costs=None if cost is None else Costs(*cost), k=top,
        )  # fmt: skip

    def _model(self, model: str | None, what: str) -> Model:
        chosen = self._definitions.model(model)
        self._permits.model(chosen, what, "read_offline")
        return chosen

    def _moment(self, value: Moment) -> int:
        return self._records.clock.now() if value is None else instant(value, where="as_of")


def _instant(value: Moment) -> int | None:
    return None if value is None else instant(value, where="since, until")
