"""Slices: the sums are those of a group-by, the test is that of a clustered regression, and luck confirms nothing."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.interval import Insufficient, Interval
from backstay.evaluation.slices import Least, Losses, find_slices
from backstay.evaluation.slices.bins import binned
from backstay.evaluation.slices.confirm import holm
from backstay.evaluation.slices.search import search, whole


def frame(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """Features that say nothing of the loss: numbers with missing ones, a heavy value, codes, words."""
    x = rng.normal(size=rows)
    x[rng.random(rows) < 0.1] = np.nan
    words = rng.choice(["a", "b", "c", "d", "e"], rows, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    return pl.DataFrame({"x": x, "y": rng.gamma(1, 1, rows).round(1), "k": rng.integers(0, 4, rows), "c": words})


def regression(loss: Any, inside: Any, clusters: Any) -> tuple[float, float]:
    """The coefficient of the slice in a regression of the loss, and its clustered variance (CR0), by matrices."""
    design = np.column_stack([np.ones(len(loss)), inside.astype(float)])
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ loss
    scores = design * (loss - design @ beta)[:, None]
    sums = np.array([scores[clusters == one].sum(axis=0) for one in np.unique(clusters)])
    return float(beta[1]), float((bread @ sums.T @ sums @ bread)[1, 1])


def test_a_slice_is_compared_as_a_clustered_regression_does() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        cluster = rng.integers(0, 40, 3000)
        loss = rng.exponential(0.3, 3000) + rng.normal(size=40)[cluster]
        inside = (rng.random(3000) < 0.3) & (cluster < 30)
        told = Losses.of(loss, cluster).compare(inside, effect=0.01)
        beta, variance = regression(loss, inside, cluster)
        counts = np.bincount(cluster[inside], minlength=40)
        df = min(one.sum() ** 2 / (one**2).sum() for one in (counts, np.bincount(cluster) - counts)) - 1
        error = np.sqrt(variance * 30 / 29)
        assert isinstance(told.difference, Interval)
        assert told.difference.estimate == pytest.approx(beta, abs=1e-9)
        assert told.difference.high - beta == pytest.approx(error * stats.t.ppf(0.975, df), rel=1e-9)
        assert told.p == pytest.approx(stats.t.sf((beta - 0.01) / error, df), rel=1e-9)
        assert told.loss == pytest.approx(loss[inside].mean())
        assert (told.rows, told.clusters) == (inside.sum(), 30)


def test_of_independent_rows_the_error_is_never_less_than_that_of_equal_spreads() -> None:
    loss = np.concatenate([np.ones(60), np.random.default_rng(1).random(1000) < 0.9]).astype(float)
    told = Losses.of(loss, np.arange(1060)).compare(np.arange(1060) < 60)
    assert isinstance(told.difference, Interval)
    error = np.sqrt(loss.var(ddof=1) * (1 / 60 + 1 / 1000))
    assert told.difference.high - told.difference.estimate == pytest.approx(stats.t.ppf(0.975, 59) * error)


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    p = np.random.default_rng(3).random(5) ** 3
    sets = [one for size in range(1, 6) for one in combinations(range(5), size)]
    closed = [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if place in s) for place in range(5)]
    assert holm(p.tolist()) == pytest.approx(closed)
    assert holm([0.04, None]) == [0.08, None]


def test_the_search_counts_what_a_group_by_counts() -> None:
    rng = np.random.default_rng(4)
    features, loss = frame(rng, 2000), rng.random(2000)
    columns, _ = binned(features, np.ones(2000, bool))
    steps, _ = whole(loss)
    found = search(columns, steps, order=3, minimum=20, keep=10_000)
    coded = pl.DataFrame({one.feature: one.codes for one in columns} | {"loss": loss})
    looked = small = 0
    for size in (1, 2, 3):
        for names in combinations(features.columns, size):
            rows = coded.group_by(names).len().get_column("len")
            looked, small = looked + int((rows >= 20).sum()), small + int((rows < 20).sum())
    assert (found.looked, found.small, found.skipped) == (looked, small, [])
    for one in found.candidates:
        inside = np.logical_and.reduce([columns[feature].codes == place for feature, place in one.places])
        scores = []
        for parent in combinations(one.places, len(one.places) - 1):
            for among in ([columns[f].codes == b for f, b in parent], []):
                rows = np.logical_and.reduce([np.ones(2000, bool), *among])
                rest, n = loss[rows & ~inside], inside.sum()
                error = np.sqrt(loss[rows].var() * (1 / n + 1 / len(rest)))
                scores.append((loss[inside].mean() - rest.mean()) / error)
        assert one.score == pytest.approx(min(scores), abs=1e-6)


def test_what_does_not_fit_the_budget_is_named() -> None:
    rng = np.random.default_rng(4)
    columns, _ = binned(frame(rng, 500), np.ones(500, bool))
    found = search(columns, whole(rng.random(500))[0], order=3, minimum=5, budget=10_000)
    assert ("x", "y", "k") in found.skipped
    assert all(len(one) > 1 for one in found.skipped)


def planted(rng: np.random.Generator, rows: int = 6000) -> tuple[pl.DataFrame, Any]:
    features = frame(rng, rows)
    return features, rng.exponential(0.3, rows)


def confirmed(found: Any) -> list[str]:
    return [str(one.predicate) for one in found.confirmed]


def test_a_planted_slice_is_confirmed_and_what_follows_from_it_is_not_counted_again() -> None:
    features, loss = planted(np.random.default_rng(5))
    features = features.with_columns(same=pl.when(pl.col("c") == "c").then(1).otherwise(pl.col("k") + 10))
    loss += 0.25 * (features["c"] == "c").to_numpy()
    found = find_slices(features, loss, np.arange(6000) // 20)
    assert confirmed(found) in (["c = 'c'"], ["same = 1"])
    explained = [one for one in found.slices if one.verdict == "explained"]
    assert {str(one.predicate) for one in explained} == {"c = 'c'", "same = 1"} - set(confirmed(found))
    assert all(one.explained_by == confirmed(found)[0] for one in explained)
    (worst,) = found.confirmed
    assert isinstance(worst.measured.difference, Interval)
    assert worst.measured.difference.low < 0.25 < worst.measured.difference.high


def test_missing_values_are_a_slice() -> None:
    features, loss = planted(np.random.default_rng(6))
    loss += 0.25 * features["x"].is_nan().to_numpy()
    assert confirmed(find_slices(features, loss, np.arange(6000) // 20)) == ["x is missing"]


def test_a_pair_that_no_single_feature_shows_is_confirmed() -> None:
    rng = np.random.default_rng(7)
    features, loss = planted(rng, 12_000)
    k, c = features["k"].to_numpy(), features["c"].to_numpy()
    loss = loss + np.where((k == 2) == (c == "a"), 0.2, 0.0)  # on the whole neither k nor c makes a difference
    loss -= pl.DataFrame({"k": k, "l": loss}).select(pl.col("l").mean().over("k")).to_series().to_numpy()
    loss -= pl.DataFrame({"c": c, "l": loss}).select(pl.col("l").mean().over("c")).to_series().to_numpy()
    alone = find_slices(features, loss, np.arange(12_000), order=1)
    found = find_slices(features, loss, np.arange(12_000))
    assert confirmed(alone) == []
    assert "k = 2 and c = 'a'" in confirmed(found)
    assert all(len(one.predicate.conditions) == 2 for one in found.confirmed)


def test_a_triple_is_found_when_triples_are_asked_for() -> None:
    features, loss = planted(np.random.default_rng(8), 12_000)
    loss += 0.4 * ((features["k"] == 1) & (features["c"] == "b") & (features["x"] > 0)).to_numpy()
    found = find_slices(features, loss, np.arange(12_000), order=3)
    assert any(len(one.predicate.conditions) == 3 for one in found.slices)
    assert any("k = 1" in one and "c = 'b'" in one for one in confirmed(found))


def test_an_effect_must_be_exceeded() -> None:
    features, loss = planted(np.random.default_rng(9))
    loss += 0.2 * (features["c"] == "c").to_numpy()
    assert confirmed(find_slices(features, loss, np.arange(6000) // 20, effect=0.05)) == ["c = 'c'"]
    assert confirmed(find_slices(features, loss, np.arange(6000) // 20, effect=0.3)) == []


def test_the_order_of_the_rows_changes_nothing() -> None:
    rng = np.random.default_rng(10)
    features, loss = planted(rng)
    loss += 0.2 * (features["c"] == "c").to_numpy()
    cluster = rng.choice([f"day {n}" for n in range(60)], 6000)
    order = rng.permutation(6000)
    one = find_slices(features, loss, cluster)
    other = find_slices(features[order], loss[order], cluster[order])
    assert one.as_dict() == other.as_dict()
    assert json.loads(json.dumps(one.as_dict(), allow_nan=False)) == one.as_dict()
    assert one.as_dict() != find_slices(features, loss, cluster, seed=1).as_dict()


def clustered(rng: np.random.Generator) -> tuple[pl.DataFrame, Any, Any]:
    """Days that are good or bad as a whole, and have features of their own: rows that tell nothing as rows."""
    day = rng.integers(0, 40, 1200)
    features = frame(rng, 1200)
    own = rng.integers(0, 4, 40)[day]
    x = features["x"].to_numpy() * 0.3 + rng.normal(size=40)[day]
    k = np.where(rng.random(1200) < 0.8, own, features["k"].to_numpy())
    loss = np.exp(0.5 * rng.normal(size=1200) + 0.7 * rng.normal(size=40)[day])
    return features.with_columns(x=pl.Series(x), k=pl.Series(k)), loss, day


def independent(rng: np.random.Generator) -> tuple[pl.DataFrame, Any, Any]:
    return frame(rng, 1000), rng.exponential(0.3, 1000), np.arange(1000)


def mostly_wrong(rng: np.random.Generator) -> tuple[pl.DataFrame, Any, Any]:
    """A loss of 0 or 1 whose small slices are often all 1."""
    return frame(rng, 1000), (rng.random(1000) < 0.9).astype(float), np.arange(1000)


@pytest.mark.parametrize("data", [clustered, independent, mostly_wrong])
def test_without_any_bad_slice_hardly_a_run_confirms_one(data: Any) -> None:
    """120 runs of each kind; bench/evaluation/slices.py has more, and more kinds."""
    runs, wrong = 120, 0
    for seed in range(runs):
        features, loss, cluster = data(np.random.default_rng(seed))
        found = find_slices(features, loss, cluster, least=Least(30), seed=seed)
        wrong += bool(found.confirmed)
    assert wrong <= 0.05 * runs + 2 * np.sqrt(runs * 0.05 * 0.95)


def test_what_can_not_be_told_is_said() -> None:
    rng = np.random.default_rng(11)
    features, loss = planted(rng, 400)
    few = find_slices(features, loss, np.arange(400) % 9)
    assert few.insufficient == "the rows are in 9 clusters, and 5 are needed on each half"
    assert find_slices(features, loss, np.zeros(400)).insufficient == "all 400 rows are in 1 cluster"
    assert find_slices(features, np.ones(400), np.arange(400)).insufficient == "every row has the same loss"
    assert find_slices(features.select([]), [], []).insufficient == "there are no rows"
    assert find_slices(pl.DataFrame(), [], []).loss is None
    day = np.arange(400) % 20
    one_day = pl.DataFrame({"bad": day == 0})
    told = [find_slices(one_day, loss + (day == 0), day, least=Least(10), seed=seed) for seed in range(4)]
    assert not any(one.slices for one in told)
    assert {one.untold for one in told} == {0, 1}  # it is in one of the halves
    gone = pl.DataFrame({"x": pl.Series([None] * 400, dtype=pl.Float64), "y": [1] * 400})
    nothing = find_slices(gone, loss, np.arange(400))
    assert (nothing.slices, nothing.looked) == ((), 0)
    assert nothing.unlooked == {"x": "every value is missing", "y": "one value only"}


def test_wrong_input_is_an_error() -> None:
    features, loss = planted(np.random.default_rng(12), 100)
    loss[[7, 9]] = np.nan
    with pytest.raises(InputError, match="2 losses are not finite, the first is nan in row 7"):
        find_slices(features, loss, np.arange(100))
    with pytest.raises(InputError, match="there are 3 losses for 100 rows"):
        find_slices(features, [1, 2, 3], np.arange(100))
    with pytest.raises(InputError, match="there are 3 clusters for 100 rows"):
        find_slices(features, np.ones(100), [1, 2, 3])
    for wrong in ({"effect": -1}, {"effect": float("nan")}, {"level": 95}, {"most": 0}):
        with pytest.raises(InputError, match=next(iter(wrong)) + "|candidates"):
            find_slices(features, np.ones(100), np.arange(100), **wrong)
    with pytest.raises(InputError, match="the order is 4"):
        find_slices(features, np.random.default_rng(1).random(100), np.arange(100), order=4)


def test_a_slice_too_small_to_be_told_is_insufficient() -> None:
    loss = Losses.of(np.random.default_rng(1).random(300), np.arange(300) // 10)
    for inside, why in (
        (np.zeros(300, bool), "no row is in it"),
        (np.arange(300) < 49, "49 rows, and 50 are needed"),
        (np.arange(300) >= 20, "20 rows are outside it, and 50 are needed"),
        (np.arange(300) >= 260, "40 rows, and 50 are needed"),
    ):
        told = loss.compare(inside)
        assert told.difference == Insufficient(why, int(inside.sum()))
        assert told.p is None
    heavy = np.concatenate([np.zeros(200, int), np.arange(1, 101)])
    told = Losses.of(np.random.default_rng(1).random(300), heavy).compare(np.arange(300) < 210)
    assert str(told.difference).startswith("INSUFFICIENT: its rows, or the rest's, count as 1.1 clusters")
    assert Losses.of(np.ones(300), np.arange(300)).compare(np.arange(300) < 100).p is None


def test_progress_ends_where_it_says() -> None:
    features, loss = planted(np.random.default_rng(13), 1000)
    told: list[tuple[str, int, int]] = []
    find_slices(features, loss, np.arange(1000), progress=lambda *step: told.append(step))
    last = {step: (done, total) for step, done, total in told}
    assert all(done == total for step, (done, total) in last.items() if step != "features")
    assert {"features in bins", "features", "pairs"} <= set(last)
