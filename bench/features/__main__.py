"""Every case of the feature store: `make bench-features`, or `python -m bench.features latest online` for some.

Results are held against each other before anything is timed; a difference ends the run.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.features.servers import valkey
from bench.features.sizes import AGGREGATES, AVERAGES, COLUMNS, FEW_LABELS, LABELS, SCALE, SOURCES, WIDE
from bench.harness import PEERS, Measured, Result, Side, alternate, compared, finish, limited, say

_OURS, _PEERS = "bench.features.ours", "bench.features.peers"
_LATEST = [f"{source}_{name}" for source in SOURCES for name in COLUMNS]
_MEMORY = 64_000_000


def main(chosen: Sequence[str]) -> None:
    cases = {"latest": latest, "windows": windows, "online": online, "scored": scored, "push": push}
    if unknown := [name for name in chosen if name not in cases]:
        sys.exit(f"there is no case {unknown[0]!r}; expected some of {', '.join(cases)}")
    say("data, and our record of it")
    Side("prepare", "bench.features.prepare", "everything").run()
    results: list[Result] = []
    for name in chosen or cases:
        say(name)
        results += cases[name]()
    finish("features" if SCALE == 1 and not chosen else "features-trial", results)


def _side(name: str, module: str, function: str, **arguments: object) -> Side:
    return Side(name, f"{_PEERS}.{module}", function, arguments, PEERS)


def _equal(ours: Side, peer: Side, key: str, exact: Sequence[str], close: Sequence[str] = ()) -> None:
    """Both sides' results are the same, or the run ends here."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("ours.parquet", "peer.parquet")]
        for side, path in zip((ours, peer), paths, strict=True):
            side.run(out=path)
        told = Side("equality", "bench.same", "same").run(
            ours=paths[0], peer=paths[1], key=[key], exact=list(exact), close=list(close)
        )
    say(f"    {ours.name} = {peer.name} in {told['rows']:,} rows")


def latest() -> list[Result]:
    """A training set of latest values."""
    everything, few = (
        Side(f"ours, {number:,} rows", _OURS, "latest", {"labels": labels})
        for number, labels in ((LABELS, "labels"), (FEW_LABELS, "few_labels"))
    )
    polars = _side("Polars join_asof", "polars_join", "latest", labels="labels")
    engines = {
        engine: _side(f"Feast on {engine}", "feast_side", "latest", labels="few_labels", engine=engine)
        for engine in ("dask", "duckdb")
    }
    _equal(everything, polars, "row", _LATEST)
    for side in engines.values():
        _equal(few, side, "row", _LATEST)
    ours, bare = alternate([everything, polars], 5)
    results = [
        compared(f"training set, {LABELS:,} rows: time, x join_asof", ours, bare, "seconds", "s", most=1.5),
        compared(f"training set, {LABELS:,} rows: memory, x join_asof", ours, bare, "peak", "MB", most=1.5),
    ]
    limit = _side("Polars join_asof, few", "polars_join", "latest", labels="few_labels")
    mine, least, *theirs = alternate([few, limit, *engines.values()], 3)
    for engine, one in zip(engines, theirs, strict=True):
        bar = f"training set, {FEW_LABELS:,} rows: Feast {engine}, x"
        results.append(compared(f"{bar} ours", mine, one, "seconds", "s", least=50))
        results.append(compared(f"{bar} join_asof (what is possible)", least, one, "seconds", "s", least=50))
    return results


def windows() -> list[Result]:
    """The same of five exact aggregates over a window; DuckDB in whichever formulation is faster."""
    results = []
    for average in AVERAGES:
        ours = Side(f"ours, {average} events a window", _OURS, "windows", {"average": average})
        peers = [
            _side(f"DuckDB by {way}", "duckdb_windows", "windows", average=average, way=way)
            for way in ("buckets", "frames")
        ]
        exact, close = [name for name in AGGREGATES if name not in ("sum", "mean")], ["sum", "mean"]
        for peer in peers:
            _equal(ours, peer, "row", exact, close)
        mine, *theirs = alternate([ours, *peers], 5)
        fastest = min(theirs, key=lambda runs: min(run["seconds"] for run in runs))
        bar = f"windows of {average} events: time, x DuckDB"
        results.append(compared(bar, mine, fastest, "seconds", "s", most=1.0))
    bounded = Side("ours, memory bounded", _OURS, "windows", {"average": AVERAGES[-1], "memory": _MEMORY})
    mine, free = alternate([bounded, ours], 2)
    bar = f"windows of {AVERAGES[-1]} events, features.memory {_MEMORY // 10**6} MB: memory, x unbounded"
    return [*results, compared(bar, mine, free, "peak", "MB", most=1.0)]


