"""Cells, rates, clusters and pooling of fairness: known answers, and what can't be told is never a number."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from backstay.core.errors import InputError
from backstay.evaluation.fairness import MISSING, fairness_report, partitions, reweighing, tally
from backstay.evaluation.fairness.calibration import calibration_errors
from backstay.evaluation.fairness.cells import states, tally_clusters
from backstay.evaluation.fairness.pooled import pooled
from backstay.evaluation.fairness.rates import RATES, shares
from backstay.evaluation.fairness.scored import by_step, heights, mean_scores
from backstay.evaluation.interval import Insufficient, Interval, NotEnough


def people(rows: int = 3_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Outcomes, scores, and two attributes that have nothing to do with either."""
    rng = np.random.default_rng(seed)
    outcome = rng.random(rows) < 0.4
    score = np.clip(0.25 * outcome + 0.75 * rng.random(rows), 0, 1)
    race = np.array(["a", "b", "c"])[rng.integers(0, 3, rows)]
    return outcome, score, {"race": race, "sex": np.array(["f", "m"])[rng.integers(0, 2, rows)]}


def test_rates_are_those_of_the_confusion_matrix_and_their_intervals_those_of_scipy() -> None:
    outcome, score, attributes = people()
    report = fairness_report(outcome, score, attributes, threshold=0.5)
    assert [group.name for group in report.groups] == ["race", "sex", "race x sex"]
    for group in report.groups:
        assert sum(cell.rows for cell in group.cells) == 3_000
        for cell in group.cells:
            mask = np.logical_and.reduce([attributes[name] == value for name, value in cell.values.items()])
            tn, fp, fn, tp = confusion_matrix(outcome[mask], score[mask] >= 0.5).ravel().tolist()
            known = {
                "selection_rate": (tp + fp, mask.sum()), "base_rate": (tp + fn, mask.sum()), "tpr": (tp, tp + fn),
                "fnr": (fn, tp + fn), "fpr": (fp, tn + fp), "ppv": (tp, tp + fp),
            }  # fmt: skip
            assert known.keys() == RATES.keys() == cell.rates.keys()
            for name, (hits, n) in known.items():
                found, ours = binomtest(int(hits), int(n)).proportion_ci(method="wilson"), cell.rates[name]
                assert isinstance(ours, Interval)
                assert (ours.estimate, ours.low, ours.high) == pytest.approx(
                    (hits / n, found.low, found.high), abs=1e-9
                )
            assert cell.mean_score == pytest.approx(score[mask].mean(), abs=1e-9)


def test_the_order_of_rows_moves_no_bit() -> None:
    outcome, score, attributes = people()
    day = np.random.default_rng(3).integers(0, 40, outcome.size)
    order = np.random.default_rng(9).permutation(outcome.size)
    first = fairness_report(outcome, score, attributes, clusters=day)
    second = fairness_report(
        outcome[order], score[order], {name: one[order] for name, one in attributes.items()}, clusters=day[order]
    )
    assert first.as_dict() == second.as_dict()


@pytest.mark.parametrize(
    "column",
    [
        ["x", None, "y", ""],
        pl.Series(["x", None, "y", None]),
        np.array(["x", None, "y", None], dtype=object),
        np.array(["x", float("nan"), "y", None], dtype=object),
        pl.Series(["x", None, "y", None], dtype=pl.Categorical),
    ],
)
def test_rows_without_a_value_are_a_group_that_is_named(column: object) -> None:
    (found,) = partitions({"g": column})  # type: ignore[dict-item]
    assert found.cells == (MISSING, "x", "y")
    assert found.code.tolist() == [1, 0, 2, 0]


