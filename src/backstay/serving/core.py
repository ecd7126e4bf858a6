"""The request core: a batch of jobs in, logged predictions out. It knows no transport and no loop.

Rows that are asked by key are looked up together, whatever version answers them; then each version scores its rows in
one call; then all records are appended in one write. Only then has any job its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from math import nan
from time import monotonic
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from backstay.core.clock import Clock
from backstay.core.errors import BackstayError
from backstay.core.identity import new_ids
from backstay.serving.batch import Batch, Row, Vector
from backstay.serving.cache import Cache
from backstay.serving.cuts import Cuts
from backstay.serving.job import Asking, Scored, note
from backstay.serving.metrics import Metrics
from backstay.serving.refusal import Unscored
from backstay.serving.routes import FALLBACK, Choice, ServedModel, Snapshot
from backstay.serving.scoring import apart, no_number, said, scored, sound
from backstay.serving.shadows import Shadows, Shown, copies
from backstay.storage.ports import PredictionLog
from backstay.storage.predictions import Prediction


class _Group(NamedTuple):
    """Jobs that one version has scored together, and what that took, in seconds (NaN: rows were asked apart).

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


class _Lost(NamedTuple):
    """A job that has no answer: whoever answers in the end has no score for some of its rows.

    whys:  why, of each such row that is known, by its place in the job
    cause: what the model raised, if it did
    group: what it was scored with
    """

    job: Asking
    whys: Mapping[int, str]
    cause: Exception | None
    group: _Group


@dataclass(slots=True)
class _Made:
    """What a batch comes to: records to write, answers, what shadows are shown, and the jobs that have no answer."""

    traced: bool

    records: list[Prediction]
    done: list[tuple[Asking, Scored]]
    shown: list[Shown]
    lost: list[_Lost]


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
        self.unscored = 0
        """Rows for which the version that answers had no score."""

    @property
    def lost(self) -> int:
        """Predictions that this process was not able to write down (lossy mode)."""
        return self._log.dropped

    def predict(self, jobs: Sequence[Asking]) -> Future[None] | None:
        """Give each job of one model its answer or its error.

        They may be told once what is returned is done (None: at once): then what was answered is written down.
        """
        submitted: list[bool] = []
        try:
            return self._predict(jobs, submitted)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            if len(jobs) > 1 and (isinstance(error, BackstayError) or not submitted):
                # One request that cannot be answered must not take the others with it, nor any be written down twice.
                for one in (part for job in jobs for part in (job, *job.parts)):
                    one.error = None  # what it came to is not written down, and is found again
                return _together([(job, self.predict([job])) for job in jobs])
            for job in jobs:
                job.error = error
            return None

    def _predict(self, jobs: Sequence[Asking], submitted: list[bool]) -> Future[None] | None:
        begin = monotonic()
        whole = [job for job in jobs if job.parts]
        traced = [job for job in jobs if job.stages is not None]
        batch = Batch([part for job in jobs for part in job.parts or (job,)] if whole else jobs)
        if batch.found is not None:
            now = monotonic()
            self._metrics.observe("features", now - begin)
            note(traced, "features", begin, now)
            begin = now
            batch.drop_late(now)
        made = _Made(bool(traced), [], [], [], [])
        for chosen, some in batch.versions():
            self._by_version(chosen, some, batch, made, begin)
            begin = monotonic()
        if made.lost:
            self._refuse(made, batch, whole)
        submitted.append(True)
        written = self._log.submit(made.records)
        now = monotonic()
        self._metrics.observe("log", now - begin)
        for job, answer in made.done:
            job.answer = answer
        for job in whole:
            job.join()
        if traced:
            _logged([job for job in traced if job.error is None], begin, now, written)
        if made.shown and self._shadows is not None:
            self._shadows.offer(made.shown)
        return written

    def _by_version(
        self, chosen: ServedModel, jobs: Sequence[Asking], batch: Batch, made: _Made, begin: float
    ) -> None:  # fmt: skip
        """What one version says of its jobs, or the champion in its place."""
        matrix = batch.matrix(jobs)
        hits = 0 if self._cache is None else self._cache.hits
        groups, lost = self._scored(chosen, jobs, matrix)
        now = monotonic()
        self._metrics.observe("predict", now - begin)
        if made.traced:
            note(jobs, "predict", begin, now)
        # What was remembered or replayed says nothing of how long a version takes, nor what some rows were asked alone.
        timed = not self._replay and (self._cache is None or self._cache.hits == hits) and not lost
        for group in groups:
            first = len(made.records)
            made.done += self._recorded(group, batch, made.records)
            mine, one = made.records[first:], jobs[0].snapshot
            if self._cuts is not None and one is not None and one.shares:
                # Nor does the champion's time, or that of a batch of which some rows are counted apart.
                seconds = group.took if timed and not group.problem and len(groups) == 1 else nan
                self._cuts.saw(one, chosen, mine, seconds, group.problem, blank=group.blank)
            if self._shadows is not None:
                made.shown += copies(group.jobs, group.matrix, mine)
        if lost and lost[0].group.problem and self._cuts is not None and not any(one.problem for one in groups):
            self._cuts.failed_too()
        made.lost += lost

    def _scored(
        self, served: ServedModel, jobs: Sequence[Asking], matrix: Vector
    ) -> tuple[list[_Group], list[_Lost]]:  # fmt: skip
        """The scores of some jobs' rows, and whose they are: for the jobs that a share's version fails, the champion's.

        First those that it has not failed. What the champion fails too is lost.
        """
        snapshot, began, problem = jobs[0].snapshot, monotonic(), ""
        if snapshot is None or snapshot.entry is None or self._cuts is None or served is snapshot.champion.served:
            return self._each(jobs, matrix, served)
        self._cuts.begins(snapshot.entry.entry_id, served, len(matrix))
        try:
            found = self._score(served, matrix)
        except Exception as error:  # noqa: BLE001 - whatever it is, the champion answers, and it is counted
            problem = said(error)
        self._cuts.ends()
        if problem:
            return self._fallen(snapshot, jobs, matrix, problem, True)
        group = _Group(jobs, matrix, served, found, monotonic() - began)
        if sound(found):
            return [group], []
        # A request is all or nothing, a batch is not: those of others do not fail with one that has a row without.
        kept, failed, keeps = _parted(group, {})
        if not failed:
            return kept, []
        blank = not np.isfinite(found).any()
        rest, lost = self._fallen(
            snapshot, [one.job for one in failed], matrix[~keeps], "a score is NaN or infinite", blank
        )
        return kept + rest, lost

    def _fallen(
        self, snapshot: Snapshot, jobs: Sequence[Asking], matrix: Vector, problem: str, blank: bool
    ) -> tuple[list[_Group], list[_Lost]]:
        """Jobs that a share's version failed: the champion answers."""
        champion = snapshot.champion.served
        for job in jobs:
            job.choice = Choice(champion, FALLBACK, job.choice.propensity)
        return self._each(jobs, matrix, champion, problem, blank)

    def _each(
        self, jobs: Sequence[Asking], matrix: Vector, served: ServedModel, problem: str = "", blank: bool = False
    ) -> tuple[list[_Group], list[_Lost]]:
        """The scores of whoever answers in the end. A job that it fails takes no other one with it."""
        began, took = monotonic(), nan
        errors: dict[int, Exception] = {}
        try:
            found = self._score(served, matrix)
            took = monotonic() - began
        except Exception as error:  # noqa: BLE001 - a model raises what it likes
            bounds = list(accumulate((job.rows for job in jobs), initial=0))
            found, errors = apart(partial(self._score, served), matrix, bounds, error)
        group = _Group(jobs, matrix, served, found, took, problem, blank)
        if sound(found):
            return [group], []
        kept, lost, _ = _parted(group, errors)
        return kept, lost

    def _score(self, served: ServedModel, matrix: Vector) -> npt.NDArray[np.float64]:
        return scored(served.scorer, matrix) if self._cache is None else self._cache.score(served, matrix)

    def _refuse(self, made: _Made, batch: Batch, whole: Sequence[Asking]) -> None:
        """The jobs that have no answer get their error; of each row without a score it is written down, and why."""
        for job, whys, cause, group in made.lost:
            rows: list[Prediction] = []
            none = group._replace(jobs=[job], scores=np.full(job.rows, 0.5))  # no rule is asked about NaN
            self._recorded(none, batch, rows)
            failed = [
                msgspec.structs.replace(
                    rows[place], score=nan, decision=False, chance=1.0,
                    error=f"{group.problem}; the champion: {why}" if group.problem else why,
                )
                for place, why in whys.items()
            ]  # fmt: skip
            made.records += failed
            self.unscored += len(failed)
            first, why = next(iter(whys.items()))
            row = job.places[first] if job.places else first if job.rows > 1 else None
            where = "inputs" if job.asked is None else "" if row is None else f"rows[{row}]"
            name, number = group.served.model.name, group.served.version.number
            job.error = Unscored(name, number, why, failed[0].id, row=row, field=where)
            job.error.__cause__ = cause
        if whole:
            _withdraw(whole, made)

    def _recorded(
        self, group: _Group, batch: Batch, records: list[Prediction]
    ) -> list[tuple[Asking, Scored]]:  # fmt: skip
        """The answers of one version, and their records, which are added to `records`."""
        jobs, _, served, scores, seconds, problem, _ = group
        took = 0 if self._replay or seconds != seconds else round(seconds * 1e6 + 0.5)
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


