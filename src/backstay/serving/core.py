"""The request core: a batch of jobs in, logged predictions out. It knows no transport and no loop.

Rows that are asked by key are looked up together, whatever version answers them; then each version scores its rows in
one call; then all records are appended in one write. Only then has any job its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import lru_cache, partial
from math import nan
from operator import itemgetter
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backstay.core.clock import Clock
from backstay.core.errors import BackstayError
from backstay.core.identity import new_ids
from backstay.definitions import FeatureSet
from backstay.features.lookup import Asked, Found, Unavailable
from backstay.features.views import Status
from backstay.serving.cache import Cache
from backstay.serving.cuts import Cuts
from backstay.serving.job import Asking, Scored, note
from backstay.serving.metrics import Metrics
from backstay.serving.routes import FALLBACK, Choice, ServedModel, Snapshot
from backstay.serving.shadows import Shadows, Shown, copies
from backstay.storage.ports import PredictionLog
from backstay.storage.predictions import Prediction

Vector = npt.NDArray[np.float32]
_PROBLEM = 200
"""How much of why a version failed is written down with each of its rows."""


class _Group(NamedTuple):
    """Jobs that one version has scored together, and what that took, in seconds.

    problem: why it was not the version that was asked; "": it was
    blank:   whether that version had no score for any row of the whole batch
    """

    jobs: Sequence[Asking]
    matrix: Vector
    served: ServedModel
    scores: npt.NDArray[np.float64]
    took: float
    problem: str = ""
    blank: bool = False


class Core:
    """Predicts, and writes each prediction down before it is answered."""

    def __init__(
        self,
        log: PredictionLog,
        clock: Clock,
        metrics: Metrics,
        *,
        replay: bool,
        shadows: Shadows | None = None,
        cache: Cache | None = None,
        cuts: Cuts | None = None,
    ) -> None:
        self._log, self._clock, self._metrics, self._replay = log, clock, metrics, replay
        self._shadows, self._cache, self._cuts = shadows, cache, cuts

    @property
    def lost(self) -> int:
        """Predictions that this process was not able to write down (lossy mode)."""
        return self._log.dropped

    def predict(self, jobs: Sequence[Asking]) -> Future[None] | None:
        """Give each job of one model its answer or its error.

        They may be told once what is returned is done (None: at once): then what was answered is written down.
        """
        try:
            return self._predict(jobs)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            if len(jobs) > 1 and isinstance(error, BackstayError):
                # One request that cannot be answered must not take the others with it.
                return _together([(job, self.predict([job])) for job in jobs])
            for job in jobs:
                job.error = error
            return None

    def _predict(self, jobs: Sequence[Asking]) -> Future[None] | None:
        begin = monotonic()
        whole = [job for job in jobs if job.parts]
        traced = [job for job in jobs if job.stages is not None]
        batch = _Batch([part for job in jobs for part in job.parts or (job,)] if whole else jobs)
        if batch.found is not None:
            now = monotonic()
            self._metrics.observe("features", now - begin)
            note(traced, "features", begin, now)
            begin = now
            batch.drop_late(now)
        records: list[Prediction] = []
        done: list[tuple[Asking, Scored]] = []
        shown: list[Shown] = []
        for chosen, some in batch.versions():
            matrix = batch.matrix(some)
            hits = 0 if self._cache is None else self._cache.hits
            groups = self._scored(chosen, some, matrix)
            now = monotonic()
            self._metrics.observe("predict", now - begin)
            if traced:
                note(some, "predict", begin, now)
            # What was remembered or replayed says nothing of how long a version takes.
            timed = not self._replay and (self._cache is None or self._cache.hits == hits)
            for group in groups:
                first = len(records)
                done += self._recorded(group, batch, records)
                mine, one = records[first:], some[0].snapshot
                if self._cuts is not None and one is not None and one.shares:
                    # Nor does the champion's time, or that of a batch of which some rows are counted apart.
                    seconds = group.took if timed and not group.problem and len(groups) == 1 else nan
                    self._cuts.saw(one, chosen, mine, seconds, group.problem, blank=group.blank)
                if self._shadows is not None:
                    shown += copies(group.jobs, group.matrix, mine)
            begin = monotonic()
        written = self._log.submit(records)
        now = monotonic()
        self._metrics.observe("log", now - begin)
        for job, answer in done:
            job.answer = answer
        for job in whole:
            job.join()
        if traced:
            _logged([job for job in traced if job.error is None], begin, now, written)
        if shown and self._shadows is not None:
            self._shadows.offer(shown)
        return written

    def _scored(self, served: ServedModel, jobs: Sequence[Asking], matrix: Vector) -> list[_Group]:
        """The scores of some jobs' rows, and whose they are: for the jobs that a share's version fails, the champion's.

        First those that it has not failed.
        """
        snapshot, began, problem = jobs[0].snapshot, monotonic(), ""
        if snapshot is None or snapshot.entry is None or self._cuts is None or served is snapshot.champion.served:
            scores = self._score(served, matrix)
            return [_Group(jobs, matrix, served, scores, monotonic() - began)]
        self._cuts.begins(snapshot.entry.entry_id, served, len(matrix))
        try:
            scores = self._score(served, matrix)
            sound = bool(np.isfinite(scores).all())
        except Exception as error:  # noqa: BLE001 - whatever it is, the champion answers, and it is counted
            problem, sound = f"{type(error).__name__}: {error}"[:_PROBLEM], False
        self._cuts.ends()
        took = monotonic() - began
        if sound:
            return [_Group(jobs, matrix, served, scores, took)]
        if problem:
            return [self._fallen(snapshot, jobs, matrix, problem, True)]
        # A request is all or nothing, a batch is not: those of others do not fail with one that has a row without.
        kept: list[Asking] = []
        failed: list[Asking] = []
        finite, keeps, begin = np.isfinite(scores), np.ones(len(matrix), bool), 0
        for job in jobs:
            keeps[begin : begin + job.rows] = keep = bool(finite[begin : begin + job.rows].all())
            (kept if keep else failed).append(job)
            begin += job.rows
        rest = self._fallen(snapshot, failed, matrix[~keeps], "a score is NaN or infinite", not finite.any())
        return [_Group(kept, matrix[keeps], served, scores[keeps], took), rest] if kept else [rest]

    def _fallen(
        self, snapshot: Snapshot, jobs: Sequence[Asking], matrix: Vector, problem: str, blank: bool
    ) -> _Group:  # fmt: skip
        """Jobs that a share's version failed: the champion answers."""
        champion, began = snapshot.champion.served, monotonic()
        for job in jobs:
            job.choice = Choice(champion, FALLBACK, job.choice.propensity)
        return _Group(jobs, matrix, champion, self._score(champion, matrix), monotonic() - began, problem, blank)

    def _score(self, served: ServedModel, matrix: Vector) -> npt.NDArray[np.float64]:
        return served.scorer.score(matrix) if self._cache is None else self._cache.score(served, matrix)

    def _recorded(
        self, group: _Group, batch: _Batch, records: list[Prediction]
    ) -> list[tuple[Asking, Scored]]:  # fmt: skip
        """The answers of one version, and their records, which are added to `records`."""
        jobs, _, served, scores, seconds, problem, _ = group
        took = 0 if self._replay else round(seconds * 1e6 + 0.5)
        scores, decisions = served.rule(scores)
        decided: list[bool] = decisions.tolist()
        told: list[float] = scores.tolist()
        ids, now = new_ids(len(told)), self._clock.now()
        out, begin = [], 0
        for job in jobs:
            rows = batch.given(job, served.model.features) if job.asked is None else batch.looked_up(job)
            chances = _explored(job, rows, decided, begin)
            degraded = batch.found.degraded if batch.found is not None and job.asked is not None else ""
            part, states = slice(begin, begin + job.rows), [row[-1] for row in rows]
            out.append((job, Scored(job.at, ids[part], told[part], decided[part], states, (), degraded)))
            for place, (at, keys, fields, watermark, values, status) in enumerate(rows, begin):
                record = Prediction(
                    id=ids[place],
                    at=at,
                    served_at=now,
                    model=served.model.name,
                    version=served.version.digest,
                    route=job.choice.route,
                    propensity=job.choice.propensity,
                    feature_set=served.model.features.hash,
                    keys=keys,
                    fields=fields,
                    watermark=watermark,
                    values=values,
                    statuses=status,
                    score=told[place],
                    decision=decided[place],
                    replayed=self._replay,
                    given=job.asked is None,
                    degraded=degraded,
                    rule=served.rule.name,
                    took=took,
                    error=problem,
                    chance=1.0 if chances is None else chances[place - begin],
                )
                records.append(record)
            begin += job.rows
        return out


