"""Artifacts as files: nothing changes under its name unnoticed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local import LocalArtifacts
from backstay.storage.backends.local import artifacts as module


def test_the_layout(tmp_path: Path) -> None:
    digest = LocalArtifacts(tmp_path).put(b"model")
    path = tmp_path / digest[:2] / digest[2:]
    assert path.read_bytes() == b"model"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert LocalArtifacts(tmp_path).get(digest) == b"model"


@pytest.mark.parametrize("content", [b"mode1", b"model2", b""])
def test_tampering_is_noticed_on_every_read(tmp_path: Path, content: bytes) -> None:
    store = LocalArtifacts(tmp_path)
    digest = store.put(b"model")
    assert store.get(digest) == b"model"
    path = tmp_path / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=digest[:12]):
        store.get(digest)


def test_a_file_that_was_cut_short_is_mended_by_storing_it_again(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    digest = store.put(b"model")
    path = tmp_path / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"mo")
    assert store.put(b"model") == digest
    assert store.get(digest) == b"model"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_all", full)
    with pytest.raises(BackstayError, match="No space left"):
        LocalArtifacts(tmp_path).put(b"model")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
