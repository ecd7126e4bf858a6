"""Rows of predictions as columns: what one version was given, said and decided, ready to be counted.

Only what answered somebody counts: what shadows said is not among it. Numbers of the model's vector are float32, as the
model got them; other features are taken as they were logged. Moments have no distribution that could stay the same,
and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from backstay.definitions import FeatureSet
from backstay.storage.predictions import STATUSES, Prediction

PART = 50_000
"""Rows that are made columns at once."""
STANDINS = frozenset(STATUSES.index(name) for name in ("LAST_KNOWN", "UNAVAILABLE"))
"""Statuses of values that stand in because the online state could not be asked; training rows never have them."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of one version.

    at:       each row's T, in microseconds
    entity:   a number for the keys by which rows lean on each other, the same in every process
    features: the watched features, a column of values each
    score, decision: what was said
    standins: by feature, how many rows had a value that stands in for one that could not be looked up
    """

    at: npt.NDArray[np.int64]
    entity: npt.NDArray[np.int64]
    features: Mapping[str, Any]
    score: npt.NDArray[np.float64]
    decision: npt.NDArray[np.bool_]
    standins: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.at)


def watched_features(features: FeatureSet, leave_out: Sequence[str] = ()) -> list[str]:
    """The names of a set's features that have a distribution to watch, in their order."""
    moments = {one.name for one in features if one.dtype.is_temporal()}
    return [one.name for one in features if one.name not in moments and one.name not in leave_out]


def answered(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """Those that somebody got."""
    return (one for one in predictions if one.answered)


def in_order(predictions: Iterable[Prediction]) -> list[Prediction]:
    """In the order of T; of one moment by what they were asked about, whichever happened to be written first."""
    return sorted(predictions, key=lambda one: (one.at, repr(one.keys), repr(one.values) if one.given else ""))


def rows_of(
    predictions: Sequence[Prediction], features: FeatureSet, names: Sequence[str], entity: Sequence[str] = ()
) -> Rows:
    """Predictions of one version as columns, either all `given` or none: who brings the inputs brings nothing else.

    features: the set by which they were served; a record of another set has other places, and is the caller's to leave
              out
    names:    which features are wanted
    entity:   the keys by which rows lean on each other; empty: those that features are looked up by
    """
    places = {one.name: place for place, one in enumerate(features)}
    vector = frozenset(features.vector)
    if any(one.given for one in predictions):
        names = [name for name in names if name in vector]
    columns = {name: _column([one.values[places[name]] for one in predictions], name in vector) for name in names}
    statuses = [one.statuses for one in predictions]
    standins = {}
    if any(one.degraded for one in predictions):
        standins = {name: sum(told[places[name]] in STANDINS for told in statuses) for name in names}
    return Rows(
        at=np.array([one.at for one in predictions], np.int64),
        entity=np.array([_entity(one, tuple(entity) or features.keys) for one in predictions], np.int64),
        features=columns,
        score=np.array([one.score for one in predictions], np.float64),
        decision=np.array([one.decision for one in predictions], bool),
        standins={name: count for name, count in standins.items() if count},
    )


@np.errstate(over="ignore")
def _column(values: list[Any], vector: bool) -> Any:
    """A column of numbers, if it is one; what holds a word among them is left as it is."""
    if not vector:
        return values
    try:
        return np.array(values, np.float32)  # None becomes NaN
    except (TypeError, ValueError):
        return values


def _entity(one: Prediction, keys: Sequence[str]) -> int:
    return crc32(repr([one.keys.get(key) for key in keys]).encode())
