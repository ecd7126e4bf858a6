"""What is refused without the parser: nothing that the parser would have taken for anything else."""

from __future__ import annotations

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backstay.serving.shed import plain

GOOD = b"POST /v1/models/late/predict HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}"
PARTS = [
    b"POST ", b"GET ", b"/v1/models/late/predict", b"/v2/models/a b/infer", b"?x=1", b" HTTP/1.1", b" HTTP/1.0",
    b"\r\n", b"\n", b"Content-Length: 2", b"content-length:2", b"Content-Length : 2", b"Content-Length: 02",
    b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive",
    b"Expect: 100-continue", b"Upgrade: h2c", b" folded", b"X-One: ", b"\r\n\r\n", b"{}", b"\0", b"\xff",
]  # fmt: skip


class Seen:
    def __init__(self) -> None:
        self.whole, self.url, self.body = 0, b"", b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1


def test_what_clients_send_is_plain() -> None:
    assert plain(GOOD)
    assert plain(GOOD.replace(b"Host", b"Connection: keep-alive\r\nHost"))
    assert plain(GOOD.replace(b"/v1/models/late/predict", b"/v2/models/late/versions/3/infer"))


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
def test_what_is_plain_is_one_request_to_the_parser_too(data: bytes) -> None:
    if not plain(data):
        return
    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(data)
    assert seen.whole == 1
    assert parser.get_method() == b"POST"
    assert parser.should_keep_alive()
    assert not parser.should_upgrade()
    assert seen.url == data.split(b" ")[1]
    assert seen.url.endswith((b"/predict", b"/infer"))
    assert seen.body == data.partition(b"\r\n\r\n")[2]
