"""Coalescing without waiting: requests that arrive in the same turn of the loop are computed together.

Nothing is ever delayed to fill a batch: idle, a request is computed in the next turn; busy, the queue that has gathered
is drained, each turn of the loop. A batch that is full is computed at once, though the loop has not read all of its
sockets: with thousands of them, that would be long. A batch holds no more than is computed well within its deadlines.
What has expired, or whose client has gone, is dropped before anything is computed for it.

A batch is computed on the loop as long as that is cheap (a row is scored in microseconds, and two threads would wait
for each other longer than that). What would hold the loop up goes to the one worker thread; meanwhile the loop
accepts, refuses and answers, and the queue gathers the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from time import monotonic
from typing import Any, Generic, TypeVar

from backstay.serving.admission import Limiter
from backstay.serving.job import Job
from backstay.serving.metrics import Metrics

LARGEST = 128
"""Rows that are computed together; one request may bring more. Half as many hold the loop up half as long, and each
costs more: under overload fewer are answered."""
_STRAIGHT = 0.001
"""Seconds: a loop that brings a request sooner than this after it came round was not idle meanwhile."""

Written = Future[None] | None
"""What must be done before answers are given; None: nothing."""

J = TypeVar("J", bound=Job[Any])


class Batcher(Generic[J]):
    """Collects jobs, and hands them to `work`, which gives each its answer or its error, and says what to wait for.

    blocks: whether a batch would hold the loop up, so that it is computed by `worker`
    """

    def __init__(
        self,
        work: Callable[[Sequence[J]], Written],
        loop: asyncio.AbstractEventLoop,
        limiter: Limiter,
        metrics: Metrics,
        *,
        blocks: Callable[[Sequence[J]], bool],
        worker: Executor,
    ) -> None:
        self._work, self._loop, self._limiter, self._metrics = work, loop, limiter, metrics
        self._blocks, self._worker = blocks, worker
        self._waiting: deque[J] = deque()
        self._rows = self._served = 0
        """of those that wait; of those computed since `_began`"""
        self._due = self._away = False
        self._began = self._busy = self._before = 0.0
        """since when the time that rows take is measured; seconds of it in which they were computed; how long the loop
        had computed until then, for whatever model"""

    def submit(self, job: J) -> asyncio.Future[None]:
        """Resolved when the job has its answer or its error. Raises `Overloaded` or `Late` if it is not let in."""
        self._limiter.enter(job.rows, job.deadline)
        reading = job.future is not None  # a lane's, which comes straight from a socket that is read
        if job.future is None:
            job.future = self._loop.create_future()
        # A loop that comes straight from a batch has read this one's sockets since.
        if not self._due and not self._away and job.begun - self._began >= _STRAIGHT:
            self._began, self._before = job.begun, self._limiter.computed
        self._waiting.append(job)
        self._rows += job.rows
        if not self._away and not self._due:
            self._due = True
            # One turn later, however many they are: by then the sockets that were ready together have all been read,
            # so that what waits is known, and what is too much of it refused.
            self._loop.call_soon(self._turn)
        if reading and self._rows >= LARGEST and not self._away:
            rows = self._limiter.rows
            self._flush()
            self._limiter.spent += rows - self._limiter.rows
        return job.future  # type: ignore[no-any-return]

    def _turn(self) -> None:
        """All sockets that were ready have been read."""
        self._due = False
        self._limiter.spent = 0
        while self._waiting and not self._away:
            self._flush()
        if not self._away:
            # All in which nothing was computed: it went to reading, and to refusing what was too much.
            self._measure(monotonic() - self._began - (self._limiter.computed - self._before))

    def _measure(self, beside: float) -> None:
        """What this turn's rows took, and its sockets."""
        if self._served:
            self._limiter.served(self._served, self._busy, beside)
        self._served, self._busy = 0, 0.0
        self._began, self._before = monotonic(), self._limiter.computed

    def _flush(self) -> None:
        jobs = self._take()
        if jobs:
            begun = monotonic()
            if self._blocks(jobs):
                self._away = True
                future = self._loop.run_in_executor(self._worker, self._work, jobs)
                future.add_done_callback(lambda done: self._back(jobs, done, begun))
                return
            try:
                written = self._work(jobs)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered: nobody may wait for ever
                _fail(jobs, error)
                written = None
            self._computed(jobs, written, begun)
            self._limiter.computed += monotonic() - begun

    def _back(self, jobs: Sequence[J], done: asyncio.Future[Written], begun: float) -> None:
        """The worker thread is done with a batch."""
        self._away = False
        error = asyncio.CancelledError("the server stops") if done.cancelled() else done.exception()
        if error is not None:
            _fail(jobs, error if isinstance(error, Exception) else RuntimeError(str(error)))
        self._computed(jobs, None if error is not None else done.result(), begun)
        self._measure(0.0)  # the loop was free meanwhile
        self._again()

    def _computed(self, jobs: Sequence[J], written: Written, begun: float) -> None:
        """A batch is computed; it is answered at once, or when it is written."""
        if written is None:
            self._settle(jobs)
        self._served += sum(job.rows for job in jobs)
        self._busy += monotonic() - begun
        if written is None:
            return

        def settle() -> None:
            error = written.exception()
            if error is not None:
                _fail(jobs, error if isinstance(error, Exception) else RuntimeError(str(error)))
            self._settle(jobs)

        written.add_done_callback(lambda _: self._loop.call_soon_threadsafe(settle))

    def _again(self) -> None:
        if self._waiting and not self._due:
            self._due = True
            self._loop.call_soon(self._turn)

    def _take(self) -> list[J]:
        """The next batch, of jobs whose answers are still wanted."""
        now, rows = monotonic(), 0
        jobs: list[J] = []
        dropped: list[J] = []
        waiting = self._waiting
        while waiting and (not jobs or rows + waiting[0].rows <= LARGEST):
            job = waiting.popleft()
            self._rows -= job.rows
            self._metrics.observe("queue", now - job.begun)
            if job.stages is not None:
                job.stages.append(("queue", job.begun, now))
            if not job.future.cancelled() and job.wanted(now, "before its features were looked up"):
                jobs.append(job)
                rows += job.rows
            else:
                dropped.append(job)
        if dropped:
            self._settle(dropped)
        if jobs:
            self._metrics.batch(rows)
        return jobs

    def _settle(self, jobs: Sequence[J]) -> None:
        """Let go of jobs that are answered, and tell whoever awaits them."""
        for job in jobs:
            self._limiter.leave(job.rows)
            if not job.future.done():
                job.future.set_result(None)


def _fail(jobs: Sequence[Job[Any]], error: Exception) -> None:
    for job in jobs:
        job.error = job.error or error