def test_numbers_and_booleans_are_groups_too() -> None:
    found = partitions(pl.DataFrame({"band": [1.0, float("nan"), 2.0], "new": [True, False, None]}))
    assert [one.cells for one in found] == [
        (MISSING, "1", "2"), (MISSING, "false", "true"), (f"{MISSING}, false", "1, true", f"2, {MISSING}"),
    ]  # fmt: skip
    assert found[2].absent == 6


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "there is no attribute"),
        ({"age": np.arange(1_000)}, "1000 different values"),
        ({"age": np.arange(8_000) % 100, "town": np.arange(8_000) // 80}, "age x town has 8000 different crossings"),
        ({"a": ["x"], "b": ["x", "y"]}, "rows"),
        ({"a": [MISSING, None]}, "other rows have no value"),
        ({"a": [[1], [2]]}, "no groups"),
    ],
)
def test_what_is_no_attribute_is_refused(attributes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        partitions(attributes)  # type: ignore[arg-type]


def test_a_group_without_positives_and_a_group_of_one_have_no_rate() -> None:
    outcome, score, _ = people(600)
    group = np.array(["a"] * 400 + ["b"] * 199 + ["c"], dtype=object)
    outcome[400:] = False
    cells = {cell.name: cell for cell in fairness_report(outcome, score, {"g": group}).groups[0].cells}
    for name in ("tpr", "fnr"):
        assert isinstance(cells["b"].rates[name], Insufficient)
    assert str(cells["b"].rates["tpr"]) == "INSUFFICIENT: there are no rows with outcome 1"
    assert isinstance(cells["b"].rates["fpr"], Interval)
    assert all(isinstance(rate, Insufficient) for rate in cells["c"].rates.values())
    assert cells["c"].rows == 1


@pytest.mark.parametrize(
    ("outcome", "score", "said"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], "all 3 rows have outcome 0"),
        ([1, 1, 1], [0.1, 0.2, 0.3], "all 3 rows have outcome 1"),
        ([0, 1, 0], [0.5, 0.5, 0.5], "all 3 scores are 0.5"),
        ([], [], "there are no rows"),
    ],
)
def test_what_can_tell_nothing_says_so(outcome: list[int], score: list[float], said: str) -> None:
    with pytest.raises(NotEnough, match=said):
        fairness_report(outcome, score, {"g": ["x"] * len(outcome)})


def test_a_score_that_is_no_number_is_an_error_and_not_a_row_less() -> None:
    with pytest.raises(InputError, match="1 values are NaN, the first in row 1"):
        fairness_report([0, 1], [0.1, float("nan")], {"g": ["x", "y"]})
    with pytest.raises(InputError, match="criterion"):
        fairness_report([0, 1], [0.1, 0.2], {"g": ["x", "y"]}, criterion="kindness")


def test_rows_of_clusters_that_hang_together_are_worth_fewer() -> None:
    """100 clusters of 30 equal rows are worth 100 rows."""
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(100), 30)
    selected = np.repeat(rng.random(100) < 0.5, 30)
    (part,) = partitions({"g": np.repeat("x", 3_000)})
    state = states(np.zeros(3_000, bool), selected)
    found = shares(tally(part, state), "selection_rate", 20, tally_clusters(part, state, cluster, 100))
    assert found.effective[0] == pytest.approx(97, abs=4)  # less a little for Student's t
    assert found.clusters.tolist() == [100]
    apart = shares(tally(part, state), "selection_rate", 20, tally_clusters(part, state, np.arange(3_000), 3_000))
    assert apart.effective[0] == pytest.approx(3_000, rel=0.01)


def test_intervals_of_clustered_rows_cover_and_those_of_rows_do_not() -> None:
    """500 times 40 clusters of 25 rows, whose rates differ from cluster to cluster, of two groups each."""
    rng = np.random.default_rng(5)
    covered, naive, times, clusters, each = [0, 0], 0, 500, 40, 25
    cluster, group = np.repeat(np.arange(clusters), each), np.tile(np.arange(each) % 2, clusters)
    (part,) = partitions({"g": np.array(["x", "y"])[group]})
    for _ in range(times):
        rate = rng.beta(1.5, 3.5, clusters)[cluster]
        state = states(np.zeros(group.size, bool), rng.random(group.size) < rate)
        counts = tally(part, state)
        for place, one in enumerate(
            shares(counts, "selection_rate", 20, tally_clusters(part, state, cluster, clusters)).estimates()
        ):
            assert isinstance(one, Interval)
            covered[place] += one.low <= 0.3 <= one.high
        plain = shares(counts, "selection_rate", 20).estimates()[0]
        assert isinstance(plain, Interval)
        naive += plain.low <= 0.3 <= plain.high
    assert min(covered) >= 0.93 * times
    assert naive < 0.85 * times


