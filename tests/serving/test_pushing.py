"""Pushes at the server: few events at once, many beside the loop, none out of order, and no more than there is room."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from backstay.serving import pushing as module
from backstay.serving.pushing import FEW_BYTES, Pushing
from backstay.serving.refusal import Overloaded, Refusal

FEW, MANY = b"few", b"x" * (FEW_BYTES + 1)


class Source:
    """Notes what it takes, and by which thread; what is many it takes when it may."""

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
    pushing = Pushing({"events": source})  # type: ignore[dict-item]

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
        def take(self, data: bytes) -> dict[str, object]:
            raise ValueError(len(data))

    pushing = Pushing({"events": Failing()})  # type: ignore[dict-item]
    for data in (FEW, MANY, FEW):
        with pytest.raises(ValueError, match=str(len(data))):
            _run(pushing.take("events", data))
    with pytest.raises(Refusal, match=r"no source 'other'.*\['events'\]"):
        _run(pushing.take("other", FEW))
    pushing.close()


def test_bodies_wait_outside_when_there_is_no_room() -> None:
    pushing = Pushing({}, room=100)
    with pushing.held(1_000), pytest.raises(Overloaded), pushing.held(1):  # the first is alone, whatever its size
        pass
    with pushing.held(60), pushing.held(40), pytest.raises(Overloaded), pushing.held(1):
        pass
    with pushing.held(100):
        pass
    assert module.ROOM >= 64 << 20
