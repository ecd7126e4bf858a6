"""The prediction record: one row a prediction, its codec (MessagePack, floats bit for bit), and which are wanted.

A record holds what is needed to compute the prediction again (keys, fields, T and the read watermark), what was served
(values, statuses, score, decision) and by which model on which route.

A log may also hold how many predictions were lost at a place in it: a whole number where a record would stand.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from backstay.core.errors import InputError, IntegrityError

STATUSES = ("OK", "NULL", "MISSING", "EXPIRED", "LAST_KNOWN", "UNAVAILABLE")
"""What a byte of `Prediction.statuses` says."""

SHADOW = "shadow"
"""The route of a prediction that answered nobody: a version was shown what another one answered."""


class Prediction(msgspec.Struct, array_like=True, frozen=True):
    """One served prediction. Times are microseconds, UTC.

    at:         T, the moment the features are about
    served_at:  when it was answered, by the server's clock
    fields:     request-time inputs; times as microseconds
    watermark:  per source, the highest event sequence that had been applied
    values:     one a feature of the set, in its order; None is null, times are microseconds
    statuses:   one byte a feature, see `STATUSES`
    route:      "champion", "baseline" (a cohort of the champion), a share's name ("v7"), "fallback" (the champion, for
                a share that failed), or "shadow"
    propensity: the probability with which the route chose this version
    given:      whether the client gave the model's inputs itself: then nothing was looked up, only those features that
                are inputs have a value, and keys are those that the client added
    rule:       the calibration and threshold in force, such as "c1 t2", see `registry.rules`; "": as it was trained
    of:         of a shadow: the id of the prediction that was answered
    took:       microseconds in which its version scored the batch it was in; 0: not measured (a replay never is)
    error:      why the version of this share, or the shadow, gave no score; "" if it did. A shadow's score is NaN then;
                a share's row was answered by the champion, on the route "fallback". On every other route, and on this
                one with a NaN, why whoever answers had no score: the request was refused
    chance:     the probability with which this decision was taken, given the score: below 1 where the route explores
    degraded:   "last_known" or "defaults" where the online state could not be asked, by that policy; else ""
    """

    id: str
    at: int
    served_at: int
    model: str
    version: str
    route: str
    propensity: float
    feature_set: str
    keys: dict[str, Any]
    fields: dict[str, Any]
    watermark: dict[str, int]
    values: list[Any]
    statuses: bytes
    score: float
    decision: bool
    replayed: bool = False
    given: bool = False
    degraded: str = ""
    rule: str = ""
    of: str = ""
    took: int = 0
    error: str = ""
    chance: float = 1.0

    @property
    def failed(self) -> bool:
        """Whether there was no score, and so no answer."""
        return self.error != "" and self.score != self.score

    @property
    def answered(self) -> bool:
        """Whether somebody got it."""
        return self.route != SHADOW and not self.failed


class Head(msgspec.Struct, array_like=True, frozen=True):
    """What a prediction is looked up by: the beginning of its record, read in a third of the time."""

    id: str
    at: int
    served_at: int
    model: str


_encoder = msgspec.msgpack.Encoder()
_prediction = msgspec.msgpack.Decoder(Prediction | int)
_head = msgspec.msgpack.Decoder(Head | int)


def encode(record: Prediction | int) -> bytes:
    """The bytes of a record, or of a number of lost predictions.

    >>> import math
    >>> values = [math.nan, -0.0, None]
    >>> record = Prediction("p", 1, 2, "m", "v", "champion", 1.0, "f", {}, {}, {}, values, b"", 0.25, False)
    >>> back = decode(encode(record)).values
    >>> math.isnan(back[0]), math.copysign(1, back[1]), back[2]
    (True, -1.0, None)
    >>> decode(encode(17))
    17

    What MessagePack has no form for is an `InputError`.
    """
    try:
        return _encoder.encode(record)
    except (TypeError, OverflowError, ValueError) as error:
        raise InputError(f"a prediction cannot be written down: {error}", where="predictions") from None


def decode(payload: bytes) -> Any:
    """The `Prediction` that was encoded, or the number of lost ones. Anything else is an `IntegrityError`."""
    return _decoded(_prediction, payload)


def decode_head(payload: bytes) -> Any:
    """The `Head` of the prediction that was encoded, or the number of lost ones."""
    return _decoded(_head, payload)


def _decoded(decoder: msgspec.msgpack.Decoder[Any], payload: bytes) -> Any:
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise IntegrityError(f"a prediction record cannot be read: {error}", where="the predictions record") from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which predictions are asked for: of one model, with T in [since, until), of these ids. None: any."""

    model: str | None = None
    since: int | None = None
    until: int | None = None
    ids: Collection[str] | None = None

    @property
    def any(self) -> bool:
        """Whether every prediction is wanted."""
        return self.model is None and self.since is None and self.until is None and self.ids is None

    def holds(self, one: Prediction | Head) -> bool:
        return (
            (self.model is None or one.model == self.model)
            and (self.since is None or one.at >= self.since)
            and (self.until is None or one.at < self.until)
            and (self.ids is None or one.id in self.ids)
        )


def served(one: Prediction | Head) -> tuple[int, str]:
    """The order of serving: by time, then by id."""
    return one.served_at, one.id


def newest(predictions: Iterable[Prediction], count: int) -> list[Prediction]:
    """Those that were served last, the newest first."""
    return heapq.nlargest(count, predictions, key=served)
