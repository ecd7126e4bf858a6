"""Identifiers and canonical forms: the same content always has the same bytes, and so the same digest."""

from __future__ import annotations

import hashlib
import json
import os
import time


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys, no blanks, UTF-8, and no NaN: one text for one value.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256.

    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of a value's canonical JSON."""
    return sha256(canonical_json(value))


def new_id() -> str:
    """A unique identifier that sorts by its time of making (UUID version 7, hexadecimal, 32 characters)."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | random
    value = (value & ~(0xF << 76)) | 0x7 << 76
    value = (value & ~(0x3 << 62)) | 0x2 << 62
    return f"{value:032x}"
