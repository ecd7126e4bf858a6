"""Requests that are shed: refused without the HTTP parser, because there is more to do than can be done in time.

Refusing must cost a fraction of answering, or it would itself be the overload. Most of a refusal's cost would be the
parser's, and what it takes to wake the one who reads it. So one whole ordinary request is recognised by its bytes, and
all that were read in one turn of the loop are refused together: who was woken by the first is awake for the others.
"""

from __future__ import annotations

import asyncio
import re

_PLAIN = re.compile(rb"POST /v[12]/models/[!$-;=-~]+/(?:predict|infer) HTTP/1\.1(?:\r\n[A-Za-z0-9-]+:[\t -~]*)+")
_LENGTH = re.compile(rb"\r\ncontent-length: ?([^\r]*)(?=\r\n)", re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9]{1,9}")
_SPECIAL = re.compile(
    rb"\r\n(?:connection:(?! ?keep-alive(?:\r\n|$))|expect:|transfer-encoding:|upgrade:)", re.IGNORECASE
)


def plain(data: bytes) -> bool:
    """Whether this is one whole request for a prediction, as clients mostly write them.

    For anything else it is the parser that knows what it is.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    if _PLAIN.fullmatch(head) is None or _SPECIAL.search(head) is not None:
        return False
    lengths = _LENGTH.findall(head + b"\r\n")
    return len(lengths) == 1 and _NUMBER.fullmatch(lengths[0]) is not None and int(lengths[0]) == len(body)


class Shed:
    """Stands where uvicorn's cycle would, from when a request is read until it is refused."""

    __slots__ = ("disconnected", "keep_alive", "response_complete", "url")
    message_event = asyncio.Event()
    """uvicorn sets it when a connection is lost; nobody waits for it"""

    def __init__(self, url: bytes) -> None:
        self.url = url
        self.response_complete = self.disconnected = False
        self.keep_alive = True
