"""Our side of every case."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np
import polars as pl

from backstay import Project
from backstay.core.identity import sha256
from backstay.registry import Code, Dataset, Features, Manifest, Registry, Scoring
from backstay.storage.backends.local import Anchored, LocalArtifacts, LocalLedger
from backstay.storage.digest import frame_digest

ROWS, COLUMNS = 10_000_000, 20
RUNS = 10_000


@contextmanager
def _project() -> Iterator[Project]:
    folder = Path(tempfile.mkdtemp(prefix="backstay-"))
    (folder / "backstay.toml").write_text('[project]\nname = "bench"\n')
    project = Project(folder)
    yield project
    project.close()
    shutil.rmtree(folder)


def opening() -> dict[str, float]:
    """From nothing to a first run in a fresh project."""
    with _project() as project:
        begin = perf_counter()
        project.services.ledger.revision()
        project.runs.begin("late")
        return {"seconds": perf_counter() - begin}


def logging(metrics: int) -> dict[str, float]:
    """The median time of logging one value of a metric."""
    with _project() as project:
        took = []
        with project.run("late") as run:
            for step in range(metrics):
                begin = perf_counter_ns()
                run.log("auc", 0.5 + step * 1e-6, step)
                took.append(perf_counter_ns() - begin)
        held = project.runs.metrics(run.id)
        assert held["step"].to_list() == list(range(metrics))
        assert held["value"][-1] == 0.5 + (metrics - 1) * 1e-6
        took.sort()
        return {"seconds": took[len(took) // 2] / 1e9}


def searching() -> dict[str, float]:
    """A search over ten thousand runs, by a project that was just opened; the best of five."""
    with _project() as project:
        random = np.random.default_rng(0)
        for number in range(RUNS):
            parameters = {f"p{place}": int(random.integers(0, 50)) for place in range(20)}
            with project.run("late", parameters=parameters, tags={"stage": f"s{number % 7}"}) as run:
                run.log_many({f"m{place}": float(random.random()) for place in range(5)})
        took = []
        for _ in range(5):
            opened = Project(project.path)
            begin = perf_counter()
            found = opened.runs.search("m0 > 0.7 and p3 < 10 and tags.stage = 's3'", order="m0 desc", limit=20)
            took.append(perf_counter() - begin)
            assert len(found) == 20
            opened.close()
        return {"seconds": min(took)}


def digest(path: str) -> dict[str, float]:
    """Reading a Parquet file, and the digest of what was read."""
    begin = perf_counter()
    frame = pl.read_parquet(path)
    read = perf_counter() - begin
    begin = perf_counter()
    told = frame_digest(frame)
    seconds = perf_counter() - begin
    assert len(told) == 64
    return {"seconds": seconds, "read": read}


def table(path: str) -> dict[str, float]:
    """Write the table: twenty columns of numbers and times."""
    random = np.random.default_rng(1)
    columns: dict[str, Any] = {f"f{n}": random.normal(size=ROWS) for n in range(COLUMNS - 6)}
    columns |= {f"i{n}": random.integers(0, 1_000_000, ROWS) for n in range(4)}
    columns |= {
        "at": pl.Series(np.arange(ROWS) * 1_000).cast(pl.Datetime("us", "UTC")),
        "yes": random.random(ROWS) < 0.1,
    }
    pl.DataFrame(columns).write_parquet(path)
    return {}


def registering(versions: int) -> dict[str, float]:
    """Registering a version with a model of a megabyte, and moving an alias to it: the medians."""
    folder = Path(tempfile.mkdtemp(prefix="backstay-"))
    ledger = Anchored(LocalLedger(folder / "ledger.sqlite"), folder / "ledger.anchors")
    registry = Registry(ledger, LocalArtifacts(folder / "artifacts"))
    registered, moved, seen = [], [], None
    for number in range(versions):
        files = {"model.onnx": np.random.default_rng(number).bytes(1_000_000), "reference.npy": bytes(500_000)}
        begin = perf_counter()
        version = registry.register(manifest_of(number, files), files, at=number, actor="bench")
        registered.append(perf_counter() - begin)
        begin = perf_counter()
        seen = registry.move_alias(
            "late", "champion", version.number, evidence={"reason": "bench"}, at=number, actor="bench",
            expect=None if seen is None else seen.entry_id,
        )  # fmt: skip
        moved.append(perf_counter() - begin)
    assert ledger.verify() == 2 * versions
    shutil.rmtree(folder)
    return {"register": sorted(registered)[versions // 2], "move": sorted(moved)[versions // 2]}


def manifest_of(number: int, files: dict[str, bytes], *, format: str = "onnx", code: bool = False) -> Manifest:
    """A manifest of these files, another for each number."""
    return Manifest(
        model="late",
        files={name: sha256(data) for name, data in files.items()},
        dataset=Dataset("d" * 64, 90, 96, 1, 2, 3, as_of=1_000, since=None, until=900, sources={"trips": 4}),
        cutoff=1_000,
        feature_set=Features("trips", "f" * 64, ["a", "b"], {"semantics": 1, "views": []}),
        label={"name": "late", "horizon": 3_600},
        estimator="lightgbm.sklearn.LGBMClassifier",
        parameters={"num_leaves": 31, "learning_rate": 0.1},
        seed=number,
        code=Code("c0ffee", None, "10cc", "CPython 3.11.7 (linux x86_64)", {"numpy": "2.4.6"}),
        metrics={},
        scorer=Scoring(format, 1.2e-7, 90, code=code),
        base_rate=0.25,
        threshold=0.5,
    )
