"""What is no good HTTP: refused with JSON, within bounds, and never taken for another request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from backstay.serving import connection
from backstay.serving.connection import Connection
from backstay.serving.protocol import ServingProtocol
from tests.serving.doors import Door, serving

Plane = Callable[[], Any]
HEAD = b"POST /echo HTTP/1.1\r\nhost: x\r\n"
LIVE = b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n"
GOOD = HEAD + b"content-length: 4\r\n\r\ngood"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"


class Echo(Door):
    """Answers with the path and the body; or, at /early, without it. It keeps what headers came."""

    def __init__(self) -> None:
        super().__init__(100)
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.gone = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            body, more = body + message["body"], message["more_body"]
        self.headers.append(list(scope["headers"]))
        if scope["path"] == "/slow":
            await asyncio.sleep(0.2)
        told = scope["path"].encode() + b" " + body
        headers = [(b"content-length", str(len(told)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})


@contextmanager
def running(door: Echo, **settings: Any) -> Iterator[int]:
    """The port of a server in a thread."""
    started, ended, ports = threading.Event(), asyncio.Event(), []

    async def main() -> None:
        async with serving(door, **settings) as port:
            ports.append((port, asyncio.get_running_loop()))
            started.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    assert started.wait(10)
    port, loop = ports[0]
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def told(port: int, *pieces: bytes, wait: float = 0.5) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Status, headers and body of every answer to these pieces, which are sent apart, until nothing more comes."""
    with connected(port) as one:
        for piece in pieces:
            one.sendall(piece)
            time.sleep(0.1 if len(pieces) > 1 else 0)
        one.settimeout(wait)
        data = b""
        try:
            while piece := one.recv(65_536):
                data += piece
        except TimeoutError:
            pass
    return parsed(data)


def parsed(data: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    out = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(headers[b"content-length"])
        out.append((int(first.split()[1]), headers, data[:length]))
        data = data[length:]
    return out


def refused(answer: tuple[int, dict[bytes, bytes], bytes]) -> int:
    """The status of an answer that has the form of every error, and is the last one."""
    status, headers, body = answer
    assert set(json.loads(body)) == {"error", "field", "expected", "fix"}
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"connection"] == b"close"
    assert headers[b"x-request-id"]
    return status


PLANES = pytest.mark.parametrize("plane", [None, Connection], ids=["data", "admin"])


