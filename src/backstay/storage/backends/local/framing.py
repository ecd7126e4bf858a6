"""Frames: how a file that only grows is written so that a killed writer leaves nothing half-read.

    frame = [length, u32] [CRC-32 of length and payload, u32] [payload]          little-endian

A writer killed in the middle of a write leaves a **torn tail**: a beginning of a frame at the end of the file. It was
never acknowledged, so a reader passes over it. The same bytes anywhere else mean damage, and so does a tail behind
which whole frames follow (that is a damaged length, not a torn write): both are an `IntegrityError`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from backstay.core.errors import InputError, IntegrityError

_HEADER = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
OVERHEAD = _HEADER.size
"""Bytes that a frame takes beside its payload."""


def frame(payload: bytes, what: str) -> bytes:
    """The frame of a payload; `what` names it in the `InputError` of one that cannot be framed (no bytes, too long)."""
    if not isinstance(payload, bytes) or len(payload) >= 1 << 32:
        raise InputError(f"{what} is not bytes, or too long", where="payloads", expected="bytes below 4 GiB")
    length = _LENGTH.pack(len(payload))
    return length + _LENGTH.pack(_check(length, payload)) + payload


def unframe(data: bytes, path: Path, what: str, *, last: bool = True, begin: int = 0) -> Iterator[bytes]:
    """The payloads in `data`, which was read of `path` from offset `begin` (where a frame begins) to its end.

    With `last` a torn tail is passed over: the file is one that a writer may have been killed in. Damage is an
    `IntegrityError` that names `what`, the file and the offset in it; what stands before it has been yielded by then.
    """
    offset = 0
    while offset < len(data):
        payload = _frame_at(data, offset)
        if payload is None:
            if last and _is_torn(data, offset):
                return
            raise IntegrityError(
                f"{what} is damaged",
                where=f"{path}, offset {begin + offset}",
                expected="a whole frame whose checksum matches",
                fix="restore the file from a backup",
            )
        yield payload
        offset += OVERHEAD + len(payload)


def _check(length: bytes, payload: bytes) -> int:
    # The length is covered too: a stretch of zeros would otherwise read as empty records that check out.
    return zlib.crc32(payload, zlib.crc32(length))


def _frame_at(data: bytes, offset: int) -> bytes | None:
    """The payload of the whole, undamaged frame that begins here, if one does."""
    begin = offset + OVERHEAD
    if begin > len(data):
        return None
    length, check = _HEADER.unpack_from(data, offset)
    if begin + length > len(data):
        return None
    payload = data[begin : begin + length]
    return payload if _check(_LENGTH.pack(length), payload) == check else None


def _is_torn(data: bytes, offset: int) -> bool:
    """Whether what begins here is a frame cut short: longer than what is left, and no whole frame within it."""
    begin = offset + OVERHEAD
    left = len(data) - begin
    if left >= 0:
        length, check = _HEADER.unpack_from(data, offset)
        if length <= left or _check(_LENGTH.pack(left), data[begin:]) == check:  # whole, but for its length
            return False
    return all(_frame_at(data, later) is None for later in range(offset + 1, len(data) - OVERHEAD + 1))
