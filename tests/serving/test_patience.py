"""Patience: whoever was refused waits to be read again, if refusing would take more of the time than it may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backstay.serving import patience as module
from backstay.serving.admission import Limiter
from backstay.serving.patience import Patience
from tests.serving.doors import Door, serving

_BODY = b"{}"
_ASK = b"POST /v1/models/m/predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Told:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def hold(self) -> None:
        self.told.append("hold")

    def release(self, stale: bool) -> None:
        self.told.append("stale" if stale else "release")

    def fresh(self) -> None:
        self.told.append("fresh")


def _patience(longest: float, refusal: float = 0.001, objective: float = 0.1) -> Patience:
    limiter = Limiter(objective, 1_000)
    limiter.refusal = refusal
    return Patience(limiter, longest)


def _refuse(patience: Patience, connection: Told, loop: asyncio.AbstractEventLoop) -> None:
    patience._limiter.refused += 1
    patience.refused(connection, loop)


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusing has no time at all: whoever is refused waits."""
    monkeypatch.setattr(module, "_SHARE", 0.0)
    monkeypatch.setattr(module, "_KEPT", 0.0)


def _run(trying: Callable[[asyncio.AbstractEventLoop], Awaitable[None]]) -> None:
    async def main() -> None:
        await trying(asyncio.get_running_loop())

    asyncio.run(main())


def test_as_long_as_refusing_has_time_left_nobody_waits() -> None:
    patience, connections = _patience(1.0), [Told() for _ in range(40)]

    async def trying(loop: asyncio.AbstractEventLoop) -> None:
        for one in connections:
            _refuse(patience, one, loop)

    _run(trying)
    held = [bool(one.told) for one in connections]
    assert 15 < held.index(True) < 25  # 20 of them take the 20 ms that are kept for a burst
    assert all(held[held.index(True) :])
    assert patience.held == sum(held)


@pytest.mark.usefixtures("no_time")
def test_who_waits_is_read_again_after_the_longest_time_the_first_first() -> None:
    patience = _patience(0.1)
    first, second = Told(), Told()

    async def trying(loop: asyncio.AbstractEventLoop) -> None:
        _refuse(patience, first, loop)
        await asyncio.sleep(0.05)
        _refuse(patience, second, loop)
        while not first.told[1:]:
            await asyncio.sleep(0.001)
        assert second.told == ["hold"]
        while patience.held:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)

    _run(trying)
    assert first.told == second.told == ["hold", "stale", "fresh"]


def test_where_it_is_over_nobody_waits_to_the_end() -> None:
    patience, connections = _patience(60.0, objective=10.0), [Told() for _ in range(100)]

    async def trying(loop: asyncio.AbstractEventLoop) -> None:
        for one in connections:
            _refuse(patience, one, loop)
        assert patience.held > 50
        while patience.held:
            await asyncio.sleep(0.01)

    begin = time.monotonic()
    _run(trying)
    assert time.monotonic() - begin < 30
    # No longer than any request may wait to be read: what has come is none that waited too long.
    assert {tuple(one.told) for one in connections} == {(), ("hold", "release")}


