"""The gates: the rule, and that what is missing never passes."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import InputError
from backstay.definitions.policies import GatePolicy
from backstay.rollout import (
    Check,
    Decision,
    GateRule,
    Verdict,
    better_than_champion,
    better_than_constant,
    complete,
    trained_as_served,
)

PASS, FAIL, INSUFFICIENT = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT
METRICS: list[Any] = ["log_loss", "brier", "auc"]
RNG = np.random.default_rng(11)
DAY = np.repeat(np.arange(20), 150)
GOOD = RNG.uniform(0.05, 0.95, DAY.size)
LATE = RNG.random(DAY.size) < GOOD
POOR = np.clip(GOOD + RNG.normal(0, 0.3, DAY.size), 0.02, 0.98)
MINUTES = np.random.default_rng(7).gamma(2.0, 10.0, size=2000)


@pytest.mark.parametrize("metric", METRICS)
def test_the_better_model_passes_and_the_worse_fails(metric: Any) -> None:
    rule = GateRule(metric=metric)
    up, down = (better_than_champion(LATE, *pair, DAY, rule) for pair in ((POOR, GOOD), (GOOD, POOR)))
    assert (up.verdict, down.verdict) == (PASS, FAIL)
    assert up.reason.startswith("the candidate is better than the champion: ")
    assert down.reason.startswith("the candidate is worse than the champion: gain in ")


def test_takes_the_policy_that_a_user_declares() -> None:
    policy = GatePolicy(metric="brier", margin=0.001)
    assert better_than_champion(LATE, POOR, GOOD, DAY, policy).evidence["margin"] == 0.001
    asked = {name: getattr(GateRule(), name) for name in GateRule.__slots__}
    assert asked == {name: getattr(GatePolicy(), name) for name in asked}


def test_the_reason_has_the_numbers_and_the_evidence_has_them_all() -> None:
    check = better_than_champion(LATE, POOR, GOOD, DAY)
    evidence = check.as_dict()["evidence"]
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert f"log loss better by {evidence['gain']['estimate']:+.4f} [" in check.reason
    assert "on 3000 rows from 20 days, margin 0" in check.reason
    assert evidence["champion"] - evidence["candidate"] == pytest.approx(evidence["gain"]["estimate"])
    assert (evidence["rows"], evidence["days"], evidence["metric"]) == (3000, 20, "log_loss")


def test_the_margin_splits_the_answers() -> None:
    gain = better_than_champion(LATE, POOR, GOOD, DAY).as_dict()["evidence"]["gain"]
    answers = {
        gain["low"] - 1e-6: PASS,
        gain["low"] + 1e-6: INSUFFICIENT,
        gain["high"] - 1e-6: INSUFFICIENT,
        gain["high"] + 1e-6: FAIL,
    }
    for margin, expected in answers.items():
        assert better_than_champion(LATE, POOR, GOOD, DAY, GateRule(margin=margin)).verdict is expected
    check = better_than_champion(LATE, POOR, GOOD, DAY, GateRule(margin=gain["high"] + 0.1))
    assert check.reason.startswith("the candidate is not better than the champion by the margin: ")


def test_what_can_not_tell_says_how_many_rows_would() -> None:
    gain = better_than_champion(LATE, POOR, GOOD, DAY).as_dict()["evidence"]["gain"]
    check = better_than_champion(LATE, POOR, GOOD, DAY, GateRule(margin=(gain["low"] + gain["estimate"]) / 2))
    evidence = check.as_dict()["evidence"]
    assert check.reason.endswith(f"if the gain stays at {gain['estimate']:+.4f}")
    assert "; it takes about " in check.reason
    assert evidence["needed"]["rows"] > 0
    assert evidence["detectable"] > 0
    beyond = better_than_champion(LATE, POOR, GOOD, DAY, GateRule(margin=(gain["high"] + gain["estimate"]) / 2))
    assert beyond.verdict is INSUFFICIENT
    assert "it takes" not in beyond.reason  # if the gain stays, no number of rows shows it


def test_the_same_model_is_not_better() -> None:
    check = better_than_champion(LATE, GOOD, GOOD, DAY)
    assert check.verdict is INSUFFICIENT
    assert check.reason.startswith("cannot tell: the candidate scores exactly as the champion does")
    assert better_than_champion(LATE, GOOD, GOOD, DAY, GateRule(margin=0.01)).verdict is FAIL
    assert better_than_champion(LATE, GOOD, GOOD, DAY, GateRule(margin=-0.01)).verdict is PASS


def test_copies_of_one_day_are_no_evidence() -> None:
    one = slice(0, 150)
    copied = [np.tile(column[one], 20) for column in (LATE, POOR, GOOD)]
    check = better_than_champion(*copied, DAY)
    assert check.verdict is INSUFFICIENT
    assert "the very same gain" in check.reason


def test_what_is_too_little_can_not_tell() -> None:
    few_rows = better_than_champion(LATE, POOR, GOOD, DAY, GateRule(minimum_rows=3001))
    assert (few_rows.verdict, few_rows.reason) == (INSUFFICIENT, "there are 3000 rows, and the policy asks for 3001")
    few_days = better_than_champion(LATE, POOR, GOOD, DAY, GateRule(minimum_days=21))
    assert (few_days.verdict, few_days.reason) == (
        INSUFFICIENT,
        "the rows are from 20 days, and the policy asks for 21",
    )
    assert better_than_champion(LATE, POOR, GOOD, DAY * 0, GateRule(minimum_days=1)).verdict is INSUFFICIENT


def test_entities_are_not_days() -> None:
    entity = np.arange(DAY.size) % 500
    assert better_than_champion(LATE, POOR, GOOD, entity, days=DAY).verdict is PASS
    assert better_than_champion(LATE, POOR, GOOD, entity, days=DAY // 10).verdict is INSUFFICIENT
    assert better_than_champion(LATE, POOR, GOOD, entity, days=DAY[:-1]).verdict is INSUFFICIENT


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("happened", [0, 1])
def test_one_class_can_not_tell(metric: Any, happened: int) -> None:
    check = better_than_champion(np.full(DAY.size, happened), POOR, GOOD, DAY, GateRule(metric=metric))
    assert check.verdict is INSUFFICIENT
    assert f"all 3000 rows have outcome {happened}" in check.reason


@pytest.mark.parametrize("wrong", [math.nan, 1.5, -0.1, math.inf])
def test_a_candidate_that_gives_no_probability_fails(wrong: float) -> None:
    scores = GOOD.copy()
    scores[7] = wrong
    for check in (better_than_champion(LATE, POOR, scores, DAY), better_than_constant(LATE, scores, DAY, 0.5)):
        assert check.verdict is FAIL
        assert "1 of the candidate's 3000 scores" in check.reason


def test_nan_of_anyone_else_can_not_tell() -> None:
    broken, late = POOR.copy(), LATE.astype(float)
    broken[7] = late[7] = math.nan
    day = np.where(DAY == 3, np.nan, DAY)
    for columns in ((LATE, broken, GOOD, DAY), (late, POOR, GOOD, DAY), (LATE, POOR, GOOD, day)):
        check = better_than_champion(*columns)
        assert check.verdict is INSUFFICIENT
        assert check.reason.startswith("the evidence can't be compared: ")


@pytest.mark.parametrize("missing", range(4))
def test_missing_evidence_can_not_tell(missing: int) -> None:
    columns: list[Any] = [LATE, POOR, GOOD, DAY]
    columns[missing] = None
    check = better_than_champion(*columns)
    assert check.verdict is INSUFFICIENT
    assert "missing" in check.reason
    columns[missing] = [LATE, POOR, GOOD, DAY][missing][:-1]
    assert better_than_champion(*columns).verdict is INSUFFICIENT
    columns[missing] = ["what"] * DAY.size
    assert better_than_champion(*columns).verdict is INSUFFICIENT


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_passes_only_what_the_interval_shows(data: st.DataObject) -> None:
    """Whatever comes in, no exception comes out, and a PASS has its evidence."""
    n = data.draw(st.integers(0, 30))
    numbers = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0, math.nan]), min_size=n, max_size=n)
    outcome = data.draw(st.lists(st.sampled_from([0, 1]), min_size=n, max_size=n))
    days = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    rule = GateRule(metric=data.draw(st.sampled_from(METRICS)), minimum_rows=5, minimum_days=3)
    check = better_than_champion(outcome, data.draw(numbers), data.draw(numbers), days, rule)
    if check.verdict is PASS:
        gain = check.as_dict()["evidence"]["gain"]
        assert gain["low"] > 0
        assert n >= 5
        assert len(set(days)) >= 3


def test_seldom_passes_a_model_that_is_no_better() -> None:
    passed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        true = np.clip(rng.normal(0.4, 0.1, 20)[DAY] + rng.normal(0, 0.1, DAY.size), 0.05, 0.95)
        late = rng.random(DAY.size) < true
        one, other = (np.clip(true + rng.normal(0, 0.1, DAY.size), 0.01, 0.99) for _ in "ab")
        passed += better_than_champion(late, one, other, DAY).verdict is PASS
    assert passed <= 12  # 2.5% of 200 are expected


@pytest.mark.parametrize("policy", [GateRule(metric="f1"), GateRule(margin=math.nan), GateRule(level=95)])
def test_a_policy_without_sense_is_an_error(policy: GateRule) -> None:
    with pytest.raises(InputError, match="policy"):
        better_than_champion(LATE, POOR, GOOD, DAY, policy)
    with pytest.raises(InputError, match="policy"):
        better_than_constant(LATE, GOOD, DAY, None, policy)


@pytest.mark.parametrize("metric", METRICS)
def test_the_first_model_must_know_more_than_the_base_rate(metric: Any) -> None:
    rule = GateRule(metric=metric)
    assert better_than_constant(LATE, GOOD, DAY, 0.5, rule).verdict is PASS
    assert better_than_constant(LATE, 1 - GOOD, DAY, 0.5, rule).verdict is FAIL
    assert better_than_constant(LATE, np.full(DAY.size, 0.5), DAY, 0.5, rule).verdict is INSUFFICIENT
    check = better_than_constant(LATE, GOOD, DAY, 0.5, rule)
    assert check.name == "better_than_constant"
    assert "the constant base rate 0.5" in check.reason
    assert check.evidence["base_rate"] == 0.5


@pytest.mark.parametrize("base_rate", [None, 0.0, 1.0, -1, 30, math.nan])
def test_without_a_base_rate_nothing_can_be_told(base_rate: float | None) -> None:
    assert better_than_constant(LATE, GOOD, DAY, base_rate).verdict is INSUFFICIENT
    assert better_than_constant(None, GOOD, DAY, 0.5).verdict is INSUFFICIENT


def test_hours_served_as_minutes_fail() -> None:
    check = trained_as_served({"delay": MINUTES / 60, "miles": MINUTES}, {"delay": MINUTES, "miles": MINUTES})
    assert check.verdict is FAIL
    assert check.reason.startswith("feature delay was trained on values 0.0167 times those served (median 0.2")
    assert check.reason.endswith(": a unit error?")


def test_the_same_unit_passes_beside_what_has_none() -> None:
    rng = np.random.default_rng(1)
    flag, constant = rng.random(2000) < 0.2, np.ones(2000)
    sample = {"delay": MINUTES, "flag": flag, "constant": constant, "carrier": ["UA"] * 2000}
    check = trained_as_served(sample, {**sample, "delay": MINUTES * 1.2})
    assert check.verdict is PASS
    assert check.as_dict()["evidence"]["judged"] == ["delay"]
    assert set(check.as_dict()["evidence"]["not_judged"]) == {"flag", "constant", "carrier"}
    assert trained_as_served({"flag": flag}, {"flag": flag}).verdict is PASS


@pytest.mark.parametrize(
    ("trained", "served"),
    [
        (None, {"delay": MINUTES}),
        ({"delay": MINUTES}, None),
        ({}, {}),
        ({"delay": MINUTES}, {"other": MINUTES}),
        ({"delay": MINUTES, "other": MINUTES}, {"delay": MINUTES}),
        ({"delay": MINUTES}, {"delay": MINUTES[:100]}),
        ({"delay": MINUTES}, {"delay": np.full(2000, np.nan)}),
        ({"delay": MINUTES}, {"delay": np.zeros(2000)}),
        ({"delay": MINUTES[:100]}, {"delay": MINUTES}),
        ({"flag": MINUTES > 20}, {"flag": (MINUTES > 20)[:10]}),
    ],
)
def test_what_was_not_seen_does_not_pass(trained: Any, served: Any) -> None:
    assert trained_as_served(trained, served).verdict is INSUFFICIENT


def test_complete_evidence_passes() -> None:
    sound = {"latency": 1.9, "parity": {"rows": 100}, "better": Check("better", FAIL, "worse"), "zero": 0, "no": False}
    assert complete(sound, list(sound)).verdict is PASS


@pytest.mark.parametrize(
    "piece",
    [
        None,
        math.nan,
        math.inf,
        np.float32("nan"),
        {},
        [],
        "",
        np.array([]),
        ValueError("broken"),
        Check("better", INSUFFICIENT, "no rows"),
        Decision.of([]),
    ],
)
def test_unsound_evidence_does_not(piece: object) -> None:
    check = complete({"latency": 1.9, "piece": piece}, ["latency", "piece"])
    assert check.verdict is INSUFFICIENT
    assert check.reason.startswith("piece ")
    json.dumps(check.as_dict(), allow_nan=False)


def test_nothing_asked_or_given_is_not_complete() -> None:
    assert complete({}, []).verdict is INSUFFICIENT
    assert complete(None, ["latency"]).reason == "latency is missing"


def test_stale_evidence_is_not_complete() -> None:
    hour = 3_600_000_000
    at = {"fresh": 9 * hour, "old": 2 * hour, "ahead": 11 * hour}

    def told(name: str) -> str:
        return complete({name: 1}, [name], made_at=at, now=10 * hour, max_age=2 * hour).reason

    assert told("fresh") == "all 1 pieces of evidence are there: fresh"
    assert told("old") == "old is stale: 8.0 hours old, at most 2.0"
    assert told("ahead") == "ahead is dated after now"
    assert told("undated") == "undated has no time"
    with pytest.raises(InputError, match="without a time"):
        complete({"a": 1}, ["a"], max_age=1)
