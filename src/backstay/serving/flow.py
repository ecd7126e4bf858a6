"""Flow control of a connection, as uvicorn's requests ask for it: what is rarely needed is made when it is."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Whether a connection is read from, and may be written to."""

    __slots__ = ("_transport", "_writable", "crowded", "held", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport) -> None:  # uvicorn's would make an event for each
        self._transport = transport
        self.read_paused = self.write_paused = False
        self.crowded = False
        """Whether requests wait behind the one in flight. Nothing is read then: each would bring thousands more."""
        self.held = False
        """Whether nothing is read for now, whatever else would have it read."""
        self._writable: asyncio.Event | None = None

    def resume_reading(self) -> None:
        if not (self.crowded or self.held):
            super().resume_reading()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    async def drain(self) -> None:
        if self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()
