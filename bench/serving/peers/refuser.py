"""The limit of refusing: uvloop reads what came, looks at none of it, and writes one fixed refusal.

python -m bench.serving.peers.refuser PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_TOLD = b'{"error":"too much to do"}'
_REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n%b" % (len(_TOLD), _TOLD)


class Refuser(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - asyncio's name
        self._write(_REFUSAL)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Refuser, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
