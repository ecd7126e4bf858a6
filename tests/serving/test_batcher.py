"""The batcher: what is ready together is computed together, nobody waits, what nobody wants any more is dropped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import monotonic, sleep
from typing import Any

import pytest

from backstay.serving.admission import Limiter
from backstay.serving.batcher import LARGEST, Batcher
from backstay.serving.job import Job
from backstay.serving.metrics import Metrics
from backstay.serving.refusal import Gone, Late, Overloaded


class Work:
    """What a batcher is given: it answers each job with its rows, and remembers the batches."""

    def __init__(self, *, blocks: bool = False, limit: int = 1_000) -> None:
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.during: Callable[[], None] = lambda: None
        self.limiter = Limiter(1_000.0, limit)
        self.limiter.limit, self.limiter.each = limit, 1e-6
        self.metrics = Metrics()
        self._blocks = blocks

    def __call__(self, jobs: Sequence[Job[int]]) -> None:
        self.batches.append(len(jobs))
        self.threads.add(threading.current_thread().name)
        self.during()
        for job in jobs:
            job.answer = job.rows

    def run(self, what: Callable[[Batcher[Job[int]]], Coroutine[Any, Any, Any]]) -> Any:
        async def main() -> Any:
            with ThreadPoolExecutor(1, "worker") as worker:
                loop = asyncio.get_running_loop()
                return await what(
                    Batcher(self, loop, self.limiter, self.metrics, blocks=lambda _: self._blocks, worker=worker)
                )

        return asyncio.run(main())


class Client:
    def __init__(self, *, gone: bool) -> None:
        self.gone = gone


async def answered(batcher: Batcher[Job[int]], *jobs: Job[int]) -> list[int | Exception | None]:
    await asyncio.gather(*(batcher.submit(job) for job in jobs))
    return [job.answer if job.error is None else job.error for job in jobs]


def jobs(*rows: int) -> list[Job[int]]:
    return [Job(one) for one in rows]


def read(rows: int = 1) -> Job[int]:
    """A job that comes straight from a socket, while the loop reads others."""
    return Job(rows, begun=monotonic(), future=asyncio.get_running_loop().create_future())


def test_what_is_ready_together_is_computed_together() -> None:
    work = Work()
    assert work.run(lambda b: answered(b, *jobs(1, 2, 3))) == [1, 2, 3]
    assert work.batches == [3]


def test_a_batch_holds_so_many_rows_and_a_large_request_is_a_batch_of_its_own() -> None:
    work = Work()
    work.run(lambda b: answered(b, *jobs(*[1] * (LARGEST + 10))))
    assert work.batches == [LARGEST, 10]
    work.batches.clear()
    work.run(lambda b: answered(b, *jobs(1, 500, 1)))
    assert sum(work.batches) == 3
    assert 2 <= len(work.batches) <= 3


def test_a_lone_request_waits_one_turn_of_the_loop() -> None:
    async def turns(batcher: Batcher[Job[int]]) -> int:
        future, count = batcher.submit(Job(1)), 0
        while not future.done():
            await asyncio.sleep(0)
            count += 1
        return count

    assert Work().run(turns) == 1


def test_a_full_batch_is_computed_while_sockets_are_read_and_counts_until_they_all_are() -> None:
    work = Work(limit=2 * LARGEST + 10)

    async def crowd(batcher: Batcher[Job[int]]) -> list[bool]:
        futures = [batcher.submit(read()) for _ in range(2 * LARGEST + 10)]
        done = [future.done() for future in futures]
        assert work.batches == [LARGEST, LARGEST]
        assert (work.limiter.rows, work.limiter.full) == (10, True)
        with pytest.raises(Overloaded):  # though little waits: whoever has not been read yet waits too
            batcher.submit(Job(1))
        await asyncio.sleep(0)
        assert not work.limiter.full
        await asyncio.gather(*futures, batcher.submit(Job(1)))
        return done

    assert work.run(crowd) == [True] * 2 * LARGEST + [False] * 10
    assert work.batches == [LARGEST, LARGEST, 10, 1]
    assert (work.limiter.rows, work.limiter.spent) == (0, 0)


def test_a_full_batch_that_blocks_goes_to_the_worker_and_the_next_one_waits_for_it() -> None:
    work = Work(blocks=True)

    async def crowd(batcher: Batcher[Job[int]]) -> None:
        await asyncio.gather(*(batcher.submit(read()) for _ in range(2 * LARGEST + 10)))

    work.run(crowd)
    assert work.batches == [LARGEST, LARGEST, 10]
    assert (work.limiter.rows, work.limiter.spent) == (0, 0)


def test_what_comes_by_a_task_is_computed_when_the_loop_comes_round_and_all_of_it() -> None:
    """Answered at once, it would count while the sockets are read behind it, and its own client would be refused."""
    work = Work(limit=10)

    async def alone(batcher: Batcher[Job[int]]) -> bool:
        work.limiter.limit = 10
        future = batcher.submit(Job(300))
        waits = not future.done()
        await future
        await batcher.submit(Job(1))
        work.limiter.limit = 1_000
        crowd = [batcher.submit(Job(1)) for _ in range(2 * LARGEST + 10)]
        await asyncio.sleep(0)
        return waits and all(one.done() for one in crowd)

    assert work.run(alone)
    assert work.batches == [1, 1, LARGEST, LARGEST, 10]


@pytest.mark.parametrize(("blocks", "least", "most"), [(False, 0.1, 0.3), (True, 0.0, 0.1)])
def test_what_rows_take_is_measured_apart_from_what_reading_and_refusing_takes(
    blocks: bool, least: float, most: float
) -> None:
    """A worker computes while the loop reads: nothing is left for fewer answers then. Idle, it counts as neither."""
    work = Work(blocks=blocks)
    work.during = lambda: sleep(0.05)
    told: list[tuple[int, float, float]] = []
    work.limiter.served = lambda *turn: told.append(turn)  # type: ignore[method-assign]

    async def crowd(batcher: Batcher[Job[int]]) -> None:
        for _ in range(3):
            futures = [batcher.submit(read()) for _ in range(LARGEST)]
            sleep(0.1)
            await asyncio.gather(*futures)
            await asyncio.sleep(0.3)

    work.run(crowd)
    assert [rows for rows, _, _ in told] == [LARGEST] * 3
    for _, seconds, beside in told:
        assert seconds >= 0.05
        assert least <= beside < most


def test_models_that_share_a_loop_share_its_time() -> None:
    """A row of each takes no longer than if all were of one, and no fewer may wait."""
    work = Work()
    work.during = lambda: sleep(0.004)

    async def crowd(first: Batcher[Job[int]]) -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as worker:
            others = [
                Batcher(work, loop, work.limiter, work.metrics, blocks=lambda _: False, worker=worker) for _ in range(7)
            ]
            for _ in range(20):
                futures = [one.submit(Job(1)) for one in (first, *others) for _ in range(16)]
                await asyncio.gather(*futures)
        return work.limiter.each, work.limiter.beside

    each, beside = work.run(crowd)
    assert 0.9 < each / (0.004 / 16) < 2
    assert beside < 7 * 0.004 / 2


@pytest.mark.parametrize("blocks", [False, True])
def test_what_is_late_or_wanted_by_nobody_is_not_computed(blocks: bool) -> None:
    work = Work(blocks=blocks)
    late, gone = Job[int](1, deadline=inf), Job[int](1, client=Client(gone=True))
    here, cancelled = Job[int](1, client=Client(gone=False)), Job[int](1)

    async def some(batcher: Batcher[Job[int]]) -> list[Any]:
        batcher.submit(cancelled).cancel()
        waiting = asyncio.gather(*(batcher.submit(job) for job in (late, gone, here)))
        late.deadline = monotonic() - 1
        await waiting
        return [job.error for job in (late, gone)]

    first, second = work.run(some)
    assert isinstance(first, Late)
    assert isinstance(second, Gone)
    assert here.answer == 1
    assert work.batches == [1]
    assert work.limiter.rows == 0


def test_what_blocks_is_computed_by_the_one_worker_while_the_loop_goes_on() -> None:
    work, released = Work(blocks=True), threading.Event()
    work.during = lambda: released.wait(10) and None

    async def some(batcher: Batcher[Job[int]]) -> list[int]:
        first = batcher.submit(Job(1))
        await asyncio.sleep(0.05)
        assert not first.done()  # the loop runs, the worker waits
        rest = [batcher.submit(Job(1)) for _ in range(5)]
        released.set()
        await asyncio.gather(first, *rest)
        return work.batches

    assert work.run(some) == [1, 5]  # what gathered meanwhile is drained at once
    assert all(name.startswith("worker") for name in work.threads)
    assert len(work.threads) == 1


@pytest.mark.parametrize("blocks", [False, True])
def test_work_that_fails_is_answered_and_the_next_batch_is_computed(blocks: bool) -> None:
    work = Work(blocks=blocks)

    def fail() -> None:
        work.during = lambda: None
        raise RuntimeError("broken")

    async def some(batcher: Batcher[Job[int]]) -> list[Any]:
        work.during = fail
        first = await answered(batcher, *jobs(1, 2))
        return [*first, *await answered(batcher, *jobs(3))]

    one, two, three = work.run(some)
    assert str(one) == str(two) == "broken"
    assert three == 3
    assert work.limiter.rows == 0


def test_what_is_over_the_limit_is_refused_and_the_rest_is_answered() -> None:
    work = Work(limit=8)

    async def some(batcher: Batcher[Job[int]]) -> list[int | None]:
        first = jobs(*[1] * 8)
        futures = [batcher.submit(job) for job in first]
        with pytest.raises(Overloaded):
            batcher.submit(Job(1))
        await asyncio.gather(*futures)
        return [job.answer for job in first]

    assert work.run(some) == [1] * 8
