"""Makes the data of all cases, once: the same seeds, the same files."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl

from bench.features.sizes import (
    COLUMNS,
    DATA,
    DAY,
    ENTITIES,
    EVENTS,
    FEW_LABELS,
    LABELS,
    LATE,
    SOURCES,
    SPAN,
    START,
    WIDE,
    ZIPF,
)

VERSION = "3"
TIME = pl.Datetime("us", "UTC")


def make() -> None:
    """Write every file below `DATA`, unless they are there already."""
    ready = DATA / "ready"
    if ready.is_file() and ready.read_text() == VERSION:
        return
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    for number, source in enumerate(SOURCES):
        _latest_events(np.random.default_rng(number)).write_parquet(DATA / f"{source}.parquet")
    labels = _labels(np.random.default_rng(10), None)
    labels.write_parquet(DATA / "labels.parquet")
    labels.gather_every(LABELS // FEW_LABELS).write_parquet(DATA / "few_labels.parquet")
    _window_events(np.random.default_rng(11)).write_parquet(DATA / "visits.parquet")
    _labels(np.random.default_rng(12), np.array(ZIPF)).write_parquet(DATA / "visit_labels.parquet")
    _profiles(np.random.default_rng(13)).write_parquet(DATA / "profiles.parquet")
    ready.write_text(VERSION)


def _times(numbers: np.ndarray) -> pl.Series:
    return pl.Series(numbers).cast(TIME)


def _latest_events(random: np.random.Generator) -> pl.DataFrame:
    """Events in order of time, at even microseconds: never at the moment that a row asks about."""
    at = START + np.sort(random.integers(0, SPAN // 2, EVENTS)) * 2
    values = {name: random.normal(50, 20, EVENTS).round(3) for name in COLUMNS}
    return pl.DataFrame({"event_time": _times(at), "entity": random.integers(0, ENTITIES, EVENTS), **values})


def _labels(random: np.random.Generator, weights: np.ndarray | None) -> pl.DataFrame:
    """Rows that ask, in order of time, at odd microseconds in the last two thirds of the span."""
    at = START + SPAN // 3 + np.sort(random.integers(0, SPAN // 3, LABELS)) * 2 + 1
    entity = random.choice(ENTITIES, LABELS, p=weights)
    return pl.DataFrame({"row": np.arange(LABELS), "at": _times(at), "entity": entity.astype(np.int64)})


def _window_events(random: np.random.Generator) -> pl.DataFrame:
    """Events of entities that are not equally frequent, in the order they became known; 1 in 20 late, 1 in 100 null."""
    at = START + random.integers(0, SPAN // 2, EVENTS) * 2
    late = np.where(random.random(EVENTS) < LATE, random.exponential(2 * 3_600_000_000, EVENTS), 0).astype(np.int64)
    value = pl.Series(random.gamma(2, 30, EVENTS).round(2))
    frame = pl.DataFrame(
        {
            "event_time": _times(at),
            "known_time": _times(at + late // 2 * 2),
            "entity": random.choice(ENTITIES, EVENTS, p=np.array(ZIPF)).astype(np.int64),
            "x": value.set(pl.Series(random.random(EVENTS) < 0.01), None),
        }
    )
    return frame.sort("known_time", "event_time", maintain_order=True)


def _profiles(random: np.random.Generator) -> pl.DataFrame:
    """Twenty events of each entity, of ten values, in order of time; the last of each is what is read online."""
    rows = 20 * ENTITIES
    entity = np.concatenate([random.permutation(ENTITIES) for _ in range(20)])
    at = START + np.arange(rows, dtype=np.int64) * (DAY // rows * 10)
    return pl.DataFrame(
        {"event_time": _times(at), "entity": entity, **{name: random.normal(0, 1, rows).round(4) for name in WIDE}}
    )
