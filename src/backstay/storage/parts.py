"""A folder of Parquet files that is written part by part, and gone on with after a kill.

A part is there whole or not at all: it is written beside the folder, brought to the disk, and moved in. Each part
tells, in its own metadata, what it is a part of, so the folder holds Parquet files alone, and any reader takes it:

    predictions/part-00000.parquet, part-00001.parquet, ...
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from backstay.core.errors import BackstayError, ConflictError, InputError, IntegrityError

_KEY = "backstay"


class Parts:
    """The parts in a folder, which is made if it is not there. One process at a time writes: see `writing`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._aside = folder.parent / f".{folder.name}.part"
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file", where="out", expected="a folder, or a name that is free")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder. `ConflictError` if another process does; a process that is killed lets go."""
        new = not self.folder.exists()
        with _failures(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConflictError(
                    "another process is writing there",
                    where=str(self.folder),
                    fix="wait for it, or name another folder",
                ) from None
            yield
        finally:
            os.close(descriptor)
            self._aside.unlink(missing_ok=True)
            if new and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def there(self) -> tuple[dict[int, int], dict[str, Any] | None]:
        """The rows of each part that is there, and what they are parts of (None: there is none).

        A folder that holds anything else is refused: it is somebody else's.
        """
        rows, of = {}, None
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            number = path.name.removeprefix("part-").removesuffix(".parquet")
            told = self._told(path) if path == self.path(int(number) if number.isdigit() else -1) else None
            if told is None or (of is not None and told != of):
                raise InputError(
                    f"{path.name} is not a part of what is written there",
                    where=str(self.folder),
                    expected="an empty folder, or one that an interrupted run has left",
                    fix="name another folder",
                )
            of = told
            rows[int(number)] = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
        return rows, of

    def _told(self, path: Path) -> dict[str, Any] | None:
        try:
            text = pl.read_parquet_metadata(path).get(_KEY)
        except Exception as error:
            raise IntegrityError(
                f"the part cannot be read: {type(error).__name__}", where=str(path),
                fix="remove it, and run again: it is made anew",
            ) from error  # fmt: skip
        return None if text is None else dict(json.loads(text))

    def write(self, number: int, frame: pl.DataFrame, of: Mapping[str, Any]) -> None:
        """Write a part, durably; it is there whole when this returns."""
        with _failures(self.folder):
            frame.write_parquet(self._aside, metadata={_KEY: json.dumps(of)})
            _sync(self._aside)
            self._aside.replace(self.path(number))
            _sync(self.folder)

    def path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"


@contextmanager
def _failures(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackstayError(
            error.strerror or str(error), where=str(where), fix="free space or mend permissions, then run it again"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
