"""The ledger's heads, kept outside its database: what shows that its end was cut off, or written anew.

A chain proves that nothing inside it was changed. It cannot prove that it once was longer: whoever removes the last
entries, or replaces them and computes the digests again, leaves a chain that is whole. So after every append number and
digest of the entry are added to a file:

    41 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef

The file is only ever appended to, by any number of processes. A process killed between commit and line leaves a line
out, which the next entry's line makes good, as its digest covers all before. A line that is ahead of the ledger proves
that entries were lost.

Whoever can write both can change both: put the file where other hands keep it (`ledger.anchors`: another disk, a folder
that is synchronised), or write down what `backstay ledger head` prints, and hand it to `backstay ledger verify --head`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local.files import failures, write_all
from backstay.storage.ports import Entry, Ledger

_LINE = re.compile(rb"([1-9]\d{0,17}) ([0-9a-f]{64})")
_TORN = re.compile(rb"(\d{1,18}( [0-9a-f]{0,63})?)?")
_TAIL = 4_096


class Anchored:
    """A `Ledger` whose heads are also kept in a file."""

    def __init__(self, ledger: Ledger, path: str | Path) -> None:
        self._ledger, self._path = ledger, Path(path).absolute()
        self._check_end()

    def append(
        self, kind: str, subject: str, body: Mapping[str, Any], *, at: int, actor: str, expect: int | None = None
    ) -> Entry:
        with failures(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            entry = self._ledger.append(kind, subject, body, at=at, actor=actor, expect=expect)
            try:
                # The line before may be a torn one, of a disk that was full: this one begins anew.
                write_all(descriptor, f"\n{entry.id} {entry.digest}\n".encode())
            except OSError as error:
                raise BackstayError(
                    f"entry {entry.id} of the ledger was written, but its head could not be kept: {error.strerror}",
                    where=str(self._path),
                    fix="free space or mend permissions; do not repeat what was done",
                ) from error
        finally:
            os.close(descriptor)
        return entry

    def entries(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, until: int | None = None,
        since: int | None = None,
    ) -> list[Entry]:  # fmt: skip
        return self._ledger.entries(kind=kind, subject=subject, after=after, until=until, since=since)

    def last(self, kind: str, subject: str, *, as_of: int | None = None) -> Entry | None:
        return self._ledger.last(kind, subject, as_of=as_of)

    def revision(self) -> int:
        return self._ledger.revision()

    def verify(self, seen: Callable[[Entry], None] | None = None) -> int:
        """Walk the chain, and hold it against every head that was kept."""
        heads = self._heads()

        def both(entry: Entry) -> None:
            for digest in heads.pop(entry.id, ()):
                if digest != entry.digest:
                    raise IntegrityError(
                        f"entry {entry.id} of the ledger ({entry.kind}, {entry.subject}) is not the one that was"
                        " written: the ledger was written anew, that entry or one before it",
                        where=f"ledger entry {entry.id}",
                        expected=f"the digest {digest[:12]}, as {self._path} has it",
                        fix="restore the ledger from a backup",
                    )
            if seen is not None:
                seen(entry)

        count = self._ledger.verify(both)
        if heads:
            raise self._cut(count, max(heads))
        return count

    def close(self) -> None:
        self._ledger.close()

    def _check_end(self) -> None:
        """Refuse a ledger that ends before the last head that was kept."""
        kept, there = self._last(), self._ledger.revision()
        if kept > there:
            raise self._cut(there, kept)

    def _cut(self, there: int, kept: int) -> IntegrityError:
        return IntegrityError(
            f"the ledger ends with entry {there}, and entry {kept} was written: its end was cut off",
            where=f"ledger entry {there + 1}",
            expected=f"{kept} entries or more, as {self._path} has it",
            fix="restore the ledger from a backup; to begin a new project, remove the whole home",
        )

    def _last(self) -> int:
        """The highest number among the last heads that were kept; 0 if there are none."""
        with failures(self._path):
            try:
                with self._path.open("rb") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(size - _TAIL, 0))
                    lines = file.read().split(b"\n")
            except FileNotFoundError:
                return 0
        whole = lines[1:-1] if size > _TAIL else lines[:-1]  # a line without its end was never finished
        return max((int(found[1]) for line in whole if (found := _LINE.fullmatch(line))), default=0)

    def _heads(self) -> dict[int, set[str]]:
        """Every digest that was kept, by number."""
        with failures(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return {}
        heads: dict[int, set[str]] = {}
        *lines, _ = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            found = _LINE.fullmatch(line)
            if found is None and _TORN.fullmatch(line):
                continue
            if found is None:
                raise IntegrityError(
                    f"line {number} is no head of a ledger: {line[:80]!r}",
                    where=str(self._path),
                    expected="a number and a digest",
                    fix="restore the file from a backup",
                )
            heads.setdefault(int(found[1]), set()).add(found[2].decode())
        return heads
