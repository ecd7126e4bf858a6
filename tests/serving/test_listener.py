"""Connections are taken as they come, also by a loop that has no time, and when there are no files for them."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from backstay.serving.server import Loop, listen
from tests.serving.doors import Door, serving

CLIENTS = 100


class Greeting(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"x")


def asked(ask: Callable[[tuple[str, int]], Any], busy: float = 0.0) -> tuple[Any, int]:
    """What `ask` returns, which is a client in a thread, given a server's address; and how often the loop came round.

    busy: seconds of work each time it does
    """
    rounds = 0

    async def main() -> Any:
        nonlocal rounds
        listener, loop = listen("127.0.0.1", 0), asyncio.get_running_loop()
        server = await loop.create_server(Greeting, sock=listener, ssl=None, backlog=2048)
        client = asyncio.create_task(asyncio.to_thread(ask, listener.getsockname()))
        while not client.done():
            rounds += 1
            time.sleep(busy)
            await asyncio.sleep(0 if busy else 0.01)
        server.close()
        await server.wait_closed()
        listener.close()
        return client.result()

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main()), rounds


def test_many_clients_come_in_while_the_loop_is_busy() -> None:
    def ask(address: tuple[str, int]) -> set[bytes]:
        clients = [socket.create_connection(address, timeout=20) for _ in range(CLIENTS)]
        got = {one.recv(1) for one in clients}
        for one in clients:
            one.close()
        return got

    got, rounds = asked(ask, busy=0.05)
    assert got == {b"x"}
    assert rounds < CLIENTS / 4


def test_without_files_the_next_clients_wait(caplog: pytest.LogCaptureFixture) -> None:
    def ask(address: tuple[str, int]) -> set[bytes]:
        clients = [socket.socket() for _ in range(CLIENTS)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = max(one.fileno() for one in clients) + CLIENTS // 2
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
        try:
            for one in clients:
                one.settimeout(20)
                one.connect(address)
            time.sleep(0.5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        got = {one.recv(1) for one in clients}
        for one in clients:
            one.close()
        return got

    with caplog.at_level(logging.WARNING, logger="backstay.serving"):
        got, _ = asked(ask)
    assert got == {b"x"}
    assert caplog.messages == ["no connection can be taken now: Too many open files"]


class Answering(Door):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"], ids=["silent", "asks"])
def test_one_that_is_taken_as_the_server_stops_is_answered_and_holds_nothing_up(sent: bytes) -> None:
    async def main() -> tuple[bytes, float]:
        async with serving(Answering(10), timeout_graceful_shutdown=10) as port:
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
            client.sendall(sent)
            time.sleep(0.2)  # the loop takes it in the turn in which it begins to stop
            begin = time.monotonic()
        took = time.monotonic() - begin
        with client:
            return client.recv(99), took

    with asyncio.Runner(loop_factory=Loop) as runner:
        got, took = runner.run(main())
    assert got.startswith(b"HTTP/1.1 200" if sent else b"")
    assert bool(got) == bool(sent)
    assert took < 5  # and not after 10 s, which are for answers
