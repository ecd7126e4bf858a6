"""Our side of every case, through the public API: a project in a folder of its own, and what its user would call."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from backstay import Project
from backstay.features.backfill import backfill
from bench.clock import each, timed
from bench.features import asked
from bench.features.sizes import AGGREGATES, COLUMNS, DATA, ENTITIES, HOME, SOURCES, WIDE

DEFINITIONS = Path(__file__).with_name("definitions.py")
PROFILE = [f"entity_{name}" for name in WIDE]


def project(name: str, *, home: Path = HOME, url: str | None = None, memory: int = 0) -> Project:
    """A project of the definitions, in a folder of its own."""
    folder = DATA / "projects" / name
    folder.mkdir(parents=True, exist_ok=True)
    online = f'[online]\nurl = "{url}"\n' if url else ""
    (folder / "backstay.toml").write_text(
        f'[project]\nname = "bench"\nmodels = "{DEFINITIONS}"\n{online}[features]\nmemory = {memory}\n'
    )
    return Project(folder, home=home)


def prepare() -> None:
    """Read every source into the events record, once."""
    one = project("prepare")
    if not (HOME / "ready").exists():
        shutil.rmtree(HOME, ignore_errors=True)
        one.ingest()
        (HOME / "ready").touch()
    one.close()


def latest(labels: str, out: str | None = None) -> dict[str, float]:
    """The latest values of both sources for a frame of labels."""
    return _historical("latest", labels, [f"{source}_{name}" for source in SOURCES for name in COLUMNS], out)


def windows(average: int, out: str | None = None, memory: int = 0) -> dict[str, float]:
    """Five aggregates of the events in a window."""
    return _historical(f"windows{average}", "visit_labels", list(AGGREGATES), out, memory)


def _historical(
    features: str, labels: str, columns: Sequence[str], out: str | None, memory: int = 0
) -> dict[str, float]:
    rows = pl.read_parquet(DATA / f"{labels}.parquet")
    one = project("offline", memory=memory)
    store = one.features  # opened before the clock starts, and the definitions loaded, as every side's are
    seconds, made = timed(lambda: store.historical(rows, features))
    if out is not None:
        frame = made.frame
        assert frame.columns[: rows.width] == rows.columns
        assert frame.select(rows.columns).equals(rows)
        frame.rename(dict(zip(frame.columns[rows.width :], columns, strict=True))).write_parquet(out)
    return {"seconds": seconds}


def fill(url: str | None = None) -> None:
    """Bring the online state up to the events, from nothing."""
    one = project("redis" if url else "lmdb", url=url)
    sets = one.definitions.feature_sets
    one.services.online.clear()
    chosen = [sets["profile"]] if url else [sets["profile"], sets["scored"]]
    backfill(chosen, one.services.events, one.services.online, until=None, progress=lambda *_: None)
    one.close()


def online(entities: int, calls: int, url: str | None = None, out: str | None = None) -> dict[str, float]:
    """Ten features, with statuses and ages, of so many entities at once."""
    one = project("redis" if url else "lmdb", url=url)
    read = one.features.online
    if out is not None:
        found = read([{"entity": number} for number in range(ENTITIES)], "profile")
        assert all(set(row.statuses.values()) == {"OK"} and len(row.ages) == len(WIDE) for row in found)
        rows = [{"entity": number, **row.values} for number, row in enumerate(found)]
        pl.DataFrame(rows).rename(dict(zip(PROFILE, WIDE, strict=True))).write_parquet(out)
        return {}
    requests = [[{"entity": number} for number in some] for some in asked.entities(entities, calls)]
    return each(lambda rows: read(rows, "profile"), requests)


def scored(rows: int, calls: int) -> dict[str, float]:
    """Lookup, windows and ten derived features of so many requests, evaluated together."""
    one = project("lmdb")
    features, at = one.features, asked.newest()
    requests = [
        [{"entity": number, "amount": 12.5 + number % 7, "moment": at - 1} for number in some]
        for some in asked.entities(rows, calls, frequent=True)
    ]
    return each(lambda few: features.online(few, "scored", at=at), requests)


def push(seconds: float, way: str) -> dict[str, float]:
    """Events a second, pushed in batches of a hundred until so many seconds have passed.

    way: "http", the body of a request as the server takes it; "project", what a process calls.
    """
    home = DATA / "push"
    shutil.rmtree(home, ignore_errors=True)
    one = project("push", home=home)
    take = _body(one) if way == "http" else lambda events: one.features.push("pushed", events)
    batches = asked.batches(encoded=way == "http")
    for batch in batches[:3]:  # imports, the first commit of the table
        take(batch)
    count, took = 0, 0.0
    while took < seconds:
        took += timed_batch(take, batches[count % len(batches)])
        count += 1
    held = one.services.events.last_sequence("pushed")
    assert held == (count + 3) * asked.BATCH, f"{held} events in the record"
    return {"rate": count * asked.BATCH / took, "batches": count}


def timed_batch(take: Any, batch: Any) -> float:
    """Seconds of one push; no collection of garbage is forced in between."""
    from time import perf_counter

    begin = perf_counter()
    take(batch)
    return perf_counter() - begin


def _body(one: Project) -> Any:
    """What the server does with a pushed body, without the network."""
    from backstay.features.online import OnlineWriter
    from backstay.serving.push import Push

    definitions, services = one.definitions, one.services
    writer = OnlineWriter(services.online, definitions.feature_sets.values())
    sets = definitions.feature_sets.values()
    return Push(definitions.sources["pushed"], services.events, writer, one.clock, feature_sets=sets, replay=False).take


def pinned_push(seconds: float, way: str) -> dict[str, float]:
    """`push` on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return push(seconds, way)
