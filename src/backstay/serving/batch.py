"""A batch: jobs of one model that are computed together, the features of those that ask by key, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.definitions import FeatureSet
from backstay.features.lookup import Asked, Found, Unavailable
from backstay.features.views import Status
from backstay.serving.job import Asking
from backstay.serving.routes import ServedModel

Vector = npt.NDArray[np.float32]
Row = tuple[int, dict[str, Any], dict[str, Any], dict[str, int], list[Any], bytes]
"""T, keys, fields, watermark, values and statuses: what a record holds of one row."""


class Batch:
    """Looks up the features of those of its jobs that ask by key as it is made."""

    def __init__(self, jobs: Sequence[Asking]) -> None:
        self._jobs = jobs
        self.found: Found | None = None
        asked: list[Asked] = []
        self._begin: dict[int, int] = {}
        for job in jobs:
            if job.asked is not None:
                self._begin[id(job)] = len(asked)
                asked += job.asked
        if asked:
            lookup = jobs[0].choice.served.lookup
            try:
                self.found = lookup.lookup(asked)
            except Unavailable as error:
                self.found = lookup.degraded(asked, error)
            self._vector = self.found.rows.vector()
            self._values = self.found.rows.values()

    def drop_late(self, now: float) -> None:
        """Those whose deadline has passed meanwhile are not predicted."""
        self._jobs = [job for job in self._jobs if job.wanted(now, "before it was predicted")]

    def versions(self) -> list[tuple[ServedModel, list[Asking]]]:
        """Which version scores which jobs."""
        groups: dict[int, tuple[ServedModel, list[Asking]]] = {}
        for job in self._jobs:
            served = job.choice.served
            groups.setdefault(id(served), (served, []))[1].append(job)
        return list(groups.values())

    def matrix(self, jobs: Sequence[Asking]) -> Vector:
        """The model's inputs of some jobs, one below the other."""
        parts = [self._part(job) for job in jobs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, job: Asking) -> Vector:
        if job.vector is not None:
            return job.vector
        begin = self._begin[id(job)]
        return self._vector[begin : begin + job.rows]

    def looked_up(self, job: Asking) -> list[Row]:
        """The rows of a job whose features were looked up."""
        assert self.found is not None
        assert job.asked is not None
        begin, statuses, watermark = self._begin[id(job)], self.found.rows.codes, self.found.watermark
        return [
            (one.at, dict(one.keys), dict(one.fields), watermark, self._values[place], statuses[place])
            for place, one in enumerate(job.asked, begin)
        ]

    @staticmethod
    def given(job: Asking, features: FeatureSet) -> list[Row]:
        """The rows of a job that brought the model's inputs: of the other features nothing is known."""
        vector = job.vector
        assert vector is not None
        picked, whole = _picked(features)
        keys = job.keys or [{}] * len(vector)
        rows: list[Row] = []
        some_missing = bool(np.isnan(vector).any())
        for row, given in zip(vector.tolist(), keys, strict=True):
            row.append(None)  # what stands behind the vector: the value of a feature that is no input
            values, statuses = list(picked(row)), whole
            if some_missing:
                values = [None if value != value else value for value in values]
                statuses = bytes([_NULL if value is None else _OK for value in values])
            rows.append((job.at, dict(given), {}, {}, values, statuses))
        return rows


@lru_cache(maxsize=256)
def _picked(features: FeatureSet) -> tuple[Callable[[list[Any]], tuple[Any, ...]], bytes]:
    """What takes the features, in their order, out of a vector with None behind it; and the statuses of a whole one."""
    places = {name: place for place, name in enumerate(features.vector)}
    order = [places.get(feature.name, -1) for feature in features]
    statuses = bytes([_NULL if place < 0 else _OK for place in order])
    return (itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)), statuses


_OK, _NULL = int(Status.OK), int(Status.NULL)
