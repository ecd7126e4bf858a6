"""A whole evaluation: each number is its metric's, what can't be told is said, and all of it is JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from backstay.core.errors import InputError
from backstay.evaluation.binary import BinaryEvaluation, evaluate
from backstay.evaluation.decided import Costs
from backstay.evaluation.interval import Insufficient, Interval, NotEnough

RNG = np.random.default_rng(17)
DAY = np.repeat(np.arange(40), 75)
SAID = RNG.beta(1, 9, 3000).clip(0.001, 0.999)
OUTCOME = RNG.random(3000) < SAID


def whole(**more: Any) -> BinaryEvaluation:
    return evaluate(OUTCOME, SAID, clusters=DAY, **{"cost": Costs(1, 9), "k": 200, **more})


def estimate(told: Any) -> float:
    assert isinstance(told, Interval)
    assert told.low < told.high
    return told.estimate


def test_each_number_is_scikit_learns() -> None:
    found, flagged = whole(threshold=0.15), SAID >= 0.15
    base = OUTCOME.mean()
    assert (found.n, found.positives, found.clusters) == (3000, OUTCOME.sum(), 40)
    assert estimate(found.auc) == pytest.approx(theirs.roc_auc_score(OUTCOME, SAID), rel=1e-9)
    precision = theirs.average_precision_score(OUTCOME, SAID)
    assert estimate(found.average_precision) == pytest.approx(precision, rel=1e-9)
    assert found.lift == pytest.approx(precision / base, rel=1e-9)
    loss, constant = theirs.log_loss(OUTCOME, SAID), theirs.log_loss(OUTCOME, np.full(3000, base))
    assert estimate(found.log_loss) == pytest.approx(loss, rel=1e-9)
    assert found.constant_log_loss == pytest.approx(constant, rel=1e-9)
    assert estimate(found.log_loss_gain) == pytest.approx(constant - loss, rel=1e-9)
    assert estimate(found.brier) == pytest.approx(theirs.brier_score_loss(OUTCOME, SAID), rel=1e-9)
    one = found.decisions
    assert one is not None
    assert estimate(one.recall) == pytest.approx(theirs.recall_score(OUTCOME, flagged), rel=1e-9)
    assert estimate(one.precision) == pytest.approx(theirs.precision_score(OUTCOME, flagged), rel=1e-9)
    assert estimate(one.false_positive_rate) == pytest.approx((flagged & ~OUTCOME).sum() / (~OUTCOME).sum(), rel=1e-9)
    assert estimate(one.flagged) == pytest.approx(flagged.mean(), rel=1e-9)
    assert estimate(one.f1) == pytest.approx(theirs.f1_score(OUTCOME, flagged), rel=1e-9)
    assert (one.accuracy, one.constant) == pytest.approx((theirs.accuracy_score(OUTCOME, flagged), 1 - base), rel=1e-9)
    assert found.at_k is not None
    top = np.argsort(-SAID)[:200]
    assert estimate(found.at_k.precision) == pytest.approx(OUTCOME[top].mean(), rel=1e-9)


def test_the_threshold_is_that_of_the_costs() -> None:
    found = whole().decisions
    assert found is not None
    assert found.threshold == 0.1
    assert estimate(found.cost) > 0
    bare = evaluate(OUTCOME, SAID, clusters=None)
    assert (bare.decisions, bare.at_k, bare.curves.cost) == (None, None, None)
    assert bare.clusters == 3000


def test_all_of_it_is_json_and_curves_are_thin() -> None:
    told = json.loads(json.dumps(whole().as_dict(), allow_nan=False))
    assert set(told["curves"]) == {"roc", "precision_recall", "cost", "reliability"}
    assert all(len(told["curves"][name]["threshold"]) <= 200 for name in ("roc", "precision_recall", "cost"))
    assert len(told["curves"]["reliability"]) == 10
    assert told["auc"]["clusters"] == 40


def test_it_is_shown_without_its_curves_and_without_the_accuracy() -> None:
    for text in (str(whole()), whole()._repr_html_()):
        assert "average precision" in text
        assert "accuracy" not in text
        assert len(text) < 4000


def test_the_order_of_rows_does_not_matter() -> None:
    order = RNG.permutation(3000)
    first, second = whole(), evaluate(OUTCOME[order], SAID[order], clusters=DAY[order], cost=Costs(1, 9), k=200)
    assert second.curves == first.curves
    for name in ("auc", "average_precision", "log_loss", "brier", "calibration_error", "decisions", "at_k"):
        assert getattr(second, name) == getattr(first, name)


@pytest.mark.parametrize(
    ("outcome", "said", "clusters"),
    [
        ([0] * 50, np.linspace(0.1, 0.9, 50), None),
        ([1] * 50, np.linspace(0.1, 0.9, 50), np.arange(50) // 5),
        ([0, 1] * 25, [0.5] * 50, None),
        ([0, 1] * 25, [0.0, 1.0] * 25, None),
        ([0, 1] * 25, np.linspace(0.1, 0.9, 50), ["monday"] * 50),
        ([1], [0.7], None),
        ([0, 1], [0.2, 0.7], ["mon", "tue"]),
    ],
)
def test_what_the_rows_can_not_tell_is_said_and_no_crash(outcome: Any, said: Any, clusters: Any) -> None:
    """One class, one score, no mistake, one day, one row: no interval is one point, and none claims 0 or 1."""
    found = evaluate(outcome, said, clusters=clusters, threshold=0.5, cost=Costs(1, 5), k=1)
    json.dumps(found.as_dict(), allow_nan=False)
    assert isinstance(found.average_precision, Insufficient)
    assert found.decisions is not None
    told = [getattr(found, name) for name in ("auc", "average_precision", "log_loss_gain", "calibration_error")]
    told += [found.decisions.recall, found.decisions.precision, found.decisions.false_positive_rate, found.decisions.f1]
    for one in told:
        assert isinstance(one, Insufficient) or one.low < one.high
    assert str(found)


def test_refuses() -> None:
    with pytest.raises(InputError, match="NaN"):
        evaluate([0, 1], [0.5, float("nan")], clusters=None)
    with pytest.raises(InputError, match="k is 3"):
        evaluate([0, 1], [0.5, 0.6], clusters=None, k=3)
    with pytest.raises(InputError, match="threshold"):
        evaluate([0, 1], [0.5, 0.6], clusters=None, threshold=float("nan"))
    with pytest.raises(InputError, match="clusters"):
        evaluate([0, 1], [0.5, 0.6], clusters=["mon"])
    with pytest.raises(NotEnough, match="no rows"):
        evaluate([], [], clusters=None)
