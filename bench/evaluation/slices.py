"""Slices: a search over a million rows of twenty features, its memory, and how often it confirms what is not there.

The rows have numbers with missing ones and a heavy value, codes, words, and a column of 5,000 words. Where nothing is
wrong, a run in twenty may confirm a slice; that is asked of losses and clusters of several shapes, 500 runs each.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

import numpy as np

from bench.evaluation.sides import ROWS, TIMES, ours
from bench.harness import Result, alternate, limited

RUNS = max(TIMES // 4, 25)
MOST = 0.05 + 2 * math.sqrt(0.05 * 0.95 / RUNS)
"""The nominal rate, and two standard errors of what is simulated."""
GROUPS = 40


def run() -> list[Result]:
    by_day, by_row = alternate(
        [
            ours("slices over 365 days", "slices", "searched", count=ROWS, clusters=365),
            ours("slices over single rows", "slices", "searched", count=ROWS, clusters=0),
        ],
        3,
    )
    assert all(one["found"] for one in (*by_day, *by_row)), "the planted pair is confirmed"
    (wrong,) = alternate([ours("slices where nothing is wrong", "slices", "luck")], 1)
    return [
        limited(f"slices, {ROWS:,} rows x 20, pairs", by_day, "seconds", "s", most=5.0),
        limited("the same, memory of the process", by_day, "peak", "MB", most=2_000),
        limited("the same, each row a cluster", by_row, "seconds", "s", most=5.0),
        *(
            limited(f"confirmed though not there: {name}", [{**wrong[0], "share": share}], "share", "share", most=MOST)
            for name, share in wrong[0].items()
            if name in SHAPES
        ),
    ]


def searched(count: int, clusters: int) -> dict[str, Any]:
    """Twenty features, and a loss that is higher for one pair of bins."""
    import polars as pl

    from backstay.evaluation.slices import find_slices

    random = np.random.default_rng(0)
    columns: dict[str, Any] = {}
    for place in range(12):
        values = random.lognormal(size=count)
        values[random.random(count) < 0.05] = np.nan
        columns[f"number{place}"] = np.where(random.random(count) < 0.1, 0.0, values) if place % 2 else values
    columns |= {f"code{place}": random.integers(0, 5, count) for place in range(2)}
    columns |= {f"word{n}": random.choice([f"w{k}" for k in range(20 * n + 20)], count) for n in range(5)}
    features = pl.DataFrame(columns | {"many": random.integers(0, 5_000, count).astype(str)})
    bad = ((features["word0"] == "w3") & (features["code0"] == 2)).to_numpy()
    loss, day = random.exponential(0.3, count) + 0.1 * bad, random.integers(0, clusters, count) if clusters else None
    find_slices(features[:2_000], loss[:2_000], None)  # libraries are imported once
    begin = perf_counter()
    found = find_slices(features, loss, day)
    seconds = perf_counter() - begin
    confirmed = {str(one.predicate) for one in found.confirmed}
    return {"seconds": seconds, "found": "code0 = 2 and word0 = 'w3'" in confirmed}


def luck() -> dict[str, float]:
    """By the shape of the rows, the share of runs that confirm a slice where none is worse."""
    from backstay.evaluation.slices import find_slices

    out = {}
    for name, shape in SHAPES.items():
        wrong = 0
        for seed in range(RUNS):
            random = np.random.default_rng(seed)
            features, loss, cluster = shape(random)
            wrong += bool(find_slices(features, loss, cluster, seed=seed).confirmed)
        out[name] = wrong / RUNS
    return out


def _features(random: Any, count: int) -> Any:
    import polars as pl

    x = random.normal(size=count)
    x[random.random(count) < 0.1] = np.nan
    words = random.choice(["a", "b", "c", "d", "e"], count, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    numbers = {"x": x, "y": random.gamma(1, 1, count).round(1), "k": random.integers(0, 4, count)}
    return pl.DataFrame({**numbers, "c": words})


def _skewed(random: Any) -> Any:
    return _features(random, 2000), random.exponential(0.3, 2000), None


def _rare(random: Any) -> Any:
    return _features(random, 2000), (random.random(2000) < 0.03).astype(float), None


def _frequent(random: Any) -> Any:
    return _features(random, 2000), (random.random(2000) < 0.9).astype(float), None


def _left(random: Any) -> Any:
    return _features(random, 2000), 1 - random.exponential(0.3, 2000) ** 2, None


def _days(random: Any) -> Any:
    """Loss and features both hang on the day."""
    import polars as pl

    day = random.integers(0, GROUPS, 2000)
    features = _features(random, 2000)
    x = features["x"].to_numpy() * 0.3 + random.normal(size=GROUPS)[day]
    k = np.where(random.random(2000) < 0.8, random.integers(0, 4, GROUPS)[day], features["k"].to_numpy())
    loss = np.exp(0.5 * random.normal(size=2000) + 0.7 * random.normal(size=GROUPS)[day])
    return features.with_columns(x=pl.Series(x), k=pl.Series(k)), loss, day


def _entities(random: Any) -> Any:
    """Entities of very unequal size, each with a word and a level of loss of its own."""
    import polars as pl

    sizes = np.ceil(random.pareto(1.2, 400) * 3).astype(int)
    entity = np.repeat(np.arange(400), sizes)[:2000]
    words = random.choice(["a", "b", "c", "d", "e"], 400)[entity]
    loss = random.exponential(1, entity.size) * random.gamma(1, 1, 400)[entity]
    return _features(random, entity.size).with_columns(c=pl.Series(words)), loss, entity


SHAPES = {
    "skewed losses": _skewed, "rare errors": _rare, "frequent errors": _frequent, "losses skewed to the left": _left,
    "days": _days, "unequal entities": _entities,
}  # fmt: skip
