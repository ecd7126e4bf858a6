"""Pushes at the server: few events at once, many beside the loop, none out of order, and no more than there is room."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from backstay import Contract, EventSource, Expect
from backstay.core.clock import SystemClock
from backstay.features.online import OnlineWriter
from backstay.serving import pushing as module
from backstay.serving.push import Push
from backstay.serving.pushing import FEW_BYTES, Pushing
from backstay.serving.refusal import Overloaded, Refusal
from backstay.storage.backends.memory import MemoryEvents, MemoryOnline

FEW, MANY = b"few", b"x" * (FEW_BYTES + 1)


class Source:
    """Notes what it takes, and by which thread; what is many it takes when it may."""

    waits = False

    def __init__(self) -> None:
        self.may = threading.Event()
        self.took: list[tuple[bytes, str]] = []

    def take(self, data: bytes) -> dict[str, object]:
        if len(data) > FEW_BYTES:
            assert self.may.wait(10)
        self.took.append((data, threading.current_thread().name))
        return {"accepted": len(data)}


def _run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def test_many_events_hold_nobody_up_and_few_do_not_overtake_them() -> None:
    source = Source()
    pushing = Pushing({"events": source}, remote=False)  # type: ignore[dict-item]

    async def work() -> None:
        assert await pushing.take("events", FEW) == {"accepted": 3}
        many = asyncio.ensure_future(pushing.take("events", MANY))
        few = asyncio.ensure_future(pushing.take("events", FEW))
        for _ in range(10):  # the loop goes on
            await asyncio.sleep(0)
        assert not many.done()
        assert not few.done()
        source.may.set()
        assert (await many, await few) == ({"accepted": len(MANY)}, {"accepted": 3})
        assert await pushing.take("events", FEW) == {"accepted": 3}

    _run(work())
    pushing.close()
    loop = threading.current_thread().name
    assert [data for data, _ in source.took] == [FEW, MANY, FEW, FEW]
    assert [by == loop for _, by in source.took] == [True, False, False, True]


def test_what_a_push_raises_is_raised_whichever_thread_it_was_taken_by() -> None:
    class Failing:
        waits = False

        def take(self, data: bytes) -> dict[str, object]:
            raise ValueError(len(data))

    pushing = Pushing({"events": Failing()}, remote=False)  # type: ignore[dict-item]
    for data in (FEW, MANY, FEW):
        with pytest.raises(ValueError, match=str(len(data))):
            _run(pushing.take("events", data))
    with pytest.raises(Refusal, match=r"no source 'other'.*\['events'\]"):
        _run(pushing.take("other", FEW))
    pushing.close()


@pytest.mark.parametrize(("remote", "waits"), [(True, False), (False, True)])
def test_few_events_that_may_take_long_are_taken_beside_the_loop_too(remote: bool, waits: bool) -> None:
    source = Source()
    source.waits = waits
    pushing = Pushing({"events": source}, remote=remote)  # type: ignore[dict-item]
    assert _run(pushing.take("events", FEW)) == {"accepted": 3}
    pushing.close()
    assert source.took[0][1] != threading.current_thread().name


def test_what_takes_turns_with_an_ingest_is_taken_beside_the_loop() -> None:
    """The loop answers while the turn is another's."""
    contract, record = Contract(Expect.unique("id")), MemoryEvents()
    source = EventSource("pays", schema={"id": "int"}, timezone="UTC", contract=contract)
    writer = OnlineWriter(MemoryOnline(), [])
    push = Push(source, record, writer, SystemClock(), feature_sets=(), replay=False)
    pushing = Pushing({"pays": push}, remote=False)

    async def both() -> None:
        with record.turn("pays"):
            taking = asyncio.ensure_future(pushing.take("pays", b'{"event_time": "2024-05-20T11:00", "id": 1}'))
            await asyncio.sleep(0.1)
            assert not taking.done()
        assert (await taking)["accepted"] == 1

    _run(both())
    pushing.close()


def test_events_that_nobody_waits_for_any_more_are_not_overtaken() -> None:
    source = Source()
    pushing = Pushing({"events": source}, remote=False)  # type: ignore[dict-item]

    async def work() -> None:
        many = asyncio.ensure_future(pushing.take("events", MANY))
        await asyncio.sleep(0)
        many.cancel()
        with pytest.raises(asyncio.CancelledError):
            await many
        few = asyncio.ensure_future(pushing.take("events", FEW))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not few.done()
        source.may.set()
        await few

    _run(work())
    pushing.close()
    assert [data for data, _ in source.took] == [MANY, FEW]


def test_larger_bodies_wait_outside_when_there_is_no_room() -> None:
    """Room is for what has come: who has sent nothing yet holds nothing."""
    pushing = Pushing({}, remote=False, room=3 * FEW_BYTES)
    with pushing.room() as alone:
        for _ in range(10):
            alone(FEW_BYTES)  # whatever its size
        with pushing.room() as small, pushing.room() as large, pushing.room() as idle:
            idle(0)
            small(FEW_BYTES)
            with pytest.raises(Overloaded):
                large(FEW_BYTES + 1)
            with pytest.raises(Overloaded):
                alone(1)
    with pushing.room() as one, pushing.room() as other:
        one(2 * FEW_BYTES)
        other(FEW_BYTES)
        with pytest.raises(Overloaded):
            other(1)
    with pushing.room() as one, pushing.room() as other:  # all of it is free again
        one(FEW_BYTES)
        other(2 * FEW_BYTES)
    assert module.ROOM >= 64 << 20
