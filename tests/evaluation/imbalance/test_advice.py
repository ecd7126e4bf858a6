"""Advice: figures against scikit-learn and brute force, at 1:10 and at 1:1,000 alike, and what the rows cannot tell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from backstay.evaluation import NotEnough
from backstay.evaluation.decided import Costs
from backstay.evaluation.imbalance import Advice, Rows, Tried, advise, without_weight
from backstay.evaluation.imbalance.curves import cost_curve, ratios, reliability


def _world(one_in: int, rows: int = 40_000) -> tuple[Rows, np.ndarray]:
    """Rows on days, two folds, and the true probability of each."""
    rng = np.random.default_rng(one_in)
    signal = rng.normal(size=rows)
    odds = np.exp(1.5 * signal - 1.0)
    true = np.clip(odds / odds.mean() / one_in, 0, 0.9)
    day = np.arange(rows) // 200
    outcome = rng.random(rows) < true
    return Rows(outcome, day, (np.arange(rows) >= rows // 2).astype(int), np.full(rows, outcome.mean())), true


def _advice(one_in: int, **more) -> tuple[Advice, Rows, dict[str, np.ndarray]]:
    rows, true = _world(one_in)
    rng = np.random.default_rng(1)
    noisy = np.clip(true * np.exp(rng.normal(scale=0.05, size=true.size)), 0, 1)
    said = {"plain": true, "bag": noisy, "raw": 1 - without_weight(1 - true, one_in)}
    tried = [Tried(name, f"the {name}", p, p, 1.0) for name, p in said.items()]
    return advise(rows, [*tried, Tried("gone", "gone", reason="why not")], **more), rows, said


@pytest.mark.parametrize("one_in", [10, 1_000])
def test_at_one_in_ten_and_at_one_in_a_thousand(one_in: int) -> None:
    found, rows, said = _advice(one_in, costs=Costs(1, one_in))
    assert found.resolution.one_in == pytest.approx(one_in, rel=0.3)
    assert found.not_tried == {"gone": "why not"}
    assert found.decision is not None
    assert found.ranking is not None
    assert found.decision.arm == "plain"
    assert found.decision.reasons["raw"].startswith("dropped: its log loss is")
    assert found.ranking.arm == "plain"
    assert "raw" in found.ranking.differs  # a weight changes no ranking
    assert found.ranking.reasons["raw"] == "lost: its average precision is that of plain, which is simpler"
    for one in found.arms:
        p = said[one.name]
        assert one.log_loss == pytest.approx(log_loss(rows.outcome, np.clip(p, 1e-7, 1 - 1e-7)), rel=1e-9)
        parts = [(rows.outcome[rows.folds == fold], p[rows.folds == fold]) for fold in (0, 1)]
        weights = [y.sum() for y, _ in parts]
        for ours, theirs in ((one.average_precision, average_precision_score), (one.auc, roc_auc_score)):
            assert ours.estimate == pytest.approx(
                np.average([theirs(*part) for part in parts], weights=weights), rel=1e-9
            )
        yes = p >= 1 / (1 + one_in)
        assert one.cost == pytest.approx(np.where(rows.outcome, ~yes * one_in, yes).mean(), rel=1e-12)
    assert found.arms[0].lift > 2
    assert json.dumps(found.as_dict(), allow_nan=False)


def test_without_costs_decisions_are_compared_by_log_loss() -> None:
    found, _, _ = _advice(10)
    assert found.decision is not None
    assert (found.decision.by, found.costs, found.arms[0].cost, found.arms[0].saved) == ("log_loss", None, None, None)
    assert set(found.detects) == {"average_precision", "auc", "recall_at_k", "log_loss"}
    assert found.k == round(found.resolution.positives / found.resolution.clusters)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows, true = _world(100, 4_000)
    order = np.random.default_rng(0).permutation(4_000)
    moved = Rows(*(part[order] for part in (rows.outcome, rows.clusters, rows.folds, rows.constant)))
    first, second = (
        advise(one, [Tried("plain", "plain", p, p), Tried("half", "half", p / 2, p)], costs=Costs(1, 50)).as_dict()
        for one, p in ((rows, true), (moved, true[order]))
    )
    assert first == second


def test_an_estimator_that_learns_by_heart_is_told() -> None:
    rows, true = _world(100, 4_000)
    sure = np.where(np.random.default_rng(1).random(4_000) < 0.01, 0.99, true)
    found = advise(rows, [Tried("plain", "plain", sure, sure), Tried("bag", "bag", true, true)])
    assert "Regularise it more" in found.hint
    assert advise(rows, [Tried("plain", "plain", true, true)]).hint == ""


def test_no_positive_among_the_highest_is_no_certainty() -> None:
    rows, _ = _world(100, 4_000)
    upside_down = np.where(rows.outcome, 0.001, 0.02)
    (arm,) = advise(rows, [Tried("plain", "plain", upside_down, upside_down)], k=1).arms
    assert (arm.recall_at_k.estimate, arm.recall_at_k.low) == (0.0, 0.0)
    assert 0.02 < arm.recall_at_k.high < 0.3


def test_too_few_to_tell() -> None:
    rows, true = _world(1_000, 4_000)
    few = Rows(np.zeros(4_000, bool), rows.clusters, rows.folds, rows.constant)
    few.outcome[[1, 2, 2_001, 2_002]] = True
    found = advise(few, [Tried("plain", "plain", true, true)])
    assert (found.decision, found.ranking) == (None, None)
    assert "4 positives count for" in found.insufficient
    assert advise(rows, [Tried("plain", "plain", reason="gone")]).insufficient == "no arm could be tried"
    few.outcome[2_000:] = False
    with pytest.raises(NotEnough, match="fold 2 has no row with outcome 1"):
        advise(few, [Tried("plain", "plain", true, true)])


def test_the_cost_curve_is_what_counting_says() -> None:
    rows, true = _world(20, 5_000)
    at = ratios(0.05, points=9)
    y = rows.outcome
    for ratio, found in zip(at, cost_curve(y, true, at), strict=True):
        yes = true >= 1 / (1 + ratio)
        paid = ratio * (y & ~yes).sum() + (~y & yes).sum()
        assert found == pytest.approx(paid / min(ratio * y.sum(), (~y).sum()), rel=1e-12)
    assert cost_curve(y, np.zeros(5_000), at[:1])[0] == pytest.approx(1)  # always no, where that is the cheaper


def test_bins_hold_about_as_many_positives_each() -> None:
    rows, true = _world(200)
    bins = reliability(rows.outcome, true, rows.clusters)
    assert sum(one.rows for one in bins) == 40_000
    assert sum(one.positives for one in bins) == rows.outcome.sum()
    expected = [one.said * one.rows for one in bins]
    assert max(expected) < 1.5 * min(expected)
    held = [one.happened.low <= one.said <= one.happened.high for one in bins if not hasattr(one.happened, "reason")]
    assert len(held) == len(bins) == 8
    assert sum(held) >= 6
    assert len(reliability(rows.outcome, np.full(40_000, 0.01), rows.clusters)) == 1
    assert reliability(rows.outcome, np.zeros(40_000), rows.clusters) == []
