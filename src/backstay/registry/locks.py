"""Lock files: which packages they hold to which versions, and the digests of the files that may be installed.

Two forms are read: requirements with hashes, and TOML with a list of packages (uv, Poetry, pylock).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*==\s*([^\s;]+)\s*(?:;\s*(.*?))?\s*(?=--hash|$)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock: `hashes` are the SHA-256 of the files that it allows, `marker` says where it is for."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    marker: str = ""


def locked(data: bytes) -> list[Locked]:
    """The packages of a lock file by name; none where its form is another.

    >>> locked(b'numpy==2.1.0 ; python_version < "3.14" # why')
    [Locked(name='numpy', version='2.1.0', hashes=(), marker='python_version < "3.14"')]
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return []
    try:
        found = list(_tables(tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        found = list(_lines(text))
    return sorted(found, key=lambda one: (one.name, one.version, one.marker))


def _lines(text: str) -> Iterator[Locked]:
    for line in text.replace("\\\n", " ").splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        if pinned := _PINNED.match(words):
            name, version, marker = pinned.groups()
            yield Locked(name, version, tuple(sorted(_HASH.findall(words))), marker or "")


def _tables(document: Mapping[str, Any]) -> Iterator[Locked]:
    for one in document.get("package", document.get("packages", [])):
        if "version" not in one or {"editable", "virtual", "directory"} & one.get("source", {}).keys():
            continue  # the project itself
        files = [*one.get("wheels", []), *one.get("files", []), *([one["sdist"]] if "sdist" in one else [])]
        given = {file.get("hashes", {}).get("sha256") or file.get("hash", "").removeprefix("sha256:") for file in files}
        yield Locked(one["name"], one["version"], tuple(sorted(given - {""})), one.get("marker", ""))
