"""The ledger in a list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from backstay.core.errors import ConflictError
from backstay.storage.chain import GENESIS, check_entry, next_entry
from backstay.storage.ports import Entry


class MemoryLedger:
    """`Ledger` in memory."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def append(
        self, kind: str, subject: str, body: Mapping[str, Any], *, at: int, actor: str, expect: int | None = None
    ) -> Entry:
        with self._lock:
            before = (self._entries[-1].id, self._entries[-1].digest) if self._entries else (0, GENESIS)
            entry = next_entry(before, kind, subject, body, at=at, actor=actor)
            last = self.last(kind, subject)
            found = 0 if last is None else last.id
            if expect is not None and found != expect:
                raise ConflictError(
                    f"{kind} of {subject!r} moved: its last entry is {found}",
                    where=f"ledger.{kind}.{subject}",
                    expected=f"entry {expect}",
                    fix="read it again, then decide again",
                )
            self._entries.append(entry)
        return deepcopy(entry)

    def entries(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, until: int | None = None,
        since: int | None = None,
    ) -> list[Entry]:  # fmt: skip
        return [
            deepcopy(entry)
            for entry in self._entries[max(after, 0) :]
            if (kind is None or entry.kind == kind)
            and (subject is None or entry.subject == subject)
            and (until is None or entry.at <= until)
            and (since is None or entry.at >= since)
        ]

    def last(self, kind: str, subject: str, *, as_of: int | None = None) -> Entry | None:
        for entry in reversed(self._entries):
            if entry.kind == kind and entry.subject == subject and (as_of is None or entry.at <= as_of):
                return deepcopy(entry)
        return None

    def revision(self) -> int:
        return len(self._entries)

    def verify(self, seen: Callable[[Entry], None] | None = None) -> int:
        before = (0, GENESIS)
        for entry in self._entries:
            check_entry(entry, before)
            before = (entry.id, entry.digest)
            if seen is not None:
                seen(deepcopy(entry))
        return before[0]

    def close(self) -> None:
        """There is nothing to let go of."""
