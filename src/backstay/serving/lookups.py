"""Lookups: the features of some entities, with statuses and ages, for those who predict elsewhere.

Body and answer:

    {"rows": [{"keys": {"carrier": "UA"}, "fields": {"distance": 1400}}, ...]}
    {"feature_set": ..., "hash": ..., "at": T, "rows": [{"values": {...}, "statuses": {...}, "ages": {...}}, ...]}

T is the server's clock, one for all rows of a request; ages are in microseconds. Nothing is written down: parity is
proven of predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstay.core.errors import InputError
from backstay.definitions import FeatureSet
from backstay.features.answers import Answers, OnlineRow
from backstay.features.lookup import Asked
from backstay.serving.parse import RowsParser
from backstay.storage.ports import OnlineState


class Lookups:
    """Reads and answers the lookups of one feature set."""

    def __init__(self, features: FeatureSet, online: OnlineState, *, replay: bool) -> None:
        self._features = features
        self._parser = RowsParser(features, replay=replay)
        self._answers = Answers(features, online)

    def parse(self, data: bytes, now: int) -> tuple[int, list[Asked]]:
        """T, and the rows of a request body."""
        try:
            return self._parser.parse(data, now)
        except InputError as error:  # it names the field; here, by what it is measured
            expected = f"{error.expected or 'what is declared'}, as rows asked of {self._features.where}"
            raise InputError(
                error.what, where=error.where, expected=expected, fix=error.fix or "send it as declared"
            ) from None

    def work(self, asked: Sequence[Asked]) -> tuple[list[OnlineRow], None]:
        """The features of rows that were asked, of one request or of several; nothing has to be written for them."""
        return self._answers.rows(asked), None

    def answer(self, at: int, rows: Sequence[OnlineRow]) -> dict[str, Any]:
        """The answer to one request."""
        return {
            "feature_set": self._features.name,
            "hash": self._features.hash,
            "at": at,
            "rows": [{"values": one.values, "statuses": one.statuses, "ages": one.ages} for one in rows],
        }
