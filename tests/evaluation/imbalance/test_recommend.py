"""The rule: what is worse than the constant is dropped, and of what is left the simplest within one standard error."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation import NotEnough, mean_interval
from backstay.evaluation.imbalance import (
    Contender,
    Recommendation,
    recommend,
    resolution,
    standard_error,
)

RNG = np.random.default_rng(2)
DAY = np.repeat(np.arange(40), 25)
BASE = RNG.gamma(2.0, 0.1, 1_000)
CONSTANT = Contender("constant", BASE + 0.05)


def _arm(name: str, shift: float, noise: float = 0.0, losses: float | None = None) -> Contender:
    values = BASE + shift + noise * RNG.normal(size=1_000)
    return Contender(name, values, None if losses is None else BASE + losses)


def _rule(*arms: Contender, by: str = "log_loss", constant: Contender = CONSTANT) -> Recommendation:
    return recommend(arms, constant, DAY, use="decision", by=by)


def test_the_simplest_within_one_standard_error_of_the_best() -> None:
    noise = RNG.normal(size=1_000)
    level = noise - noise.mean()
    bag = Contender("bag", BASE - 0.001 + 0.1 * level)
    found = _rule(_arm("plain", 0.0), _arm("weights", 0.03), bag, _arm("SMOTE", 0.02))
    assert (found.arm, found.best) == ("plain", "bag")
    assert "simplest within one standard error of the best" in found.why
    assert found.reasons["weights"].startswith("lost: its log loss is 0.03 worse than that of plain")
    assert "too little to be worth being less simple" in found.reasons["bag"]
    assert list(found.reasons) == ["plain", "weights", "bag", "SMOTE"]


def test_a_better_arm_is_worth_being_less_simple() -> None:
    found = _rule(_arm("plain", 0.0), _arm("weights", 0.03), _arm("bag", -0.02, noise=0.01))
    assert (found.arm, found.best) == ("bag", "bag")
    assert "no simpler arm is within one standard error" in found.why
    assert "it is simpler, but too far behind the best" in found.reasons["plain"]
    assert found.differs["plain"].high < 0
    assert found.detects is not None
    assert found.detects < 0.01


def test_one_standard_error_is_the_border() -> None:
    noise = RNG.normal(size=1_000)
    best = Contender("best", BASE)
    error = standard_error(mean_interval(noise, DAY))
    middle = mean_interval(noise, DAY).estimate
    for factor, arm in ((0.99, "simple"), (1.01, "best")):
        simple = Contender("simple", BASE + noise - middle + factor * error)
        assert _rule(simple, best).arm == arm


def test_what_is_worse_than_the_constant_is_dropped_whatever_it_costs() -> None:
    cheap = _arm("SMOTE", -0.1, losses=0.2)
    constant = Contender("constant", BASE + 0.05, BASE + 0.05)
    found = _rule(_arm("plain", 0.0, losses=0.0), cheap, by="cost", constant=constant)
    assert found.arm == "plain"
    assert found.reasons["SMOTE"] == "dropped: its log loss is 0.15 worse than that of the constant base rate"
    none = _rule(cheap, by="cost", constant=constant)
    assert (none.arm, none.best, none.detects, none.differs) == (None, None, None, {})
    assert none.why == "no arm is better than the constant base rate"


def test_a_ranking_that_ranks_nothing_is_dropped() -> None:
    flat = Contender("constant", BASE)
    found = recommend([_arm("plain", 0.1), Contender("flat", BASE)], flat, DAY, use="ranking", by="average_precision")
    assert found.arm == "plain"
    assert "ranks no better" in found.reasons["flat"]


def test_equal_arms_and_wrong_questions() -> None:
    found = _rule(Contender("plain", BASE), Contender("twin", BASE))
    assert found.arm == "plain"
    assert found.reasons["twin"] == "lost: its log loss is that of plain, which is simpler"
    with pytest.raises(InputError, match="compared by 'accuracy'"):
        _rule(CONSTANT, by="accuracy")
    with pytest.raises(InputError, match="0 arms"):
        _rule()
    with pytest.raises(NotEnough):
        recommend([CONSTANT], CONSTANT, np.zeros(1_000), use="decision", by="log_loss")


def test_positives_that_come_together_count_for_fewer() -> None:
    rng = np.random.default_rng(8)
    day = np.repeat(np.arange(300), 100)
    alone = resolution(rng.random(30_000) < 0.02, day)
    assert alone.design_effect == pytest.approx(1, abs=0.25)
    storms = rng.random(300) < 0.1
    together = resolution(rng.random(30_000) < np.where(storms, 0.2, 0.0)[day], day)
    assert together.effective < alone.effective / 5
    assert together.clusters_with_positives == storms.sum()
    twice = resolution(np.repeat(rng.random(5_000) < 0.3, 2), np.repeat(np.arange(5_000), 2))
    assert twice.design_effect == pytest.approx(2, rel=0.01)  # each row twice: half of them tell nothing


def test_a_resolution_needs_both_outcomes_and_two_clusters() -> None:
    for outcome, day in (([0, 0], [1, 2]), ([1, 1], [1, 2]), ([], []), ([0, 1], [1, 1])):
        with pytest.raises(NotEnough):
            resolution(outcome, day)
