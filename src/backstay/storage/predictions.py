"""The prediction record: one row a prediction, and its codec (MessagePack, floats bit for bit).

A record holds what is needed to compute the prediction again (keys, fields, T and the read watermark), what was served
(values, statuses, score, decision) and by which model on which route.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from backstay.storage.ports import PredictionLog


class Prediction(msgspec.Struct, array_like=True, frozen=True):
    """One served prediction. Times are microseconds, UTC.

    at:         T, the moment the features are about
    served_at:  when it was answered, by the server's clock
    fields:     request-time inputs; times as microseconds
    watermark:  per source, the highest event sequence that had been applied
    values:     one a feature of the set, in its order; None is null, times are microseconds
    statuses:   one byte a feature: 0 OK, 1 NULL, 2 MISSING, 3 EXPIRED
    propensity: the probability with which the route chose this model
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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Prediction)


def encode(prediction: Prediction) -> bytes:
    """The record's bytes.

    >>> import math
    >>> values = [math.nan, -0.0, None]
    >>> record = Prediction("p", 1, 2, "m", "v", "champion", 1.0, "f", {}, {}, {}, values, b"", 0.25, False)
    >>> back = decode(encode(record)).values
    >>> math.isnan(back[0]), math.copysign(1, back[1]), back[2]
    (True, -1.0, None)
    """
    return _encoder.encode(prediction)


def decode(payload: bytes) -> Prediction:
    return _decoder.decode(payload)


def predictions(log: PredictionLog, *, model: str | None = None) -> Iterator[Prediction]:
    """Every prediction in the log, of one model or of all."""
    for payload in log.scan():
        prediction = _decoder.decode(payload)
        if model is None or prediction.model == model:
            yield prediction
