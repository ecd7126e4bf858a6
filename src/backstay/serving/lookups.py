"""Lookups: the features of some entities, with statuses and ages, for those who predict elsewhere.

Body and answer:

    {"rows": [{"keys": {"carrier": "UA"}, "fields": {"distance": 1400}}, ...]}
    {"feature_set": ..., "hash": ..., "at": T, "rows": [{"values": {...}, "statuses": {...}, "ages": {...}}, ...]}

T is the server's clock, one for all rows of a request; ages are in microseconds. Nothing is written down: parity is
proven of predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from backstay.core.errors import BackstayError, InputError
from backstay.definitions import FeatureSet
from backstay.features.answers import Answers, OnlineRow
from backstay.features.lookup import Asked, Reached
from backstay.serving.job import Looking, note
from backstay.serving.parse import RowsParser, entity_readers
from backstay.storage.ports import OnlineState


class Lookups:
    """Reads and answers the lookups of one feature set."""

    def __init__(self, features: FeatureSet, online: OnlineState, reached: Reached, *, replay: bool) -> None:
        self.features = features
        self._parser = RowsParser(entity_readers(features), features.requests, replay=replay)
        self._answers = Answers(features, online, reached)

    def parse(self, data: bytes, now: int) -> tuple[int, list[Asked]]:
        """T, and the rows of a request body."""
        try:
            return self._parser.parse(data, now)
        except InputError as error:  # it names the field; here, by what it is measured
            expected = f"{error.expected or 'what is declared'}, as rows asked of {self.features.where}"
            raise InputError(
                error.what, where=error.where, expected=expected, fix=error.fix or "send it as declared"
            ) from None

    def work(self, jobs: Sequence[Looking]) -> None:
        """Look up the features of the rows of one request or of several."""
        begin = monotonic()
        try:
            rows = self._answers.rows([one for job in jobs for one in job.asked])
        except BackstayError as error:
            if len(jobs) > 1:  # one request that cannot be answered must not take the others with it
                for job in jobs:
                    self.work([job])
                return
            jobs[0].error = error
            return
        note(jobs, "features", begin, monotonic())
        first = 0
        for job in jobs:
            job.answer = rows[first : first + job.rows]
            first += job.rows

    def answer(self, at: int, rows: Sequence[OnlineRow]) -> dict[str, Any]:
        """The answer to one request."""
        return {
            "feature_set": self.features.name,
            "hash": self.features.hash,
            "at": at,
            "rows": [{"values": one.values, "statuses": one.statuses, "ages": one.ages} for one in rows],
        }
