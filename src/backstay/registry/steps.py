"""The step cache: what a step made, kept under the digest of everything it was made of.

A step is named by its inputs: code, parameters, the digests of its data, the lock file. If all of them are the same, so
is what comes out, and it need not be made again. It is opt-in (`training.cache`), because that is only as true as the
inputs are complete: a step whose code has no commit, or no lock file, is never taken from it.

Outputs lie among the artifacts, by their SHA-256, and are hashed again on every hit; what names them is a small file
with a digest of its own. Output that was changed is an `IntegrityError`. What `backstay collect` has removed is made
again: the cache forgets what nothing else needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from backstay.core.errors import IntegrityError, NotFoundError
from backstay.core.identity import canonical_json, digest_of
from backstay.storage.ports import Artifacts


class Steps:
    """Steps that were made, below `folder`; any number of processes may use the same one."""

    def __init__(self, folder: Path, artifacts: Artifacts) -> None:
        self._folder, self._artifacts = folder, artifacts

    def get(self, key: str) -> tuple[dict[str, bytes], dict[str, Any]] | None:
        """The files and the document that a step of this key made; None if it was not made, or is not kept any more."""
        path = self._path(key)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            told = json.loads(text)
            names, document, digest = told["files"], told["document"], told["digest"]
        except (ValueError, KeyError, TypeError):
            names, document, digest = {}, {}, ""
        if digest != digest_of([key, names, document]):
            raise IntegrityError(
                "what a step made was changed after it was written", where=str(path), fix="remove the file"
            )
        try:
            return {name: self._artifacts.get(one) for name, one in names.items()}, document
        except NotFoundError:
            return None

    def put(self, key: str, files: Mapping[str, bytes], document: Mapping[str, Any]) -> None:
        """Keep what a step made."""
        names = {name: self._artifacts.put(data) for name, data in files.items()}
        plain = json.loads(canonical_json(dict(document)))
        told = {"files": names, "document": plain, "digest": digest_of([key, names, plain])}
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f".{uuid4().hex}"
        aside.write_bytes(canonical_json(told))
        aside.replace(self._path(key))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
