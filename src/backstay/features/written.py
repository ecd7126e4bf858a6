"""The Parquet files of one result, in order, in a folder that holds no parts of another one.

A folder of parts is read as one table, and says nothing of parts that are missing. So the parts have their names when
all of them are written, and until then names that readers of such a folder pass over (pandas, Spark, a glob of
*.parquet) or refuse (Polars, since their endings differ). A call that fails, or is interrupted, removes them; what one
leaves that was killed, the next one removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from backstay.core.errors import InputError

_UNFINISHED = "_unfinished"


def free(out: Path) -> None:
    """Raise if there is no folder to be made, or parts of another result would be read together with what is made."""
    if out.exists() and not out.is_dir():
        raise InputError(
            f"{out} is a file", where="out", expected="a folder, or a name that is free", fix="name another folder"
        )
    if there := sorted(out.glob("part-*.parquet")):
        raise InputError(
            f"the folder holds {len(there)} part{'s' * (len(there) > 1)} of another result, {there[0].name} first",
            where=f"out={str(out)!r}",
            expected="a folder without part-*.parquet",
            fix="name another folder, or remove the parts",
        )


@contextmanager
def result(out: Path) -> Iterator[tuple[Callable[[pl.DataFrame], None], list[Path]]]:
    """What writes the next part; and the parts' paths, which are there when all is done."""
    paths: list[Path] = []

    def write(frame: pl.DataFrame) -> None:
        frame.write_parquet(out / f"{_UNFINISHED}.{len(paths):05d}")
        paths.append(out / f"part-{len(paths):05d}.parquet")

    try:
        out.mkdir(parents=True, exist_ok=True)
        _remove(out)
        (out / _UNFINISHED).touch()
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror or error}", where="out",
            expected="a folder of yours, or a name for one", fix="name another folder",
        ) from None  # fmt: skip
    try:
        yield write, paths
        for number, path in enumerate(paths):
            (out / f"{_UNFINISHED}.{number:05d}").rename(path)
    finally:
        _remove(out)


def _remove(out: Path) -> None:
    for one in [*out.glob(f"{_UNFINISHED}.[0-9]*"), out / _UNFINISHED]:
        one.unlink(missing_ok=True)
