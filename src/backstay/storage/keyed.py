"""What every `OnlineState` backend refuses alike, and how each says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from backstay.core.errors import ConflictError, InputError

_BYTES = {bytes}
_OR_NONE = {bytes, type(None)}


def check_read(keys: Sequence[bytes], have: Sequence[bytes | None] | None) -> None:
    """Raise `InputError` unless the keys are bytes, and `have` is bytes or None for each of them."""
    # One pass in C over the types: this stands before every read.
    if not _BYTES.issuperset(map(type, keys)):
        _refuse("keys", keys, bytes)
    if have is not None:
        if not _OR_NONE.issuperset(map(type, have)):
            _refuse("have", have, bytes, type(None))
        if len(have) != len(keys):
            raise InputError(f"{len(keys)} keys, but have has {len(have)}", where="have", expected="one for each key")


def check_write(values: Mapping[bytes, bytes | None], expect: Mapping[bytes, bytes | None]) -> None:
    """Raise `InputError` unless keys are bytes, and what is to be written or expected bytes or None."""
    for where, given in (("values", values), ("expect", expect)):
        _refuse(f"the keys of {where}", given, bytes)
        _refuse(where, given.values(), bytes, type(None))


def conflict(key: bytes, where: str) -> ConflictError:
    """The error of a write that expected what is no longer so."""
    return ConflictError(
        f"key {key[:60]!r} has not the value that was expected: another writer was first",
        where=where,
        fix="read again, then retry",
    )


def _refuse(where: str, given: Iterable[object], *kinds: type) -> None:
    for one in given:
        if not isinstance(one, kinds):
            raise InputError(f"a {type(one).__name__} is among the {where}", where=where, expected="bytes")
