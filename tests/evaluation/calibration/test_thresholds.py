"""Thresholds: what is chosen, how sure of it we are, and what can't be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.calibration import by_capacity, by_constraint, by_cost, fixed
from backstay.evaluation.calibration.curve import decision_curve
from backstay.evaluation.clustered import share_interval
from backstay.evaluation.interval import NotEnough


def drawn(seed: int, days: int = 40, a_day: int = 250, off: float = 1.0) -> tuple[Any, Any, Any]:
    """Outcomes, probabilities and days; `off` multiplies the odds that are told."""
    rng = np.random.default_rng(seed)
    storm = np.repeat(rng.normal(0, 0.3, days), a_day)
    odds = rng.normal(-2.5, 1.2, days * a_day) + storm
    happened = rng.random(days * a_day) < 1 / (1 + np.exp(-odds))
    return happened, 1 / (1 + np.exp(-(odds + np.log(off)))), np.repeat(np.arange(days), a_day)


def test_the_curve_counts_what_a_plain_count_does() -> None:
    happened, p, day = drawn(0)
    curve = decision_curve(happened, p, day)
    for place in range(0, len(curve.thresholds), 50):
        true = p >= curve.thresholds[place]
        assert curve.hits[:, place].sum() == (true & happened).sum()
        assert curve.alarms[3, place] == (true & ~happened)[day == 3].sum()
    assert curve.cases.sum() == happened.sum()


def test_by_cost_takes_the_threshold_of_theory_where_probabilities_are_right() -> None:
    taken = [by_cost(*drawn(seed), false_positive=1, false_negative=9) for seed in range(100)]
    right = sum(one.told["calibrated"] for one in taken)
    assert right >= 93  # nominal: at most 2.5% are taken for wrong
    assert taken[0].value == 0.1
    assert taken[0].interval is not None
    covered = [one.interval is not None and one.interval.low <= 0.1 <= one.interval.high for one in taken]
    assert sum(covered) >= 85
    told = taken[0].told
    assert told["cost"]["estimate"] < min(told["cost_never"], told["cost_always"])


def test_by_cost_sees_that_probabilities_are_off() -> None:
    found = by_cost(*drawn(1, off=8.0), false_positive=1, false_negative=9)
    assert not found.told["calibrated"]
    assert found.value == pytest.approx(8 / 17, abs=0.12)  # odds of 1 to 9, times eight


def test_by_capacity_is_what_an_average_day_can_bear() -> None:
    happened, p, day = drawn(2)
    found = by_capacity(happened, p, day, top=20)
    a_day = (p >= found.value).sum() / 40
    assert 19 < a_day <= 20
    assert found.told["a_day"] == a_day
    assert 0.2 < found.told["days_over"] < 0.7
    assert found.interval is not None
    assert found.interval.low <= found.value <= found.interval.high
    assert found.interval.clusters == 40


def test_by_capacity_counts_parts_of_days_and_rows_without_an_outcome() -> None:
    """Four calendar days, of which the first and the last are halves: three. A quarter of the rows is unlabelled."""
    happened, p, day = drawn(2, days=4, a_day=200)
    kept = np.r_[0:100, 200:600, 700:800]
    found = by_capacity(happened[kept], p[kept], day[kept], top=20, days=3.0, asked=800)
    a_day = (p[kept] >= found.value).sum() / 3 * 800 / 600
    assert 18 < a_day <= 20
    assert found.told["a_day"] == pytest.approx(a_day)
    assert (found.told["days"], found.told["asked"]) == (3.0, 800)
    assert by_capacity(happened[kept], p[kept], day[kept], top=20).value < found.value
    with pytest.raises(InputError, match="599 rows were asked"):
        by_capacity(happened[kept], p[kept], day[kept], top=20, asked=599)


def test_few_days_are_told_as_few() -> None:
    """Of five days alike: probabilities that hold are not taken for wrong, and the intervals cover what is true."""
    rng = np.random.default_rng(9)
    large = rng.beta(1, 9, 200_000)
    precision, recall = large[large >= 0.15].mean(), large[large >= 0.15].sum() / large.sum()
    times, off, held = 50, 0, []
    for days, rows in ((5, 120), (10, 60)):
        for _ in range(times):
            p = rng.beta(1, 9, days * rows)
            happened, day = rng.random(p.size) < p, np.repeat(np.arange(days), rows)
            told = fixed(happened, p, day, 0.15).told
            pairs = ("precision", precision), ("recall", recall)
            held.append([told[name]["low"] <= value <= told[name]["high"] for name, value in pairs])
            off += not by_cost(happened, p, day, false_positive=1, false_negative=9).told["calibrated"]
    assert off <= 2 * times * 0.025 + 2 * np.sqrt(2 * times * 0.025 * 0.975)
    assert (np.mean(held, axis=0) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / times / 2)).all()


def test_what_few_days_show_of_a_recall_has_students_correction() -> None:
    """The limit is that of `share_interval` of the cases, at one side; days of which some are stormy."""
    rng = np.random.default_rng(4)
    day = np.repeat(np.arange(16), 100)
    odds = rng.normal(-1.5, 1.2, 1600)
    happened = rng.random(1600) < 1 / (1 + np.exp(-odds - rng.normal(0, 0.8, 16)[day]))
    p = 1 / (1 + np.exp(-odds - rng.normal(0, 0.8, 16)[day]))
    found = by_constraint(happened, p, day, metric="recall", least=0.7)
    true = p[happened] >= found.value
    assert found.told["shown"] == pytest.approx(share_interval(true, day[happened], 0.9).low)


def test_no_cost_is_no_certainty() -> None:
    happened, _, day = drawn(4, days=10)
    told = by_cost(happened, np.where(happened, 0.9, 0.01), day, false_positive=1, false_negative=3).told["cost"]
    assert told["estimate"] == told["low"] == 0.0
    assert told["high"] == pytest.approx(3 * (1 - 0.025 ** (1 / 10)))


def test_by_capacity_of_many_days_keeps_count() -> None:
    happened, p, day = drawn(2, days=900, a_day=20)
    found = by_capacity(happened, p, day, top=2)
    assert found.told["a_day"] == pytest.approx(2, abs=0.1)
    assert found.told["days_over"] is None


def test_a_precision_that_is_shown_holds_on_other_rows() -> None:
    """A threshold that was chosen for a precision of 0.5 has less in at most 5% of the samples (here 200)."""
    broken = told = 0
    other = [drawn(10_000 + seed) for seed in range(10)]
    happened, p = np.concatenate([one[0] for one in other]), np.concatenate([one[1] for one in other])
    for seed in range(200):
        try:
            value = by_constraint(*drawn(seed, days=20, a_day=100), metric="precision", least=0.5).value
        except NotEnough:
            continue
        told += 1
        broken += happened[p >= value].mean() < 0.5
    assert told > 20
    assert broken <= 200 * 0.05 + 2 * np.sqrt(200 * 0.05 * 0.95)


def test_a_recall_is_kept_with_the_fewest_alarms() -> None:
    happened, p, day = drawn(4)
    found = by_constraint(happened, p, day, metric="recall", least=0.8)
    assert found.told["shown"] >= 0.8
    assert 0.8 <= (p[happened] >= found.value).mean() < 0.9


def test_what_a_threshold_does_has_intervals() -> None:
    happened, p, day = drawn(5)
    told = fixed(happened, p, day, 0.3).told
    true = p >= 0.3
    for name, value in (("precision", happened[true].mean()), ("recall", true[happened].mean())):
        assert told[name]["estimate"] == pytest.approx(value)
        assert told[name]["low"] < value < told[name]["high"]
    assert fixed(happened, p, day, 1.0).told["precision"] == {"insufficient": "nothing is decided true"}
    sure = fixed(p > 0.5, p, day, 0.5).told["precision"]
    assert (sure["estimate"], sure["high"]) == (1.0, 1.0)
    assert sure["low"] < 0.999


def test_a_constant_score_and_one_class_can_not_be_told() -> None:
    happened, p, day = drawn(6)
    with pytest.raises(NotEnough, match="the highest score"):
        by_capacity(happened, np.full_like(p, 0.2), day, top=20)
    with pytest.raises(NotEnough, match="rows have outcome 1"):
        by_cost(np.zeros(50), p[:50], day[:50] + np.arange(50), false_positive=1, false_negative=1)
    with pytest.raises(NotEnough, match=r"no threshold is shown to have a precision of 0\.99"):
        by_constraint(happened, p, day, metric="precision", least=0.99)
    with pytest.raises(NotEnough, match="cluster"):
        by_cost(happened, p, np.zeros_like(day), false_positive=1, false_negative=1)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda *rows: by_cost(*rows, false_positive=0, false_negative=1), "false_positive"),
        (lambda *rows: by_capacity(*rows, top=-1), "top"),
        (lambda *rows: by_constraint(*rows, metric="f1", least=0.5), "metric"),
        (lambda *rows: by_constraint(*rows, metric="recall", least=1.0), "least"),
        (lambda *rows: by_constraint(*rows, metric="recall", least=0.5, level=0.4), "level"),
        (lambda *rows: by_capacity(*rows, top=5, days=0), "days"),
        (lambda *rows: fixed(*rows, value=1.5), "threshold"),
        (lambda y, p, day: by_cost(y, np.where(p > 0.5, np.nan, p), day, false_positive=1, false_negative=1), "NaN"),
    ],
)
def test_what_makes_no_sense_is_refused(ask: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ask(*drawn(7))


def test_the_order_of_rows_moves_nothing() -> None:
    happened, p, day = drawn(8)
    mixed = np.random.default_rng(0).permutation(len(p))
    one = by_cost(happened, p, day, false_positive=1, false_negative=5)
    assert by_cost(happened[mixed], p[mixed], day[mixed], false_positive=1, false_negative=5) == one
