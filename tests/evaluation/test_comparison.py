"""Two models on the same rows: signs, known differences, false alarms, and what is not enough."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from backstay.core.errors import InputError
from backstay.evaluation.clustered import difference_by_influence, paired_difference, share_difference
from backstay.evaluation.comparison import WORDS, compare
from backstay.evaluation.decided import Costs, linear_precision
from backstay.evaluation.interval import Insufficient, Interval, NotEnough
from backstay.evaluation.power import shown

RNG = np.random.default_rng(18)
DAY = np.repeat(np.arange(60), 50)
TRUE = RNG.beta(1, 5, 3000).clip(0.001, 0.999)
OUTCOME = RNG.random(3000) < TRUE
WORSE = np.clip(TRUE + RNG.normal(0, 0.15, 3000), 0.01, 0.99)


def estimates(**more: Any) -> dict[str, float]:
    gains = compare(OUTCOME, WORSE, TRUE, clusters=DAY, cost=Costs(1, 4), k=300, **more).gains
    found = {}
    for name, one in gains.items():
        assert isinstance(one.gain, Interval)
        found[name] = one.gain.estimate
    return found


def test_each_gain_is_the_difference_of_scikit_learns_metrics() -> None:
    gains = estimates(threshold=(0.3, 0.25))
    first, second = WORSE >= 0.3, TRUE >= 0.25
    assert list(gains) == list(WORDS)
    for name, ours in (("auc", theirs.roc_auc_score), ("average_precision", theirs.average_precision_score)):
        assert gains[name] == pytest.approx(ours(OUTCOME, TRUE) - ours(OUTCOME, WORSE), rel=1e-9)
    for name, loss in (("log_loss", theirs.log_loss), ("brier", theirs.brier_score_loss)):
        assert gains[name] == pytest.approx(loss(OUTCOME, WORSE) - loss(OUTCOME, TRUE), rel=1e-9)
    for name, score in (
        ("recall", theirs.recall_score),
        ("precision", theirs.precision_score),
        ("f1", theirs.f1_score),
    ):
        assert gains[name] == pytest.approx(score(OUTCOME, second) - score(OUTCOME, first), rel=1e-9)


def test_a_better_model_is_better_and_turned_around_it_is_not() -> None:
    there = compare(OUTCOME, WORSE, TRUE, clusters=DAY, cost=Costs(1, 4))
    back = compare(OUTCOME, TRUE, WORSE, clusters=DAY, cost=Costs(1, 4))
    assert [there.gains[name].shown for name in ("auc", "log_loss", "brier", "average_precision")] == [True] * 4
    assert [back.gains[name].shown for name in ("auc", "log_loss", "brier", "average_precision")] == [False] * 4
    json.dumps(there.as_dict(), allow_nan=False)
    assert "better" in str(there)
    assert "AUC" in str(there)


def test_margins_and_what_is_needed() -> None:
    near = np.clip(TRUE + RNG.normal(0, 0.01, 3000), 0.001, 0.999)
    found = compare(OUTCOME, near, TRUE, clusters=DAY, margins={"auc": 0.1, "log_loss": -0.05})
    assert found.gains["auc"].shown is False
    assert found.gains["log_loss"].shown is True  # not worse by more than that
    assert found.gains["log_loss"].needed is None
    brier = found.gains["brier"]
    if brier.shown is None and isinstance(brier.gain, Interval) and brier.gain.estimate > 0:
        assert brier.needed is not None


def test_no_true_difference_is_called_better_at_most_as_often_as_the_level_says() -> None:
    """Two models with noise of one size, days that are alike; 2.5% either way. The bench has 2,000 of all."""
    rng, times, called = np.random.default_rng(5), 400, []
    for _ in range(times):
        day = np.repeat(np.arange(20), 20)
        skill = rng.normal(size=400)
        y = rng.random(400) < 1 / (1 + np.exp(1 - skill - rng.normal(0, 0.5, 20)[day]))
        first, second = (1 / (1 + np.exp(1 - skill - rng.normal(0, 0.7, 400))) for _ in range(2))
        called.append([shown(paired_difference(y, first, second, day, metric)) for metric in ("auc", "log_loss")])
    most = 0.025 + 3 * math.sqrt(0.025 * 0.975 / times)
    for answer in (True, False):
        assert (np.mean(np.array(called) == answer, axis=0) <= most).all()


def test_a_model_against_itself_is_no_certainty() -> None:
    found = compare(OUTCOME, TRUE, TRUE, clusters=DAY, threshold=0.2, k=100, margins={"auc": -0.01})
    assert isinstance(found.mcnemar, Insufficient)
    for name in ("auc", "log_loss", "recall_at_k", "f1"):
        assert isinstance(found.gains[name].gain, Insufficient)
        assert found.gains[name].shown is None
    recall = found.gains["recall"].gain
    assert isinstance(recall, Interval)
    assert recall.low < 0 < recall.high


def test_a_difference_of_shares_covers_where_few_rows_differ() -> None:
    """Paired: 40 rows, of which one side gains 5% and the other loses 2%."""
    rng, held = np.random.default_rng(6), []
    for _ in range(400):
        kind = rng.random(40)
        first, second = kind < 0.5, (kind < 0.48) | (kind > 0.95)
        one = share_difference(first, second)
        held.append(one.low <= 0.03 <= one.high)
    assert np.mean(held) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize(("few", "nested"), [(2, False), (3, False), (5, False), (10, False), (4, True), (10, True)])
def test_few_flagged_rows_are_called_better_at_most_as_often_as_the_level_says(few: int, nested: bool) -> None:
    """Of rows that are 1 half of the time the champion flags 150, the candidate `few`: others, or those and `few`."""
    times, better = 200, 0
    for seed in range(times):
        rng = np.random.default_rng(seed)
        y, order = rng.random(400) < 0.5, rng.permutation(400)
        champion, candidate = np.zeros(400, bool), np.zeros(400, bool)
        champion[order[:150]] = candidate[order[150 : 150 + few]] = True
        both = linear_precision(y, champion), linear_precision(y, candidate | champion if nested else candidate)
        counts = 150, few + 150 * nested
        try:
            better += shown(difference_by_influence(*both, counts, np.arange(400) // 10)) is True
        except NotEnough:
            continue
    assert better / times <= 0.025 + 2 * math.sqrt(0.025 * 0.975 / times)


def test_a_precision_of_two_alarms_is_no_certainty_and_of_many_is_shown() -> None:
    y, day = np.arange(400) % 2 == 0, np.arange(400) // 10
    champion = np.where(np.arange(400) < 200, 0.9, 0.1)
    two, many = np.full(400, 0.1), np.where(y, 0.9, 0.1)
    two[[0, 100]] = 0.9
    assert compare(y, champion, two, clusters=day, threshold=0.5).gains["precision"].shown is None
    assert compare(y, champion, many, clusters=day, threshold=0.5).gains["precision"].shown is True
    two[[0, 100]] = 0.1, 0.9
    one = compare(y, champion, two, clusters=day, threshold=0.5).gains["precision"].gain
    assert isinstance(one, Insufficient)
    f_of_one = compare(y, champion, many, clusters=day, threshold=0.5).gains["f1"].gain
    assert isinstance(f_of_one, Insufficient)


@pytest.mark.parametrize(
    ("outcome", "champion", "candidate", "clusters"),
    [
        ([0] * 20, np.linspace(0, 1, 20), np.linspace(0, 1, 20) ** 2, None),
        ([0, 1] * 10, [0.5] * 20, np.linspace(0, 1, 20), ["mon"] * 20),
        ([0, 1] * 10, [0.5] * 20, [0.4] * 20, None),
        ([1], [0.3], [0.4], None),
    ],
)
def test_what_is_not_enough_is_said(outcome: Any, champion: Any, candidate: Any, clusters: Any) -> None:
    found = compare(outcome, champion, candidate, clusters=clusters, threshold=0.45, cost=Costs(1, 2), k=1)
    json.dumps(found.as_dict(), allow_nan=False)
    assert isinstance(found.gains["average_precision"].gain, Insufficient)
    assert "INSUFFICIENT" in str(found)


def test_refuses() -> None:
    with pytest.raises(InputError, match="accuracy"):
        compare([0, 1], [0.1, 0.2], [0.2, 0.3], clusters=None, margins={"accuracy": 0.1})
    with pytest.raises(InputError, match="NaN"):
        compare([0, 1], [0.1, 0.2], [0.2, float("nan")], clusters=None)
    with pytest.raises(InputError, match="k is 3"):
        compare([0, 1], [0.1, 0.2], [0.2, 0.3], clusters=None, k=3)
