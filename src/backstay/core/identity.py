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
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """So many identifiers made at one moment: one question to the system for all of them.

    >>> len(set(new_ids(3))), {len(one) for one in new_ids(2)}
    (3, {32})
    """
    time_part = f"{time.time_ns() // 1_000_000:012x}7"
    random = os.urandom(10 * count).hex()
    return [
        f"{time_part}{random[at : at + 3]}{_VARIANT[random[at + 3]]}{random[at + 4 : at + 19]}"
        for at in range(0, 20 * count, 20)
    ]


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
