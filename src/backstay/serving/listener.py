"""Takes new connections, as many as wait, each time the loop comes round.

libuv takes one each time. That is fair between processes, and quick while the loop is idle; but a loop under overload
comes round some fifty times a second, between batches: so many clients could connect in a second, probes of a balancer
among them, and the others would wait in the system's queue until that overflows and for seconds nobody can connect.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from backstay.serving.connection import Connection

AT_ONCE = 64
"""Connections taken together: one worker should not take all, if several listen."""
_PAUSE_SECONDS = 1.0
_LATE_SECONDS = 0.25
"""How long a connection that begins once the server stops is waited for: mostly a request comes right behind it."""
_logger = logging.getLogger("backstay.serving")


class Listener:
    """Serves every connection to a listening socket by a protocol of its own, until it is closed: as an asyncio server.

    tls: of its server side; a handshake that takes longer than `handshake` seconds ends
    """

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], listener: socket.socket, tls: ssl.SSLContext | None,
        handshake: float,
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._factory, self._listener, self._tls, self._handshake = factory, listener, tls, handshake
        self._starting: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.TimerHandle | None = None
        self._open, self._ended = True, False
        listener.setblocking(False)
        self._loop.add_reader(listener, self._take)

    def close(self) -> None:
        """Take no more connections: the server stops. Those that were taken, and only begin, are told to end soon."""
        self._ended = True
        self.rest()

    def rest(self) -> None:
        """Take no more connections; those that were taken go on."""
        if self._open:
            self._open = False
            if self._resuming is not None:
                self._resuming.cancel()
            self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Until no connection is only about to begin: a handshake takes its time."""
        if self._starting:
            await asyncio.wait(self._starting)

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # there are no more, or it was another worker's, or its client has gone
            except OSError as error:  # no file for it, mostly; it stays in the system's queue
                _logger.warning("no connection can be taken now: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._resuming = self._loop.call_later(_PAUSE_SECONDS, self._resume)
                return
            task = self._loop.create_task(self._serve(connection))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def _resume(self) -> None:
        self._resuming = None
        self._loop.add_reader(self._listener, self._take)

    async def _serve(self, connection: socket.socket) -> None:
        handshake = None if self._tls is None else self._handshake
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, protocol = await self._loop.connect_accepted_socket(
                self._factory, connection, ssl=self._tls, ssl_handshake_timeout=handshake
            )
        except OSError as error:  # of TLS too: the client's doing, and nobody is there to be told
            _logger.debug("a connection did not begin: %s", error)
            return
        if self._ended and isinstance(protocol, Connection):
            # The others were told to end before there was this one.
            self._loop.call_later(_LATE_SECONDS, protocol.shutdown)