@PLANES
@pytest.mark.parametrize("more", [UPGRADE, b"Connection: Upgrade\r\nUpgrade: websocket\r\n"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_request_that_asks_for_another_protocol_keeps_its_body(plane: Any, more: bytes, apart: bool) -> None:
    head = HEAD + more + b"content-length: %d\r\n\r\n" % len(SMUGGLED)
    pieces = [head, SMUGGLED + LIVE] if apart else [head + SMUGGLED + LIVE]
    with running(Echo(), http=plane) as port:
        answers = told(port, *pieces)
    assert [(status, body) for status, _, body in answers] == [(200, b"/echo " + SMUGGLED), (200, b"/live ")]


def test_however_an_upgrade_comes_it_is_ignored() -> None:
    door = Echo()
    bytewise = [bytes([one]) for one in b"GET /a HTTP/1.1\r\nhost: x\r\nkept: 1\r\n" + UPGRADE + b"\r\n"]
    with running(door) as port:
        with connected(port) as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in bytewise:
                one.sendall(piece)
                time.sleep(0.001)
            assert b"/a " in one.recv(999)
        assert dict(door.headers[-1])[b"kept"] == b"1"
        chunked = HEAD + UPGRADE + b"transfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"
        many = told(port, (chunked + LIVE.replace(b"\r\n\r\n", b"\r\n" + UPGRADE + b"\r\n")) * 300)
        assert [body for _, _, body in many] == [b"/echo good", b"/live "] * 300
        closing = told(port, HEAD + b"Connection: close, Upgrade\r\nUpgrade: x\r\ncontent-length: 4\r\n\r\ngood")
        assert [(body, headers[b"connection"]) for _, headers, body in closing] == [(b"/echo good", b"close")]
        old = told(port, HEAD.replace(b"1.1", b"1.0") + UPGRADE + b"content-length: 4\r\n\r\ngood")
        assert [body for _, _, body in old] == [b"/echo good"]


@PLANES
def test_a_tunnel_is_refused_and_nothing_behind_it_is_read(plane: Any) -> None:
    with running(Echo(), http=plane) as port:
        answers = told(port, LIVE + b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n" + SMUGGLED, SMUGGLED)
    assert [one[0] for one in answers] == [200, 501]
    assert refused(answers[-1]) == 501


@pytest.mark.parametrize(
    "bad",
    [b"BAD\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /x HTTP/1.1\r\nhost x\r\n\r\n",
     b"GET http:/// HTTP/1.1\r\nhost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
     HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("before", [[], [b"/live "], [b"/slow "], [b"/slow ", b"/echo good", b"/live "]])
def test_what_is_no_request_is_400_behind_the_answers_before_it(bad: bytes, before: list[bytes]) -> None:
    sent = {b"/live ": LIVE, b"/slow ": LIVE.replace(b"live", b"slow"), b"/echo good": GOOD}
    with running(Echo()) as port:
        answers = told(port, b"".join(sent[one] for one in before) + bad + SMUGGLED, SMUGGLED)
    assert [body for status, _, body in answers if status == 200] == before
    assert [one[0] for one in answers[len(before) :]] == [400]
    assert refused(answers[-1]) == 400


@pytest.mark.parametrize(
    ("first", "statuses"),
    [(b"", [400]), (LIVE, [200, 400]), (LIVE.replace(b"live", b"slow"), [200, 400])],
    ids=["alone", "behind", "waiting"],
)
def test_a_body_that_breaks_off_is_refused_once(first: bytes, statuses: list[int]) -> None:
    door = Echo()
    broken = b"transfer-encoding: chunked\r\n\r\n4\r\ngood\r\nzz\r\n"
    with running(door) as port:
        answers = told(port, first + HEAD + broken, SMUGGLED)
        assert [one[0] for one in answers] == statuses
        assert refused(answers[-1]) == 400
        early = told(
            port, HEAD.replace(b"echo", b"early") + b"transfer-encoding: chunked\r\n\r\n", b"zz\r\n" + SMUGGLED
        )
        assert [one[0] for one in early] == [200]  # it had its answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 400),
        (b"host: a\r\nhost: a\r\n", 400),
        (b"host: a\r\ntransfer-encoding: gzip, chunked\r\n", 501),
        (b"host: a\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", 501),
        (b"host: a\r\n" + b"x: y\r\n" * 200, 431),
        (b"host: a\r\nx: " + b"y" * 66_000 + b"\r\n", 431),
    ],
)
@PLANES
def test_headers_that_are_not_allowed(headers: bytes, status: int, plane: Any) -> None:
    with running(Echo(), http=plane) as port:
        answers = told(port, b"POST /v1/models/m/predict HTTP/1.1\r\n" + headers + b"\r\n0\r\n\r\n" + SMUGGLED)
        assert [refused(one) for one in answers] == [status]
        assert [one[0] for one in told(port, b"GET /live HTTP/1.0\r\n\r\n")] == [200]
        assert [one[0] for one in told(port, b"GET / HTTP/1.1\r\nhost:\r\n" + b"x: y\r\n" * 199 + b"\r\n")] == [200]


def endless(port: int, first: bytes, piece: bytes) -> tuple[int, int]:
    """How much of an endless request is taken, in bytes, and the status that it is refused with."""
    sent = 0
    with connected(port) as one:
        one.sendall(first)
        one.settimeout(1)
        try:
            while sent < 30_000_000:
                sent += one.send(piece)
                if sent > 2_000_000:
                    break  # read, and thrown away
            data = one.recv(9_999)
        except OSError:
            return sent, 0
    (answer,) = parsed(data)
    return sent, refused(answer)


@pytest.mark.parametrize(
    ("first", "piece", "status"),
    [
        (b"GET /", b"a" * 50_000, 414),
        (b"GET / HTTP/1.1\r\nhost: x\r\nlong: ", b"a" * 50_000, 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n" * 9_000, 431),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n", b"a: b\r\n" * 9_000, 431),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nlong: ", b"a" * 50_000, 431),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n4;", b"a" * 50_000, 431),
    ],
)
@PLANES
def test_what_never_ends_is_refused(first: bytes, piece: bytes, status: int, plane: Any) -> None:
    door = Echo()
    with running(door, http=plane) as port:
        assert endless(port, first, piece)[1] == status
        assert [one[0] for one in told(port, LIVE)] == [200]
    assert not door.headers[:-1]


def test_what_follows_a_body_is_no_header() -> None:
    door = Echo()
    with running(door) as port:
        body = b"transfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nauthorization: Bearer t\r\n\r\n"
        assert [one[0] for one in told(port, HEAD + body + LIVE)] == [200, 200]
    assert not any(name == b"authorization" for headers in door.headers for name, _ in headers)


def test_large_bodies_and_many_requests_at_once_are_no_large_heads() -> None:
    body = b"b" * 900_000
    chunks = b"".join(b"%x\r\n%b\r\n" % (9_000, body[:9_000]) for _ in range(100)) + b"0\r\n\r\n"
    with running(Echo()) as port:
        one = told(port, HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        other = told(port, HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks)
        assert one[0][2] == other[0][2] == b"/echo " + body
        last = LIVE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")  # nothing is waited for behind it
        assert len(told(port, LIVE * 7_999 + last, wait=30)) == 8_000


@pytest.mark.parametrize("plane", [None, Connection], ids=["data", "admin"])
def test_of_requests_in_a_row_no_more_are_read_than_one_read_brings(plane: Any) -> None:
    """Each answer would else let in thousands more, all of which wait in memory."""
    made: list[Any] = []

    class Noted(plane or ServingProtocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            made.append(self)
            super().connection_made(transport)

    slow = LIVE.replace(b"live", b"slow")
    with running(Echo(), http=Noted) as port, connected(port) as one:
        one.settimeout(1)
        most, sent = 0, 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += one.send(slow * 1_000)
                most = max(most, len(made[0].pipeline) if made else 0)
        assert sent < 16 << 20, "it was read on and on"
        assert most <= 262_144 // len(slow) + 2


def test_a_body_that_is_answered_already_is_not_read_without_end() -> None:
    with running(Echo()) as port, connected(port) as one:
        one.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n")
        assert one.recv(1_000).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionError):
            one.sendall(b"b" * (64 << 20))


def test_a_failure_of_ours_is_logged_and_ends_the_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Any) -> None:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "a defect")

    monkeypatch.setattr(Connection, "_whole", fails)
    with running(Echo(), http=Connection) as port:
        assert told(port, GOOD) == []
    assert any(one.exc_info and isinstance(one.exc_info[1], UnicodeEncodeError) for one in caplog.records)


def test_a_url_without_a_path_is_refused_in_words() -> None:
    with running(Echo()) as port:
        (answer,) = told(port, b"GET http://a.b HTTP/1.1\r\nhost: x\r\n\r\n")
    assert refused(answer) == 400
    assert b"no path" in answer[2]


def test_a_connection_that_is_lost_leaves_nothing_for_the_collector() -> None:
    """What a client sent would else stay until everything is looked at, and that is seldom (`garbage.py`)."""
    made: list[weakref.ref[Connection]] = []

    class Noted(connection.Connection):
        def connection_made(self, transport: Any) -> None:
            made.append(weakref.ref(self))
            super().connection_made(transport)

    class Serving(ServingProtocol, Noted):
        pass

    sent = [
        b"", LIVE, GOOD, b"GET /ha", HEAD + b"content-length: 9\r\n\r\nhalf", b"BAD\r\n\r\n",
        HEAD + UPGRADE + b"content-length: 4\r\n\r\ngood", LIVE.replace(b"live", b"slow") * 3,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"POST /v1/models/m/predict HTTP/1.1\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz",
    ]  # fmt: skip
    with running(Echo(), http=Serving) as port:
        told(port, LIVE)
        gc.collect()
        gc.disable()
        try:
            for data in sent:
                with connected(port) as one:
                    one.sendall(data)
                    time.sleep(0.05)
            time.sleep(1)
            left = [data for data, one in zip([LIVE, *sent], made, strict=True) if one() is not None]
        finally:
            gc.enable()
    assert not left


def test_a_client_that_leaves_while_its_requests_wait_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """It does not read the first answer; the second one waits for that, and the third request for the second."""
    large = HEAD + b"content-length: 8000000\r\n\r\n" + b"k" * 8_000_000
    with running(Echo(), log_config=None) as port:
        with connected(port) as one:
            one.sendall(large + LIVE * 2)
            time.sleep(0.3)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it is reset
        time.sleep(0.3)
    assert caplog.messages == []