class Answering(Door):
    """It lets so many rows in, and answers what is let in with 200."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.limiter.pending -= "backstay.pending" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


def _door(limit: float, longest: float) -> Door:
    """One whose connections are left unread for so long."""
    door = Answering(limit)
    door.patience = Patience(door.limiter, longest)
    return door


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await asyncio.wait_for(reader.readexactly(int(length.split(b":")[1])), 10)
    return int(head.split(b" ", 2)[1])


def _talk(door: Door, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with serving(door) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await talk(reader, writer)
            finally:
                writer.close()

    return asyncio.run(main())


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize(
    "pieces", [[_ASK], [_ASK[:20], _ASK[20:]], [_ASK[:-1], _ASK[-1:]]], ids=["whole", "head", "body"]
)
def test_what_a_refused_client_asks_at_once_is_refused_later(pieces: list[bytes]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[tuple[int, bool]]:
        answers = []
        for _ in range(4):
            begin = time.monotonic()
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.02)
            answers.append((await _answer(reader), time.monotonic() - begin >= 0.4))
        return answers

    # The second one waited, nobody knows how long; the third is new.
    assert _talk(_door(0, 0.5), talk) == [(429, False), (429, True)] * 2


@pytest.mark.usefixtures("no_time")
def test_what_waited_for_too_long_is_refused_though_there_is_room_now_and_the_next_is_not() -> None:
    door = _door(0, 0.5)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[int]:
        writer.write(_ASK)
        statuses = [await _answer(reader)]
        writer.write(_ASK * 2)  # both are there when it is read again
        door.limiter.limit = 10
        statuses += [await _answer(reader), await _answer(reader)]
        writer.write(b"GET /other HTTP/1.1\r\nhost: x\r\n\r\n" + _ASK)
        return [*statuses, await _answer(reader), await _answer(reader)]

    assert _talk(door, talk) == [429, 429, 429, 200, 200]


@pytest.mark.usefixtures("no_time")
def test_who_asks_after_the_time_that_it_was_told_does_not_wait() -> None:
    door = _door(0, 0.2)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, int, float]:
        writer.write(_ASK)
        first = await _answer(reader)
        await asyncio.sleep(0.4)
        door.limiter.limit = 10
        begin = time.monotonic()
        writer.write(_ASK)
        return first, await _answer(reader), time.monotonic() - begin

    first, second, took = _talk(door, talk)
    assert (first, second) == (429, 200)
    assert took < 0.15


@pytest.mark.usefixtures("no_time")
def test_what_has_come_is_answered_when_the_server_stops_and_told_to_ask_another_one() -> None:
    async def main() -> tuple[int, bytes]:
        door = _door(0, 60.0)
        async with serving(door) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_ASK)
            first = await _answer(reader)
            writer.write(_ASK)
            await asyncio.sleep(0.1)
            door.leaving = True
        told = first, await reader.read()
        writer.close()
        return told

    first, rest = asyncio.run(main())
    assert first == 429
    assert rest.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nconnection: close\r\n" in rest
    assert rest.count(b"HTTP/1.1") == 1


@pytest.mark.usefixtures("no_time")
def test_a_client_that_waits_and_leaves_is_let_go() -> None:
    door = _door(0, 0.2)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(_ASK)
        status = await _answer(reader)
        assert door.patience.held == 1
        writer.transport.abort()
        while door.patience.held:
            await asyncio.sleep(0.01)
        return status

    assert _talk(door, talk) == 429


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize(
    "sent", [_ASK * 50, (_ASK + b"GET /other HTTP/1.1\r\nhost: x\r\n\r\n") * 20], ids=["same", "other"]
)
def test_whatever_comes_together_a_connection_waits_once_and_to_its_end(sent: bytes) -> None:
    door = _door(0, 0.5)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[list[int], int, float]:
        writer.write(sent)
        statuses = [await _answer(reader) for _ in range(sent.count(b"HTTP/1.1"))]
        held = door.patience.held
        begin = time.monotonic()
        writer.write(_ASK)
        statuses.append(await _answer(reader))
        return statuses, held, time.monotonic() - begin

    statuses, held, took = _talk(door, talk)
    assert held == 1
    assert statuses[0] == statuses[-1] == 429
    assert took > 0.3
    assert door.limiter.refused == statuses.count(429)  # each is paid for


@pytest.mark.usefixtures("no_time")
def test_what_waited_is_refused_however_its_end_comes_and_the_next_is_judged() -> None:
    door = _door(0, 0.5)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[int]:
        writer.write(_ASK)
        statuses = [await _answer(reader)]
        writer.write(_ASK[:-1])
        door.limiter.limit = 10
        await asyncio.sleep(0.7)  # its head was read by now
        writer.write(_ASK[-1:])
        statuses.append(await _answer(reader))
        writer.write(_ASK)
        return [*statuses, await _answer(reader)]

    assert _talk(door, talk) == [429, 429, 200]
