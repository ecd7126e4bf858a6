"""The straight way of a prediction: whatever comes over the socket, it is answered as the ASGI application answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.serving import shop

PATH = "/v1/models/late/predict"
CHANGES = ("prediction_id", "at")
"""what no two answers have in common"""


@contextmanager
def connected(server: shop.Server) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=20) as one:
        yield one


def head(server: shop.Server, *more: str, path: str = PATH, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "host: here", f"authorization: Bearer {server.token}", *more, "", ""]
    return "\r\n".join(lines).encode()


def whole(server: shop.Server, body: bytes, *more: str, version: str = "1.1") -> bytes:
    return head(server, f"content-length: {len(body)}", *more, version=version) + body


def answer(reader: Any) -> tuple[int, dict[str, str], Any]:
    """The next answer of a connection: status, headers and body."""
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, value = line.decode().split(": ", 1)
        headers[name] = value
    return status, headers, json.loads(reader.read(int(headers["content-length"])))


def asked(server: shop.Server, data: bytes) -> tuple[int, dict[str, str], Any]:
    with connected(server) as one:
        one.sendall(data)
        return answer(one.makefile("rb"))


def known(server: shop.Server, data: bytes) -> tuple[int, dict[str, str], Any]:
    """The answer to a request whose head has come twice before: the parser does not read it."""
    with connected(server) as one:
        reader = one.makefile("rb")
        for _ in range(3):
            one.sendall(data)
            told = answer(reader)
    return told


def plain(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in CHANGES}


BODY = json.dumps(shop.live()).encode()


@pytest.mark.parametrize("body", [BODY, b"", b"{", b'{"keys": {}, "fields": {}, "more": 1}', b"[]"])
def test_both_ways_answer_alike(producing: shop.Server, body: bytes) -> None:
    chunked = head(producing, "transfer-encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    if not body:
        chunked = head(producing, "transfer-encoding: chunked") + b"0\r\n\r\n"
    other = asked(producing, chunked)
    for straight in (asked(producing, whole(producing, body)), known(producing, whole(producing, body))):
        assert straight[0] == other[0]
        assert set(straight[1]) == set(other[1])
        assert plain(straight[2]) == plain(other[2])


@pytest.mark.parametrize("more", ["authorization: Bearer wrong", "x-request-timeout-ms: 0", "accept-encoding: gzip"])
def test_headers_mean_the_same(producing: shop.Server, more: str) -> None:
    encoded = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    other = asked(producing, head(producing, "transfer-encoding: chunked", more) + encoded)
    for straight in (asked(producing, whole(producing, BODY, more)), known(producing, whole(producing, BODY, more))):
        assert (straight[0], plain(straight[2])) == (other[0], plain(other[2]))


def test_requests_in_a_row_are_answered_in_their_order(producing: shop.Server) -> None:
    """All in one packet, good and bad, and one that goes the other way between them."""
    bodies = [BODY, b"{", BODY, BODY]
    parts = [whole(producing, body, f"x-request-id: n{place}") for place, body in enumerate(bodies)]
    health = b"GET /v2/health/live HTTP/1.1\r\nhost: here\r\nx-request-id: alive\r\n\r\n"
    with connected(producing) as one:
        one.sendall(b"".join([*parts[:2], health, *parts[2:]]))
        reader = one.makefile("rb")
        told = [answer(reader) for _ in range(5)]
    assert [status for status, _, _ in told] == [200, 400, 200, 200, 200]
    assert [headers["x-request-id"] for _, headers, _ in told] == ["n0", "n1", "alive", "n2", "n3"]


def test_requests_that_come_before_the_answer_are_answered_in_their_order(producing: shop.Server) -> None:
    """Each in a packet of its own, their heads known: the first goes the straight way, and the others wait for it."""
    good, bad = whole(producing, BODY), whole(producing, b"[" + BODY[1:])
    assert known(producing, good)[0] == 200
    with connected(producing) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = one.makefile("rb")
        for _ in range(20):
            sent = [good, bad, good, good, bad]
            for data in sent:
                one.sendall(data)
            assert [answer(reader)[0] for _ in sent] == [200, 400, 200, 200, 400]


def test_a_body_in_pieces(producing: shop.Server) -> None:
    with connected(producing) as one:
        for byte in whole(producing, BODY):
            one.sendall(bytes([byte]))
        assert answer(one.makefile("rb"))[0] == 200


@pytest.mark.parametrize(("version", "more"), [("1.0", ()), ("1.1", ("connection: close",))])
def test_a_connection_that_is_not_kept_is_closed(producing: shop.Server, version: str, more: tuple[str, ...]) -> None:
    with connected(producing) as one:
        one.sendall(whole(producing, BODY, *more, version=version))
        reader = one.makefile("rb")
        status, headers, _ = answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert reader.read() == b""


def test_bodies_that_never_come_hold_nobody_up(producing: shop.Server) -> None:
    """Far more of them than may be in flight."""
    begun = []
    try:
        for _ in range(400):
            one = socket.create_connection((producing.host, producing.port), timeout=20)
            one.sendall(head(producing, "content-length: 100"))
            begun.append(one)
        assert asked(producing, whole(producing, BODY))[0] == 200
    finally:
        for one in begun:
            one.close()
    assert asked(producing, whole(producing, BODY))[0] == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(producing: shop.Server) -> None:
    with connected(producing) as one:
        one.sendall(head(producing, "content-length: 10000000000"))
        assert answer(one.makefile("rb"))[0] == 413


def test_compressed_bodies_go_the_other_way(producing: shop.Server) -> None:
    import gzip

    assert asked(producing, whole(producing, gzip.compress(BODY), "content-encoding: gzip"))[0] == 200