def _parted(
    group: _Group, errors: Mapping[int, Exception]
) -> tuple[list[_Group], list[_Lost], npt.NDArray[np.bool_]]:  # fmt: skip
    """The jobs all of whose rows have a score, if there are any, and the others; and which rows are those of the first.

    errors: what the model raised on a row, by its place
    """
    finite, keeps, begin = np.isfinite(group.scores), np.ones(len(group.scores), bool), 0
    kept: list[Asking] = []
    lost: list[_Lost] = []
    for job in group.jobs:
        end = begin + job.rows
        mine = finite[begin:end]
        if mine.all():
            kept.append(job)
        else:
            keeps[begin:end] = False
            raised = next((place for place in errors if begin <= place < end), None)
            if raised is not None:
                lost.append(_Lost(job, {raised - begin: said(errors[raised])}, errors[raised], group))
            else:
                places = np.flatnonzero(~mine).tolist()
                whys = {place: no_number(group.scores[begin + place]) for place in places}
                lost.append(_Lost(job, whys, None, group))
        begin = end
    rest = group._replace(jobs=kept, matrix=group.matrix[keeps], scores=group.scores[keeps])
    return [rest] if kept else [], lost, keeps


def _withdraw(whole: Sequence[Asking], made: _Made) -> None:
    """A request is all or nothing: of one that is refused, what other versions said of its rows is not written down."""
    spoiled = {id(part) for job in whole if any(one.error for one in job.parts) for part in job.parts}
    gone = {one for part, answer in made.done if id(part) in spoiled for one in answer.ids}
    made.records = [one for one in made.records if one.id not in gone]
    made.shown = [one for one in made.shown if one.record.id not in gone]


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