def _explored(job: Asking, rows: Sequence[Row], decided: list[bool], begin: int) -> list[float] | None:
    """The probability of each decision about a job's rows, where its route explores: some are turned over, then."""
    explorer = None if job.snapshot is None else job.snapshot.explorer
    return None if explorer is None else explorer.explore(rows, decided, begin)


def _logged(jobs: Sequence[Asking], begin: float, now: float, written: Future[None] | None) -> None:
    """Note the stage of the log, which ends when the records are written."""
    if written is None:
        note(jobs, "log", begin, now)
    else:
        written.add_done_callback(lambda _: note(jobs, "log", begin, monotonic()))


def _together(parts: Sequence[tuple[Asking, Future[None] | None]]) -> Future[None] | None:
    """Done when all parts are; a part that fails is its own job's error."""
    waiting = [(job, part) for job, part in parts if part is not None]
    if not waiting:
        return None
    whole: Future[None] = Future()
    left = list(range(len(waiting)))

    def done(job: Asking, part: Future[None]) -> None:
        error = part.exception()
        if error is not None:
            job.error = error if isinstance(error, Exception) else RuntimeError(str(error))
        if left.pop() == 0:  # whichever ends last takes the first number
            whole.set_result(None)

    for job, part in waiting:
        part.add_done_callback(partial(done, job))
    return whole


Row = tuple[int, dict[str, Any], dict[str, Any], dict[str, int], list[Any], bytes]
"""T, keys, fields, watermark, values and statuses: what a record holds of one row."""


class _Batch:
    """Jobs that are computed together, and the features of those that ask by key."""

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
