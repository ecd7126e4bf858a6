"""Heads of requests that are known by their bytes, so that the HTTP parser need not read them.

A client's heads are mostly the same from request to request: method, URL, token, and often the body's length. What came
twice is known from then on, and costs a look-up where reading it would cost a third of a small answer. Under overload,
when refusing must cost a fraction of answering or would itself be the overload, a head is read even the first time.

Only one whole ordinary request for a prediction is known like this. For anything else it is the parser that knows what
it is, and what its headers are it says of these too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httptools

_PLAIN = re.compile(rb"POST /v[12]/models/[!$-;=-~]+/(?:predict|infer) HTTP/1\.1(?:\r\n[A-Za-z0-9-]+:[\t -~]*)+")
_LENGTH = re.compile(rb"\r\ncontent-length: ?([^\r]*)(?=\r\n)", re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9]{1,9}")
_SPECIAL = re.compile(
    rb"\r\n(?:connection:(?! ?keep-alive(?:\r\n|$))|expect:|transfer-encoding:|upgrade:)", re.IGNORECASE
)
_END = b"\r\n\r\n"
_HEADS, _LONG, _ONCE = 256, 2_048, 4_096
"""How many heads are known; how long one may be, in bytes; of how many it is known that they came once."""
PREDICTIONS = (b"/predict", b"/infer")
"""How the URLs end that ask for predictions."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a URL that ends as those of predictions do asks for: an endpoint, and a model that there may not be."""

    endpoint: str
    model: str

    @classmethod
    def by(cls, url: bytes) -> Asked:
        model = b"".join(url.split(b"/", 4)[3:4])  # /v1/models/NAME/...
        return cls("infer" if url.endswith(b"/infer") else "predict", model.decode("latin-1"))


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a request says.

    path:    the URL as text
    headers: by their names in small letters, as the parser reads them
    length:  of the head with the empty line that ends it, in bytes; whole: of the request
    """

    asked: Asked
    url: bytes
    path: str
    headers: Mapping[bytes, bytes]
    length: int
    whole: int


class Heads:
    """The heads that are known."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self._once: set[int] = set()

    def of(self, data: bytes, *, read: bool) -> Head | None:
        """The head, if `data` is one whole request whose head is known. read: one that is not known is read."""
        length = data.find(_END) + len(_END)
        text = data[:length]
        head = self._known.get(text)
        if head is None:
            if not read and not self._twice(text):
                return None
            head = _read(text)
            if head is None:
                return None
            self._know(text, head)
        return head if len(data) == head.whole else None

    def _twice(self, text: bytes) -> bool:
        """Whether it came before, so that it may well come again."""
        mark, once = hash(text), self._once
        if mark in once:
            return True
        if len(once) >= _ONCE:
            once.clear()
        once.add(mark)
        return False

    def _know(self, text: bytes, head: Head) -> None:
        if len(text) <= _LONG:
            if len(self._known) >= _HEADS:
                self._known.clear()
            self._known[text] = head


class _Reader:
    """What the parser calls."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value


def _read(text: bytes) -> Head | None:
    """The head whose bytes these are, with the empty line at their end; None: it is nothing ordinary."""
    if not text.endswith(_END):
        return None
    lines = text[: -len(_END)]
    if _PLAIN.fullmatch(lines) is None or _SPECIAL.search(lines) is not None:
        return None
    lengths = _LENGTH.findall(text)
    if len(lengths) != 1 or _NUMBER.fullmatch(lengths[0]) is None:
        return None
    reader = _Reader()
    try:
        httptools.HttpRequestParser(reader).feed_data(text)
    except httptools.HttpParserError:  # it will say so once more, to the client
        return None
    asked = Asked.by(reader.url)
    return Head(asked, reader.url, reader.url.decode(), reader.headers, len(text), len(text) + int(lengths[0]))
