"""What every `Artifacts` does."""

from __future__ import annotations

import time

import pytest

from backstay.core.errors import InputError, NotFoundError
from backstay.core.identity import sha256
from backstay.storage.ports import Artifacts


@pytest.mark.parametrize("data", [b"", b"model", bytes(range(256)) * 5000])
def test_content_by_its_digest(artifacts: Artifacts, data: bytes) -> None:
    digest = artifacts.put(data)
    assert digest == sha256(data)
    assert artifacts.get(digest) == data
    assert artifacts.put(data) == digest
    assert artifacts.get(digest) == data


def test_absent(artifacts: Artifacts) -> None:
    with pytest.raises(NotFoundError):
        artifacts.get(sha256(b"never stored"))


@pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65])
def test_what_is_not_a_digest(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(InputError):
        artifacts.get(name)


def test_what_is_stored(artifacts: Artifacts) -> None:
    begin = time.time_ns() // 1_000
    digests = {artifacts.put(data): len(data) for data in (b"", b"one", b"x" * 5_000)}
    found = list(artifacts.stored())
    assert {one.digest: one.size for one in found} == digests
    assert all(begin - 1_000_000 <= one.at <= time.time_ns() // 1_000 + 1_000_000 for one in found)


def test_removing_what_was_not_stored_again_since(artifacts: Artifacts) -> None:
    digest, other = artifacts.put(b"model"), artifacts.put(b"other")
    (stored,) = (one for one in artifacts.stored() if one.digest == digest)
    assert artifacts.remove(digest, before=stored.at) is False
    assert artifacts.get(digest) == b"model"
    assert artifacts.remove(digest, before=stored.at + 1) is True
    assert artifacts.remove(digest, before=stored.at + 1) is False
    with pytest.raises(NotFoundError):
        artifacts.get(digest)
    assert [one.digest for one in artifacts.stored()] == [other]
    assert artifacts.put(b"model") == digest
    assert artifacts.get(digest) == b"model"


def test_storing_it_again_makes_it_young(artifacts: Artifacts) -> None:
    digest = artifacts.put(b"model")
    (before,) = artifacts.stored()
    time.sleep(0.02)
    artifacts.put(b"model")
    (after,) = artifacts.stored()
    assert after.at > before.at
    assert artifacts.remove(digest, before=before.at + 1) is False
    with pytest.raises(InputError):
        artifacts.remove("../x", before=0)
    assert artifacts.remove(sha256(b"never stored"), before=after.at + 10**9) is False
