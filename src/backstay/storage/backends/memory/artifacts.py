"""Artifacts in a dictionary."""

from __future__ import annotations

import time
from collections.abc import Iterator

from backstay.core.errors import IntegrityError, NotFoundError
from backstay.core.identity import sha256
from backstay.storage.digest import check_digest
from backstay.storage.ports import Stored


class MemoryArtifacts:
    """`Artifacts` in memory."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._at: dict[str, int] = {}

    def put(self, data: bytes) -> str:
        digest = sha256(data)
        self._content[digest], self._at[digest] = bytes(data), time.time_ns() // 1_000
        return digest

    def get(self, digest: str) -> bytes:
        check_digest(digest)
        data = self._content.get(digest)
        if data is None:
            raise NotFoundError(f"there is no artifact {digest}", where="memory")
        if sha256(data) != digest:
            raise IntegrityError(f"the artifact {digest[:12]} was changed", where="memory")
        return data

    def stored(self) -> Iterator[Stored]:
        yield from [Stored(digest, len(data), self._at[digest]) for digest, data in self._content.items()]

    def remove(self, digest: str, *, before: int) -> bool:
        check_digest(digest)
        if self._at.get(digest, before) >= before:
            return False
        del self._content[digest], self._at[digest]
        return True
