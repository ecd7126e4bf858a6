"""Artifacts as read-only files named by their SHA-256: `ab/cdef...` holds the bytes whose digest is `abcdef...`.

A file appears under its name complete or not at all (written aside, brought to the disk, renamed), and what is read is
hashed again before it is returned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from backstay.core.errors import IntegrityError, NotFoundError
from backstay.core.identity import sha256
from backstay.storage.backends.local.files import failures, locked, sync, write_all
from backstay.storage.digest import check_digest, is_digest
from backstay.storage.ports import Stored


class LocalArtifacts:
    """`Artifacts` in a directory."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory).absolute()

    def put(self, data: bytes) -> str:
        digest = sha256(data)
        path = self._path(digest)
        with failures(path):
            shelf = path.parent
            if not shelf.exists():
                shelf.mkdir(parents=True, exist_ok=True)
                sync(self._directory)
            with locked(shelf):  # against `remove`
                try:
                    if path.stat().st_size == len(data):  # stored before; a file cut short is stored anew
                        os.utime(path)
                        return digest
                except FileNotFoundError:
                    pass
                _write(path, data)
            sync(shelf)
        return digest

    def get(self, digest: str) -> bytes:
        check_digest(digest)
        path = self._path(digest)
        with failures(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise NotFoundError(f"there is no artifact {digest}", where=str(path)) from None
        found = sha256(data)
        if found != digest:
            raise IntegrityError(
                f"the artifact {digest[:12]} was changed: its content now has the digest {found[:12]}",
                where=str(path),
                fix="restore the file from a backup; do not serve it",
            )
        return data

    def stored(self) -> Iterator[Stored]:
        with failures(self._directory):
            for path in sorted(self._directory.glob("??/*")):
                digest = path.parent.name + path.name
                if is_digest(digest):
                    state = path.stat()
                    yield Stored(digest, state.st_size, state.st_mtime_ns // 1_000)

    def remove(self, digest: str, *, before: int) -> bool:
        check_digest(digest)
        path = self._path(digest)
        with failures(path):
            if not path.parent.exists():
                return False
            with locked(path.parent):
                try:
                    if path.stat().st_mtime_ns // 1_000 >= before:
                        return False
                    path.unlink()
                except FileNotFoundError:
                    return False
            sync(path.parent)
        return True

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / digest[2:]


def _write(path: Path, data: bytes) -> None:
    aside = path.parent / f".{uuid4().hex}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_all(descriptor, data)
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
