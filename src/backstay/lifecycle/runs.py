"""A batch run: all that decides what is written, fixed when it begins, and what it takes to go on with it.

Every part that a run writes carries the run. One that was killed goes on as itself: from the same events (the
watermark), at the same T, with the same version. Something else asked for in its folder is refused, and so is a
finished run as of "now": what it would leave there is of another now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from backstay.core.errors import ConflictError, InputError, IntegrityError, NotFoundError
from backstay.core.identity import new_id
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion
from backstay.storage.parts import Parts
from backstay.storage.tables import Table

PART = 100_000
"""Rows of a part, by default: as many as are in memory at once, with their features."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    at:       the column of each row's T, or one T for all, in microseconds; None: now
    version:  its number; None: the champion's
    keep:     the table's columns that go into the output; None: all
    features: features and their statuses go there, too
    part:     rows of a part
    memory:   bytes that a source's events may take at once, roughly; None: no bound
    """

    at: str | int | None = None
    version: int | None = None
    keep: Sequence[str] | None = None
    features: bool = False
    part: int = PART
    memory: int | None = None


class Run(msgspec.Struct, frozen=True):
    """A run. `asked` is what must be the same to go on with it. Times are microseconds.

    at:        T of all rows; None where each has its own
    begun:     when it began; no T is after it
    watermark: by source, the last event that counts
    """

    id: str
    asked: dict[str, Any]
    begun: int
    at: int | None
    rows: int
    part: int
    parts: int
    watermark: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)

    def rows_of(self, parts: Iterable[int]) -> int:
        """How many rows some parts have."""
        return sum(max(min(self.part, self.rows - number * self.part), 0) for number in parts)

    def unchanged(self, opened: Callable[[int | None], Table], table: Table) -> None:
        """`IntegrityError` if the table's files are not those that the run began with."""
        if opened(table.version).identity != self.asked["table"]:
            raise IntegrityError(
                "the table changed while it was scored",
                where=table.where,
                expected="the same files until the end",
                fix="score a copy, or a Delta table, into another folder",
            )


def chosen_version(records: Records, model: Model, number: int | None) -> ModelVersion:
    """The version of this number, or the champion."""
    if number is not None:
        return records.registry.get(model.name, number)
    move = records.registry.alias(model.name, "champion")
    if move is None:
        raise NotFoundError(
            f"model {model.name!r} has no champion",
            fix=f"promote a version first (backstay promote 1 --model {model.name}), or name one with --version",
        )
    return records.registry.get(model.name, move.to)


def taken_up(
    records: Records,
    model: Model,
    version: ModelVersion,
    opened: Callable[[int | None], Table],
    parts: Parts,
    wanted: Wanted,
) -> tuple[Run, Table, list[int]]:
    """The run that the folder holds, if it is the one wanted, or a new one; its table; and the parts missing."""
    there, told = parts.there()
    run = None if told is None else msgspec.convert(told, Run)
    finished = run is not None and len(there) == run.parts
    table = opened(None if run is None or finished else run.asked["table"].get("version"))
    at = None if run is not None and run.asked["at"] is None and wanted.at == run.at else wanted.at
    asked = {
        "model": model.name,
        "version": version.number,
        "digest": version.digest,
        "table": table.identity,
        "at": at,
        "keep": None if wanted.keep is None else list(wanted.keep),
        "features": wanted.features,
    }
    if rule := records.rules.in_force(version).name:
        asked["rule"] = rule
    if run is None:
        run = _begun(records, model, wanted, table, asked)
    else:
        _same(run, asked, parts, finished=finished and wanted.at is None)
        _whole(run, there, parts)
    return run, table, [number for number in range(run.parts) if number not in there]


def _begun(records: Records, model: Model, wanted: Wanted, table: Table, asked: dict[str, Any]) -> Run:
    now = records.clock.now()
    if isinstance(wanted.at, int) and wanted.at > now:
        raise InputError(
            f"T is {instant_text(wanted.at)}",
            where="at",
            expected=f"not after now, {instant_text(now)}",
            fix="leave it out: T is now",
        )
    if wanted.part < 1:
        raise InputError(f"a part has {wanted.part} rows", where="part", expected="1 or more")
    return Run(
        id=new_id(),
        asked=asked,
        begun=now,
        at=None if isinstance(wanted.at, str) else now if wanted.at is None else wanted.at,
        rows=table.rows,
        part=wanted.part,
        parts=max(-(-table.rows // wanted.part), 1),
        watermark={source.name: records.events.last_sequence(source.name) for source in model.features.sources},
    )


def _same(run: Run, asked: dict[str, Any], parts: Parts, *, finished: bool) -> None:
    """Raise if the run is not what is asked for; `finished`: it is, and what is asked for is as of now."""
    other = [name for name, value in asked.items() if run.asked[name] != value and name != "digest"]
    if other:
        again = f" (--version {run.asked['version']})" if "version" in other else ""
        nothing = {"at": "now", "keep": "all"}
        shown = {
            name: tuple(nothing[name] if one[name] is None else _shown(one[name]) for one in (run.asked, asked))
            for name in other
        }
        raise InputError(
            "; ".join(f"the run there has the {name} {was}, and not {now}" for name, (was, now) in shown.items()),
            where=str(parts.folder),
            expected="the run that the folder holds, or another folder",
            fix=f"name another folder, or ask for the same again{again}",
        )
    if finished and run.at is not None:
        raise ConflictError(
            f"the folder holds a finished run as of {instant_text(run.at)}",
            where=str(parts.folder),
            expected="a folder for each run",
            fix=f"name another folder; or ask for that one (--at {instant_text(run.at)})",
        )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        files = value.get("files")
        if files is None:
            return ", ".join(f"{name} {one}" for name, one in value.items())
        return f"of {len(files)} files, {files[0][0]} of {files[0][1]} bytes the first" if files else "of no files"
    return repr(value)


def _whole(run: Run, there: dict[int, int], parts: Parts) -> None:
    for number, rows in there.items():
        expected = run.rows_of([number])
        if number >= run.parts or rows != expected:
            raise IntegrityError(
                f"the part has {rows} rows",
                where=str(parts.path(number)),
                expected=str(expected),
                fix="remove it, and run again: it is made anew",
            )
