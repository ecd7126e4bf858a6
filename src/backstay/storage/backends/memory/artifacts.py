"""Artifacts in a dictionary."""

from __future__ import annotations

from backstay.core.errors import IntegrityError, NotFoundError
from backstay.core.identity import sha256
from backstay.storage.digest import check_digest


class MemoryArtifacts:
    """`Artifacts` in memory."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = sha256(data)
        self._content[digest] = bytes(data)
        return digest

    def get(self, digest: str) -> bytes:
        check_digest(digest)
        data = self._content.get(digest)
        if data is None:
            raise NotFoundError(f"there is no artifact {digest}", where="memory")
        if sha256(data) != digest:
            raise IntegrityError(f"the artifact {digest[:12]} was changed", where="memory")
        return data
