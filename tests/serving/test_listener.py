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