def test_one_cluster_says_nothing() -> None:
    (part,) = partitions({"g": np.repeat("x", 100)})
    state = states(np.zeros(100, bool), np.arange(100) % 3 == 0)
    found = shares(tally(part, state), "selection_rate", 20, tally_clusters(part, state, np.zeros(100, int), 1))
    assert found.why == ("its 100 rows are all of one cluster",)


def test_pooled_intervals_cover_where_cells_differ_and_where_they_do_not() -> None:
    rng = np.random.default_rng(7)
    for worth in (4.0, 40.0, 1e6):
        covered = width = raw = count = 0.0
        for _ in range(20):
            n = rng.integers(5, 60, 10)
            true = rng.beta(0.3 * worth, 0.7 * worth, 10)
            hits = rng.binomial(n, true)
            found = shares(np.stack([n - hits, hits, 0 * n, 0 * n], 1), "selection_rate", 1)
            for one, alone, p in zip(pooled(found), found.estimates(), true, strict=True):
                assert isinstance(one, Interval)
                assert isinstance(alone, Interval)
                covered += one.low <= p <= one.high
                width, raw, count = width + one.high - one.low, raw + alone.high - alone.low, count + 1
        assert covered / count >= 0.92
        assert width < raw


def test_there_is_nothing_to_borrow_from_one_cell() -> None:
    found = pooled(shares(np.array([[10, 5, 0, 0]]), "selection_rate"))
    assert str(found[0]) == "INSUFFICIENT: there is nothing to borrow from"


def test_calibration_in_the_large_is_outcomes_less_mean_score() -> None:
    outcome, score, attributes = people()
    part = partitions(attributes)[0]
    base = shares(tally(part, states(outcome, score >= 0.5)), "base_rate")
    for cell, one in zip(part.cells, calibration_errors(mean_scores(part, score), base), strict=True):
        mask = attributes["race"] == cell
        assert isinstance(one, Interval)
        assert one.estimate == pytest.approx(outcome[mask].mean() - score[mask].mean(), abs=1e-9)
    assert mean_scores(part, score * 3) is None
    assert str(calibration_errors(None, base)[0]) == "INSUFFICIENT: the scores are no probabilities"


def test_steps_hold_every_row_and_the_models_own_threshold() -> None:
    outcome, score, attributes = people()
    found = heights(score, 0.4321)
    assert 0.4321 in found.edges
    steps = by_step(partitions(attributes)[0], outcome, found)
    assert steps.sum() == outcome.size
    own = int(np.searchsorted(found.edges, 0.4321))
    assert steps[:, own + 1 :].sum() == np.count_nonzero(score >= 0.4321)


def test_reweighed_rows_have_group_and_outcome_independent() -> None:
    rng = np.random.default_rng(4)
    group = rng.integers(0, 3, 2_000)
    outcome = rng.random(2_000) < 0.2 + 0.2 * group
    (part,) = partitions({"g": group})
    weight = reweighing(part, outcome)
    rates = [np.average(outcome[group == one], weights=weight[group == one]) for one in range(3)]
    assert rates == pytest.approx([outcome.mean()] * 3, abs=1e-12)
    assert weight.sum() == pytest.approx(2_000)
    with pytest.raises(NotEnough, match="rows of 2 have outcome 0"):
        reweighing(part, outcome & (group < 2))
    with pytest.raises(InputError, match="outcomes for"):
        reweighing(part, [0, 1])
