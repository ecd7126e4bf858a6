"""Connections: closed when nothing comes by them, and only then; read as long as the client reads its answers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvloop

from backstay.serving import connection
from backstay.serving.connection import Connection
from backstay.serving.protocol import ServingProtocol
from tests.serving.doors import Door, serving

BIG = 4_000_000
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
Run = Callable[..., Any]


class Answering(Door):
    """An application that reads what it is sent, or at /early does not, and answers with very much, or with little."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.limiter.pending -= "backstay.pending" in scope.get("extensions", ())
        while scope["method"] == "POST" and scope["path"] != "/early" and (await receive()).get("more_body"):
            pass
        body = b"k" * (BIG if scope["path"] == "/big" else 2)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def asked(run: Run, door: Door, ask: Callable[[int], Any], **settings: Any) -> Any:
    """What `ask` returns, which is a client in a thread, given the server's port."""

    async def main() -> Any:
        async with serving(door, **settings) as port:
            return await asyncio.to_thread(ask, port)

    return run(main())


def connected(port: int) -> socket.socket:
    """A client that has not much room for answers that it does not read."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    one.settimeout(10)
    one.connect(("127.0.0.1", port))
    return one


def post(path: str, body: bytes = b"{}") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


PREDICT = post("/v1/models/m/predict")


def answers(one: socket.socket, number: int) -> list[int]:
    """The statuses of so many answers, read whole."""
    reader, statuses = one.makefile("rb"), []
    for _ in range(number):
        statuses.append(int(reader.readline().split()[1]))
        length = 0
        while line := reader.readline().strip():
            if line.lower().startswith(b"content-length"):
                length = int(line.split()[1])
        assert len(reader.read(length)) == length
    return statuses


@LOOPS
def test_one_that_nothing_comes_by_is_closed_and_one_that_is_used_is_not(run: Run) -> None:
    def ask(port: int) -> float:
        with connected(port) as one:
            for _ in range(4):  # for longer than it would be kept if nothing came
                one.sendall(PREDICT)
                assert answers(one, 1) == [429]
                time.sleep(0.4)
            one.sendall(PREDICT)
            assert answers(one, 1) == [429]
            begin = time.monotonic()
            assert one.recv(1) == b""
            return time.monotonic() - begin

    assert 0.5 < asked(run, Answering(0), ask, timeout_keep_alive=1) < 5


HALF = b"POST /whole HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"


def until_closed(port: int, *pieces: bytes, every: float = 0.0) -> tuple[float, bytes]:
    """How long a connection stays that these pieces come by, and what came back."""
    with connected(port) as one:
        begin, data = time.monotonic(), b""
        one.settimeout(every or 10)
        for piece in [*pieces, b""]:
            try:
                one.sendall(piece)
                while got := one.recv(65_536):
                    data += got
                return time.monotonic() - begin, data
            except TimeoutError:
                pass
    raise AssertionError(f"it was not closed: {data!r}")


@pytest.mark.parametrize("plane", [None, Connection], ids=["data", "admin"])
@LOOPS
def test_one_that_brings_nothing_or_half_a_request_is_closed(
    run: Run, plane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 2.0)

    def ask(port: int) -> list[tuple[float, bytes]]:
        with ThreadPoolExecutor(5) as threads:
            told = [
                threads.submit(until_closed, port),
                threads.submit(until_closed, port, HALF[:20]),
                threads.submit(until_closed, port, HALF),
                threads.submit(until_closed, port, b"GET /small HTTP/1.1\r\nhost: x\r\n\r\n" + HALF[:20]),
                # A head that goes on coming, a little at a time, is no better.
                threads.submit(until_closed, port, HALF[:8], *[b"a"] * 60, every=0.1),
            ]
            return [one.result() for one in told]

    silent, *halves = asked(run, Answering(100), ask, timeout_keep_alive=1, http=plane)
    assert silent[1] == b""
    times = [seconds for seconds, _ in [silent, *halves]]
    assert all(1.5 < seconds < 6 for seconds in times), times
    for _, data in halves:
        assert b" 408 Request Timeout\r\ncontent-type: application/json\r\n" in data
    assert halves[2][1].startswith(b"HTTP/1.1 200 ")


@LOOPS
def test_a_body_that_goes_on_coming_has_all_the_time_it_takes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 1.0)

    def ask(port: int) -> list[int]:
        with connected(port) as one:
            one.sendall(HALF[:-4])
            for _ in range(9):
                time.sleep(0.5)
                one.sendall(b"x")
            return answers(one, 1)

    assert asked(run, Answering(100), ask, timeout_keep_alive=1) == [200]


@LOOPS
def test_a_client_that_does_not_read_its_refusals_is_not_read_either_and_loses_none(run: Run) -> None:
    """However late it reads: what it has sent, and was not read, is no reason to close."""

    def ask(port: int) -> tuple[int, int]:
        sent, got = 0, 0
        with connected(port) as one:
            one.settimeout(0.5)
            try:
                while sent < 200_000:
                    one.sendall(PREDICT)
                    sent += 1
            except TimeoutError:
                pass
            time.sleep(2.5)  # longer than an idle connection is kept
            one.settimeout(10)
            while got < sent:
                piece = one.recv(65_536)
                assert piece
                got += piece.count(b"}")  # the end of each
        return sent, got

    sent, got = asked(run, Answering(0), ask, timeout_keep_alive=1)
    assert sent == got < 200_000


@LOOPS
def test_an_answer_that_is_read_late_holds_up_what_comes_after_it_no_longer(run: Run) -> None:
    def ask(port: int) -> list[int]:
        with connected(port) as one:
            large = post("/big", b"x" * 90_000)
            one.sendall(large[:-90_000])
            time.sleep(0.3)
            one.sendall(large[-90_000:])  # more than is taken in before it is asked for
            time.sleep(0.5)
            first = answers(one, 1)
            one.sendall(b"GET /small HTTP/1.1\r\nhost: x\r\n\r\n")
            return first + answers(one, 1)

    assert asked(run, Answering(100), ask) == [200, 200]


@LOOPS
def test_large_answers_to_requests_in_a_row_are_read_late(run: Run) -> None:
    def ask(port: int) -> list[int]:
        with connected(port) as one:
            one.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
            time.sleep(0.5)
            first = answers(one, 3)
            one.sendall(b"GET /small HTTP/1.1\r\nhost: x\r\n\r\n")
            return first + answers(one, 1)

    assert asked(run, Answering(100), ask) == [200, 200, 200, 200]


@pytest.mark.parametrize(
    "url", ["http:///predict", "http://a:b/predict", "http://h:999999/predict", "http://[::/infer"]
)
def test_a_url_that_is_none_takes_no_room(url: str) -> None:
    door = Answering(5)

    def ask(port: int) -> int:
        for _ in range(12):
            with connected(port) as one:
                one.sendall(post(url))
                assert answers(one, 1) == [400]
        with connected(port) as one:
            one.sendall(PREDICT)
            return answers(one, 1)[0]

    assert asked(uvloop.run, door, ask) == 200
    assert door.limiter.pending == 0


@LOOPS
def test_one_that_waits_for_its_next_request_is_small(run: Run) -> None:
    """There are thousands of them. What uvicorn may set one day beyond what we know of would make each larger."""
    made: list[Any] = []

    class Noted(ServingProtocol):
        __slots__ = ()

        def connection_made(self, transport: Any) -> None:
            made.append(self)
            super().connection_made(transport)

    def ask(port: int) -> None:
        with connected(port) as one:
            early = post("/early")
            for sent, number, rest in (
                (post("/") * 3, 3, b""), (PREDICT, 1, b""), (post("/big", b"k" * 100_000), 1, b""),
                (early[:-1], 1, early[-1:]),
            ):  # fmt: skip
                one.sendall(sent)
                assert answers(one, number) == [200] * number
                one.sendall(rest)
                time.sleep(0.05)
                assert (made[0].cycle, made[0].scope, vars(made[0]), list(made[0].pipeline)) == (None, None, {}, [])

    asked(run, Answering(100), ask, http=Noted)
