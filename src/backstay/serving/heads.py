"""Heads of requests that are known by their bytes, so that the HTTP parser need not read them.

A client's heads are mostly the same from request to request: method, URL, token, and often the body's length. What came
twice is known from then on, and costs a look-up where reading it would cost a third of a small answer. Under overload
refusing must cost a fraction of answering, or it would itself be the overload: then it is enough for a refusal to see
that a request is an ordinary one, the first time too.

Only one whole ordinary request for a prediction is known like this. For anything else it is the parser that knows what
it is, and what its headers are it says of these too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httptools

from backstay.serving.refusal import Refusal

_PLAIN = re.compile(rb"POST /v[12]/models/[!$-;=-~]+/(?:predict|infer) HTTP/1\.1(?:\r\n[A-Za-z0-9-]+:[\t -~]*)+")
_LENGTH = re.compile(rb"\r\ncontent-length: ?([^\r]*)(?=\r\n)", re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9]{1,9}")
_SPECIAL = re.compile(
    rb"\r\n(?:(?:proxy-)?connection:(?! ?keep-alive(?:\r\n|$))|expect:|transfer-encoding:|upgrade:)", re.IGNORECASE
)
_END = b"\r\n\r\n"
_HEADS, _LONG, _ONCE = 512, 2_048, 4_096
"""How many heads are known; how long one may be, in bytes; of how many it is known that they came once."""
HEAD_BYTES, FIELDS = 65_536, 200
"""How long a head may be, in bytes, and how many headers it may have."""
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

    headers: by their names in small letters, as the parser reads them
    length:  of the head with the empty line that ends it, in bytes; whole: of the request
    """

    asked: Asked
    url: bytes
    headers: Mapping[bytes, bytes]
    length: int
    whole: int


class Heads:
    """The heads that are known."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self._once: set[int] = set()

    def of(self, data: bytes) -> Head | None:
        """The head, if `data` is one whole request whose head is known."""
        text = data[: data.find(_END) + len(_END)]
        head = self._known.get(text)
        if head is None and self._twice(text) and (head := _read(text)) is not None:
            self._know(text, head)
        return head if head is not None and len(data) == head.whole else None

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
                del self._known[next(iter(self._known))]
            self._known[text] = head


def ordinary(data: bytes) -> Asked | None:
    """What is asked, if `data` is one whole ordinary request for a prediction, known or not."""
    text = data[: data.find(_END) + len(_END)]
    length = _length(text)
    return None if length is None or len(data) != len(text) + length else Asked.by(text.split(b" ", 2)[1])


def _length(text: bytes) -> int | None:
    """How long the body is that these bytes are the ordinary head of, with the empty line at its end; None: they are
    not."""
    lines = text[: -len(_END)]
    if len(text) > 4 * FIELDS and (len(text) > HEAD_BYTES or text.count(b"\r\n") > FIELDS + 2):
        return None
    if text.lower().count(b"\r\nhost:") != 1:
        return None
    if not text.endswith(_END) or _PLAIN.fullmatch(lines) is None or _SPECIAL.search(lines) is not None:
        return None
    lengths = _LENGTH.findall(text)
    return int(lengths[0]) if len(lengths) == 1 and _NUMBER.fullmatch(lengths[0]) is not None else None


def judge(version: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise `Refusal` for headers that HTTP does not allow, or that are not read here."""
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (not hosts and version not in ("1.0", "0.9")):
        raise Refusal(
            400, f"the request has {hosts or 'no'} Host headers", field="host", expected="one",
            fix="send one Host header, with the name and port of the URL",
        )  # fmt: skip
    if b"transfer-encoding" in names:
        coding = b", ".join(value for name, value in headers if name == b"transfer-encoding")
        if coding.strip().lower() != b"chunked":
            raise Refusal(
                501, f"the transfer-encoding {coding.decode('latin-1')[:40]!r} is not read", field="transfer-encoding",
                expected="chunked", fix="compress by content-encoding instead",
            )  # fmt: skip


class _Reader:
    """What the parser calls."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.kept = False
        """whether the connection stays open, and HTTP's: the parser knows it only when it has just read the head"""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.kept = self.parser.should_keep_alive() and not self.parser.should_upgrade()


def _read(text: bytes) -> Head | None:
    """The head whose bytes these are; None: it is nothing ordinary."""
    length, reader = _length(text), _Reader()
    if length is None:
        return None
    try:
        reader.parser.feed_data(text)
    except httptools.HttpParserError:  # it will say so once more, to the client
        return None
    if not reader.kept:
        return None
    asked = Asked.by(reader.url)
    return Head(asked, reader.url, reader.headers, len(text), len(text) + length)