def online() -> list[Result]:
    """Ten features of one entity, and of a hundred, with statuses and ages."""
    with valkey() as port:
        url, address = f"redis://127.0.0.1:{port}/0", f"127.0.0.1:{port}"
        lmdb, shared = {}, {"url": url}
        sqlite, redis = {"configuration": "sqlite"}, {"configuration": "redis", "redis": address}
        for side in (
            Side("fill LMDB", _OURS, "fill", lmdb),
            Side("fill Valkey", _OURS, "fill", shared),
            _side("fill Feast on SQLite", "feast_side", "fill", **sqlite),
            _side("fill Feast on Redis", "feast_side", "fill", **redis),
            _side("fill bare Redis", "mget", "fill", url=url),
        ):
            side.run()
        shape = {"entities": 1, "calls": 0}
        for ours, peer in ((lmdb, sqlite), (shared, redis)):
            mine = Side(f"ours on {'Valkey' if ours else 'LMDB'}", _OURS, "online", {**shape, **ours})
            _equal(mine, _side("Feast", "feast_side", "online", **shape, **peer), "entity", WIDE)
        results = []
        for entities, sqlite_bar, redis_bar, calls in ((1, 8, 2, 5_200), (100, 40, 15, 1_200)):
            shape = {"entities": entities, "calls": calls}
            embedded, on_sqlite = alternate(
                [
                    Side(f"ours on LMDB, {entities}", _OURS, "online", {**shape, **lmdb}),
                    _side(f"Feast on SQLite, {entities}", "feast_side", "online", **shape, **sqlite),
                ],
                3,
            )
            mine = Side(f"ours on Valkey, {entities}", _OURS, "online", {**shape, **shared})
            least = _side(f"bare MGET, {entities}", "mget", "online", url=url, **shape)
            other = _side(f"Feast on Redis, {entities}", "feast_side", "online", **shape, **redis)
            # Two processes talk here, and how the kernel places them makes a third: the limit is met more often.
            on_valkey, bare = alternate([mine, least], 9)
            beside_feast, on_redis = alternate([mine, other], 3)
            many = "1 entity" if entities == 1 else f"{entities} entities"
            results += _percentiles(f"LMDB, {many}: Feast SQLite, x ours", embedded, on_sqlite, least=sqlite_bar)
            results += _percentiles(f"Valkey, {many}: x bare MGET", on_valkey, bare, most=1.5)
            results += _percentiles(f"Valkey, {many}: Feast Redis, x ours", beside_feast, on_redis, least=redis_bar)
    return results


def _percentiles(
    bar: str,
    ours: Sequence[Measured],
    peer: Sequence[Measured],
    *,
    most: float | None = None,
    least: float | None = None,
) -> list[Result]:
    return [
        compared(f"{bar}, {percentile}", ours, peer, percentile, "us", most=most, least=least)
        for percentile in ("p50", "p99")
    ]


def scored() -> list[Result]:
    """Lookup, windows and ten derived features, of one request, and of 32 that are coalesced."""
    Side("fill LMDB", _OURS, "fill").run()
    results = []
    for rows, limit, what in ((1, 400.0, "1 request"), (32, 1000.0, "32 coalesced")):
        (runs,) = alternate([Side(f"ours, {what}", _OURS, "scored", {"rows": rows, "calls": 3_200})], 3)
        results.append(limited(f"lookup + windows + 10 derived, {what}: p50", runs, "p50", "us", most=limit))
    return results


def push() -> list[Result]:
    """Durable events a second on one core, in batches of a hundred."""
    results = []
    for way, what in (("http", "the body of a request"), ("project", "project.features.push")):
        (runs,) = alternate([Side(f"ours, {what}", _OURS, "pinned_push", {"seconds": 5.0, "way": way})], 3)
        results.append(limited(f"push, {what}: events/s", runs, "rate", "1/s", least=5000.0))
    return results


if __name__ == "__main__":
    main(sys.argv[1:])
