"""Kept counts: what was counted of closed windows, so that none is counted twice. It may be removed at any time.

A file a model and window. What cannot be read, or was counted by other rules, is counted again: nothing is decided by
what lies here that the predictions record would not say.
"""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from backstay.core.identity import sha256
from backstay.core.times import instant_text
from backstay.monitoring.windows import Window

_REMEMBERED = 128


class Kept:
    """Documents by model and window, below a folder; any number of processes may use the same one.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     kept = Kept(Path(folder))
    ...     kept.put("late", Window(0, 1), "rule", {"rows": 8})
    ...     kept.get("late", Window(0, 1), "rule"), kept.get("late", Window(0, 1), "another")
    ({'rows': 8}, None)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory: OrderedDict[str, Any] = OrderedDict()

    def recall(self, key: str) -> Any:
        """What this process remembers under a key; None if it does not."""
        if key in self._memory:
            self._memory.move_to_end(key)
        return self._memory.get(key)

    def remember(self, key: str, value: Any) -> None:
        """Keep a value in this process's memory, with the last few others."""
        self._memory[key] = value
        self._memory.move_to_end(key)
        while len(self._memory) > _REMEMBERED:
            self._memory.popitem(last=False)

    def get(self, model: str, window: Window, rule: str) -> dict[str, Any] | None:
        """What was kept of a window under this rule; None if nothing was, or it cannot be read any more."""
        try:
            digest, _, text = zlib.decompress(self._path(model, window).read_bytes()).partition(b"\n")
            if digest == _digest(rule, text):
                document: dict[str, Any] = json.loads(text)
                return document
        except (OSError, ValueError, zlib.error):
            pass  # a cache: what is not there, or not whole, is made again
        return None

    def put(self, model: str, window: Window, rule: str, document: Mapping[str, Any]) -> None:
        """Keep it, in the place of what was kept before. A full disk keeps nothing, and stops nobody."""
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        path = self._path(model, window)
        aside = path.with_name(f".{uuid4().hex}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Counts are mostly small: it becomes a tenth.
            aside.write_bytes(zlib.compress(_digest(rule, text) + b"\n" + text, 1))
            aside.replace(path)

    def _path(self, model: str, window: Window) -> Path:
        start = instant_text(window.start).replace(":", "")
        return self._folder / model / f"{start}-{(window.end - window.start) // 1_000_000}s.json.z"


def _digest(rule: str, text: bytes) -> bytes:
    """Of what was kept and by which rule, before it in its file: of other rules nothing is read."""
    return sha256(rule.encode() + b"\n" + text).encode()
