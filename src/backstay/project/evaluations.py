"""Evaluations: what is known about the quality of versions, from rows that they have not learned from."""

from __future__ import annotations

from backstay.core.times import instant
from backstay.definitions import Model
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import ScoredRows, scored_rows
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

    def _model(self, model: str | None, what: str) -> Model:
        chosen = self._definitions.model(model)
        self._permits.model(chosen, what, "read_offline")
        return chosen

    def _moment(self, value: Moment) -> int:
        return self._records.clock.now() if value is None else instant(value, where="as_of")


def _instant(value: Moment) -> int | None:
    return None if value is None else instant(value, where="since, until")
