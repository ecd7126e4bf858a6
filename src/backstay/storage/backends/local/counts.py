"""Counts: a file a day for each process that counts, of checksummed frames (`framing.py`), one an append.

    <directory>/<day>-<process>.seg         such as 2026-11-25-0199c1f2a5c87d3e9b1a6f0c4d2e8b7a.seg

A process writes to files of its own, so nobody waits for anybody, and one that was killed leaves a torn tail at the end
of its last file and nowhere else. When its day is over it writes the file anew, a row a minute, in one frame; and what
is older than the longest objective is removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from backstay.core.errors import BackstayError
from backstay.core.identity import new_id
from backstay.core.times import DAY, instant, instant_text
from backstay.definitions.objectives import LONGEST
from backstay.storage.backends.local.files import failures, sync, write_all
from backstay.storage.backends.local.framing import frame, unframe
from backstay.storage.counts import Counted, by_minute, decode, encode

_WHAT = "a record of counts"


class LocalCounts:
    """`CountLog` in a directory, which is made by the first append. An append is for one thread at a time."""

    def __init__(self, directory: str | Path) -> None:
        self._root = Path(directory).absolute()
        self._process = new_id()
        self._current: Path | None = None

    def append(self, rows: Sequence[Counted]) -> None:
        data = frame(encode(rows), _WHAT)
        if not rows:
            return
        day = max(one.minute for one in rows) // DAY * DAY
        with failures(self._root):
            before, self._current = self._current, self._root / f"{instant_text(day)[:10]}-{self._process}.seg"
            if before != self._current:
                self._root.mkdir(parents=True, exist_ok=True)
                self._turn(before, day)
        self._write(self._current, data)

    def scan(
        self, *, model: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[Counted]:
        for day, path in self._files():
            # A file holds rows of its day, and of before where a clock was set back; none of later.
            if since is not None and day + DAY <= since:
                continue
            try:
                with failures(path):
                    data = path.read_bytes()
            except BackstayError:
                if path.exists():
                    raise
                continue  # it was removed meanwhile: too old for anybody
            for payload in unframe(data, path, _WHAT):
                yield from (one for one in decode(payload) if one.wanted(model, since, until))

    def _write(self, path: Path, data: bytes) -> None:
        end = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                end = os.fstat(descriptor).st_size
                write_all(descriptor, data)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            self._process = new_id()  # whatever stands in that file now, nothing is written behind it
            raise BackstayError(
                f"counts were not written ({error.strerror})", where=str(path),
                fix="free space or mend the disk: they are written with the next ones",
            ) from error  # fmt: skip

    def _turn(self, before: Path | None, day: int) -> None:
        """A day is over, or this process begins to count."""
        if before is not None and before.exists():
            rows = by_minute(one for payload in unframe(before.read_bytes(), before, _WHAT) for one in decode(payload))
            aside = before.with_suffix(".new")
            aside.write_bytes(frame(encode(rows), _WHAT))
            sync(aside)
            aside.replace(before)
        for one, path in self._files("*"):
            if one < day - LONGEST:
                with suppress(FileNotFoundError):
                    path.unlink()

    def _files(self, ending: str = "*.seg") -> list[tuple[int, Path]]:
        """The files there are, each with its day, in order."""
        found = sorted(self._root.glob(f"????-??-??-{ending}"))
        return [(instant(path.name[:10], where=str(path)), path) for path in found]
