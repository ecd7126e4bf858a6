"""What every `OnlineState` does."""

from __future__ import annotations

import pytest

from backstay.core.errors import BackstayError, InputError
from backstay.storage.ports import OnlineState


def test_values_by_key(online: OnlineState) -> None:
    assert online.read([]) == []
    assert online.read([b"a", b"b"]) == [None, None]
    online.write({b"a": b"1", b"b": b""})
    assert online.read([b"b", b"c", b"a", b"a"]) == [b"", None, b"1", b"1"]
    online.write({b"a": b"2"})
    online.write({})
    assert online.read([b"a", b"b"]) == [b"2", b""]
    assert all(type(value) is bytes for value in online.read([b"a"]))


def test_keys_of_any_length_stay_apart(online: OnlineState) -> None:
    keys = [b"", b"\x00", b"\x00backstay:", b"k" * 510, b"k" * 511, b"k" * 512, b"k" * 513, b"k" * 10_000]
    online.write({key: b"%d" % n for n, key in enumerate(keys)})
    assert online.read(keys) == [b"%d" % n for n in range(len(keys))]


def test_clear(online: OnlineState) -> None:
    online.clear()
    online.write({b"a": b"1", b"k" * 600: b"2"})
    online.clear()
    assert online.read([b"a", b"k" * 600]) == [None, None]
    online.write({b"a": b"3"})
    assert online.read([b"a"]) == [b"3"]


def test_only_bytes_and_all_or_nothing(online: OnlineState) -> None:
    for wrong in ({b"a": b"1", "b": b"2"}, {b"a": b"1", b"b": "2"}):
        with pytest.raises(InputError):
            online.write(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        online.read(["a"])  # type: ignore[list-item]
    assert online.read([b"a"]) == [None]


def test_closed(online: OnlineState) -> None:
    online.close()
    online.close()
    for use in (lambda: online.read([b"a"]), lambda: online.write({b"a": b"1"}), online.clear):
        with pytest.raises(BackstayError, match="closed"):
            use()
