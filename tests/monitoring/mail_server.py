"""A mail server: SMTP over a socket of this machine, as much of it as a client needs (RFC 5321), on threads."""

from __future__ import annotations

import socketserver
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Self


@dataclass
class MailServer:
    """Takes mail, and keeps it. A context.

    refuse: what it answers to each recipient instead of taking them; dumb: it says nothing at all
    """

    refuse: str = ""
    dumb: bool = False
    mails: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer._talk(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _talk(self, handler: socketserver.StreamRequestHandler) -> None:
        def say(text: str) -> None:
            handler.wfile.write(f"{text}\r\n".encode())

        if self.dumb:
            handler.rfile.readline()
            return
        say("220 here")
        while line := handler.rfile.readline().decode().strip():
            word = line.partition(" ")[0].upper()
            if word == "RCPT":
                self.recipients.append(line.partition(":")[2].strip("<> "))
                say(self.refuse or "250 fine")
            elif word == "DATA":
                say("354 go on")
                body = bytearray()
                while (part := handler.rfile.readline()) != b".\r\n":
                    body += part
                self.mails.append(message_from_bytes(bytes(body)))
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 fine")
