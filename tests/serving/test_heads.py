"""What the parser does not read: nothing that it would have taken for anything else."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backstay.serving.heads import Asked, Head, Heads, ordinary

GOOD = b"POST /v1/models/late/predict HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}"
PARTS = [
    b"POST ", b"GET ", b"/v1/models/late/predict", b"/v2/models/a b/infer", b"?x=1", b" HTTP/1.1", b" HTTP/1.0",
    b"\r\n", b"\n", b"Content-Length: 2", b"content-length:2", b"Content-Length : 2", b"Content-Length: 02",
    b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive",
    b"Proxy-Connection: close", b"Expect: 100-continue", b"Upgrade: h2c", b" folded", b"X-One: ", b"\r\n\r\n", b"{}",
    b"\0", b"\xff",
]  # fmt: skip


class Seen:
    def __init__(self) -> None:
        self.whole, self.url, self.body = 0, b"", b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.parser = httptools.HttpRequestParser(self)
        self.kept = False

    def on_headers_complete(self) -> None:  # asked later, the parser has begun anew
        self.kept = self.parser.should_keep_alive() and not self.parser.should_upgrade()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1


def known(data: bytes) -> Head | None:
    """The head, once it has come twice."""
    heads = Heads()
    assert heads.of(data) is None
    return heads.of(data)


def test_what_clients_send_is_known_when_it_comes_again() -> None:
    for data in (
        GOOD,
        GOOD.replace(b"Host", b"Connection: keep-alive\r\nHost"),
        GOOD.replace(b"/v1/models/late/predict", b"/v2/models/late/versions/3/infer"),
    ):
        head = known(data)
        assert head is not None
        assert ordinary(data) == head.asked  # under overload the first time too
        assert data[head.length :] == b"{}"
    assert (head.asked, head.url) == (Asked("infer", "late"), b"/v2/models/late/versions/3/infer")
    assert head.headers == {b"host": b"here", b"authorization": b"Bearer t", b"content-length": b"2"}


def test_a_head_that_is_known_says_nothing_about_the_rest() -> None:
    heads = Heads()
    heads.of(GOOD)
    assert heads.of(GOOD)
    head = GOOD.removesuffix(b"\r\n\r\n{}")
    for rest in (b"", b"\r", b"\r\n", b"\r\n\r", b"\r\n\r\n", b"\r\n\r\n{", b"\r\n\r\n{} ", b"\r\n\r\n{}" + GOOD):
        assert heads.of(head + rest) is None, rest
        assert ordinary(head + rest) is None, rest


@pytest.mark.parametrize(
    "more", [b"Connection: close", b"Proxy-Connection: close", b"Connection: upgrade\r\nUpgrade: h2c"]
)
def test_a_connection_that_ends_or_changes_is_the_parsers(more: bytes) -> None:
    data = GOOD.replace(b"Host", more + b"\r\nHost")
    assert known(data) is None
    assert ordinary(data) is None


def test_heads_that_all_differ_are_not_kept_for_ever_and_push_nothing_out() -> None:
    heads = Heads()
    for data in (GOOD, GOOD, *(GOOD.replace(b"here", b"here-%d" % number) for number in range(10_000))):
        heads.of(data)
    assert heads.of(GOOD)
    for number in range(1_000):
        one = GOOD.replace(b"here", b"twice-%d" % number)
        heads.of(one)
        assert heads.of(one)
    long = GOOD.replace(b"here", b"h" * 5_000)
    assert heads.of(long) is None
    assert heads.of(long)
    texts, once = vars(heads).values()
    assert 0 < len(texts) <= 512
    assert all(len(text) <= 2_048 for text in texts)
    assert len(once) <= 4_096


def mutated() -> st.SearchStrategy[bytes]:
    """A good request with a piece cut out and some others put in."""
    places = st.integers(0, len(GOOD))
    return st.builds(
        lambda a, b, parts: GOOD[: min(a, b)] + b"".join(parts) + GOOD[max(a, b) :],
        places, places, st.lists(st.sampled_from(PARTS), max_size=4),
    )  # fmt: skip


@settings(max_examples=2_000, deadline=None)
@given(st.one_of(mutated(), st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)))
@example(GOOD.replace(b"\r\nHost", b"\r\nContent-Length : 9\r\nHost"))
@example(GOOD.replace(b"Host", b"Content-Length: 2Host"))
@example(GOOD.replace(b"Host", b"Content-Length:  2\r\nHost"))
@example(GOOD.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"))
@example(GOOD + GOOD)
@example(GOOD.replace(b"\r\nHost", b"\r\nX: a\r\n b\r\nHost"))
def test_what_is_known_is_the_same_request_to_the_parser(data: bytes) -> None:
    head = known(data)
    assert ordinary(data) == (None if head is None else head.asked)
    if head is None:
        return
    seen = Seen()
    seen.parser.feed_data(data)
    assert seen.whole == 1
    assert seen.parser.get_method() == b"POST"
    assert seen.kept
    assert head.url == seen.url
    assert head.headers == dict(seen.headers)
    assert seen.url == data.split(b" ")[1]
    assert head.asked == Asked.by(seen.url)
    assert seen.url.endswith((b"/predict", b"/infer"))
    assert seen.body == data[head.length :]
    assert len(data) == head.whole
