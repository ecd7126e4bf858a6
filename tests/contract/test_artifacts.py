"""What every `Artifacts` does."""

from __future__ import annotations

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
