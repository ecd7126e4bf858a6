"""Shadows: versions that are shown what another one answered, off the response path. They never answer anybody.

What they get is a copy of the rows as they were scored, features and all, so a shadow looks nothing up. Their budget is
their own: one thread, and a bounded queue. Whatever does not fit is shed and counted, and while requests wait for more
than half of what the server takes, nothing is queued at all: shadows go first. What a shadow says is logged as a
prediction of the route "shadow", with an id of its own, beside the id of the prediction that was answered (`of`). A row
for which a shadow has no score (an exception, NaN, infinite) is logged too, with NaN and why: it is evidence.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

import msgspec
import numpy as np
import numpy.typing as npt

from backstay.core.clock import Clock
from backstay.core.identity import new_ids
from backstay.serving.admission import Limiter
from backstay.serving.cuts import Cuts
from backstay.serving.job import Asking
from backstay.serving.routes import Choice
from backstay.serving.scoring import no_number, said, scored
from backstay.storage.ports import PredictionLog
from backstay.storage.predictions import Prediction

LARGEST = 1_024
"""Rows that wait for their shadows."""
TOGETHER = 64
_logger = logging.getLogger("backstay.serving")


@dataclass(frozen=True, slots=True)
class Shown:
    """One row that a shadow is shown: the model's inputs, and the record of what was answered. entry: the route's"""

    choice: Choice
    vector: npt.NDArray[np.float32]
    record: Prediction
    entry: int = 0


def copies(jobs: Sequence[Asking], matrix: npt.NDArray[np.float32], records: Sequence[Prediction]) -> Iterator[Shown]:
    """What the shadows of some jobs are shown: the jobs' rows stand one below the other, in `matrix` and `records`."""
    begin = 0
    for job in jobs:
        end, snapshot = begin + job.rows, job.snapshot
        if snapshot is not None and snapshot.entry is not None and snapshot.shadows:
            for row in range(begin, end):
                for choice in snapshot.shadowed(records[row].keys):
                    yield Shown(choice, matrix[row], records[row], snapshot.entry.entry_id)
        begin = end


class Shadows:
    """Scores and logs what shadows are shown, in a thread of its own, which starts with the first row.

    replay: nothing is timed, so that history served again is logged the same again
    cuts:   where it is marked whose rows are scored, should that end this process, or not end
    shed, failed: rows that were not taken, and rows whose shadow or log failed
    logged: rows with a score
    waiting: rows that are queued, or being scored
    """

    def __init__(
        self, log: PredictionLog, clock: Clock, limiter: Limiter, largest: int = LARGEST, *, replay: bool = False,
        cuts: Cuts | None = None,
    ) -> None:  # fmt: skip
        self._log, self._clock, self._limiter, self._largest = log, clock, limiter, largest
        self._replay, self._cuts = replay, cuts
        self._waiting: deque[Shown] = deque()
        self._more = threading.Condition()
        self._thread: threading.Thread | None = None
        self._over = False
        self.shed = self.failed = self.logged = self.waiting = 0

    def offer(self, rows: Sequence[Shown]) -> None:
        """Queue rows, as many as there is room for. It never waits."""
        with self._more:
            busy = self._over or self._limiter.rows > self._limiter.limit / 2
            room = 0 if busy else max(0, self._largest - len(self._waiting))
            self._waiting.extend(rows[:room])
            self.waiting += len(rows[:room])
            self.shed += max(0, len(rows) - room)
            if room:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="backstay-shadows", daemon=True)
                    self._thread.start()
                self._more.notify()

    def close(self) -> None:
        """Finish what is queued, and end the thread."""
        with self._more:
            self._over = True
            self._more.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._more:
                self._more.wait_for(lambda: self._waiting or self._over)
                if not self._waiting:
                    return
                rows = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            groups: dict[int, list[Shown]] = {}
            for one in rows:
                groups.setdefault(id(one.choice), []).append(one)
            for group in groups.values():
                try:
                    scored = self._score(group)
                    self.logged += scored
                    self.failed += len(group) - scored
                except Exception:  # a log that fails is counted and told; it must never end the thread
                    self.failed += len(group)
                    _logger.exception("%d rows of a shadow were lost", len(group))
            with self._more:
                self.waiting -= len(rows)

    def _score(self, rows: Sequence[Shown]) -> int:
        """Score and log rows of one shadow: how many of them have a score."""
        choice = rows[0].choice
        served = choice.served
        if self._cuts is not None:
            self._cuts.begins(rows[0].entry, served, len(rows), shadow=True)
        begin, problem = perf_counter_ns(), ""
        try:
            raw = scored(served.scorer, np.stack([one.vector for one in rows]))
        except Exception as error:  # whatever it is, it is logged with its rows
            raw = np.full(len(rows), np.nan)
            problem = said(error)
            _logger.exception("%d rows of a shadow have no score", len(rows))
        if self._cuts is not None:
            self._cuts.ends()
        took = 0 if self._replay else max(1, (perf_counter_ns() - begin) // 1_000)
        sound = np.isfinite(raw)
        scores, decided = served.rule(np.where(sound, raw, 0.5))
        sound &= np.isfinite(scores)
        now = self._clock.now()
        records = [
            msgspec.structs.replace(
                one.record, id=new, served_at=now, version=served.version.digest, route=choice.route,
                propensity=choice.propensity, score=score if good else np.nan, decision=bool(decision and good),
                rule=served.rule.name, of=one.record.id, took=took, chance=1.0,
                error="" if good else problem or no_number(was),
            )
            for one, new, was, score, decision, good in zip(
                rows, new_ids(len(rows)), raw.tolist(), scores.tolist(), decided.tolist(), sound.tolist(), strict=True
            )
        ]  # fmt: skip
        written = self._log.submit(records)
        if written is not None:
            written.result()
        return int(sound.sum())
