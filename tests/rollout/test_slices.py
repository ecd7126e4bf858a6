"""The gate on slices: a better model that is worse for the few does not pass, and what is too small tells nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.core.errors import DefinitionError, InputError
from backstay.definitions.policies import GatePolicy
from backstay.rollout import Check, Verdict, holds_on_slices

PASS, FAIL, INSUFFICIENT = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT
RNG = np.random.default_rng(11)
DAY = np.repeat(np.arange(20), 400)
GOOD = RNG.uniform(0.05, 0.95, DAY.size)
LATE = RNG.random(DAY.size) < GOOD
POOR = np.clip(GOOD + RNG.normal(0, 0.3, DAY.size), 0.02, 0.98)
NIGHT = RNG.random(DAY.size) < 0.3
POLICY = GatePolicy()


def judged(champion: np.ndarray, candidate: np.ndarray, policy: GatePolicy = POLICY, **slices: object) -> Check:
    return holds_on_slices(LATE, champion, candidate, DAY, slices, policy)  # type: ignore[arg-type]


def test_a_model_that_is_better_on_the_whole_and_worse_at_night_fails() -> None:
    candidate = np.where(NIGHT, POOR, GOOD)
    champion = np.where(NIGHT, GOOD, POOR)
    check = judged(champion, candidate, night=NIGHT, day=~NIGHT)
    assert check.verdict is FAIL
    assert check.reason.startswith("worse than the champion by more than 0.01 on night (gain -0.")
    assert "day (" not in check.reason
    told = check.as_dict()["evidence"]
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert {name: one["verdict"] for name, one in told["slices"].items()} == {"night": "FAIL", "day": "PASS"}
    assert judged(POOR, GOOD, night=NIGHT, day=~NIGHT).verdict is PASS
    assert judged(GOOD, GOOD, night=NIGHT).reason == "not worse than the champion by more than 0.01 on the slice"


def test_the_level_is_divided_by_the_slices() -> None:
    check = judged(POOR, GOOD, a=NIGHT, b=~NIGHT, c=NIGHT, d=~NIGHT)
    assert check.evidence["level"] == pytest.approx(0.9875)
    gain = check.as_dict()["evidence"]["slices"]["a"]["gain"]
    assert gain["level"] == pytest.approx(0.9875)


def test_the_margin_is_what_is_put_up_with() -> None:
    slightly = np.clip(GOOD + RNG.normal(0, 0.03, DAY.size), 0.02, 0.98)
    assert judged(GOOD, slightly, night=NIGHT).verdict is PASS
    assert judged(GOOD, slightly, GatePolicy(slice_margin=0.0), night=NIGHT).verdict is not PASS
    assert judged(GOOD, POOR, GatePolicy(slice_margin=5.0), night=NIGHT).verdict is PASS


def test_what_can_not_be_told_never_passes() -> None:
    few = np.arange(DAY.size) < 900
    for inside, why in (
        (few, "there are 900 rows, and the policy asks for 1000"),
        (DAY < 3, "the rows are from 3 days, and the policy asks for 7"),
        (NIGHT & LATE, "all"),
        (DAY < 0, "there are 0 rows, and the policy asks for 1000"),
        ("there is no 'hour'", "there is no 'hour'"),
        (NIGHT[:-1], "the slice is told for 7999 rows"),
    ):
        check = judged(POOR, GOOD, night=NIGHT, small=inside)
        assert check.verdict is INSUFFICIENT
        assert check.reason.startswith(f"cannot tell on small ({why}"), check.reason
    assert holds_on_slices(None, POOR, GOOD, DAY, {"night": NIGHT}, POLICY).verdict is INSUFFICIENT
    assert judged(POOR, GOOD).reason == "no slice was looked at"
    broken = np.where(NIGHT, np.nan, GOOD)
    assert judged(POOR, broken, night=NIGHT).verdict is FAIL
    assert judged(broken, GOOD, night=NIGHT).verdict is INSUFFICIENT


def test_models_that_are_equally_good_are_seldom_called_worse_on_any_of_many_slices() -> None:
    failed, runs = 0, 100
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        day = np.repeat(np.arange(15), 120)
        true = np.clip(rng.normal(0.4, 0.1, 15)[day] + rng.normal(0, 0.1, day.size), 0.05, 0.95)
        late = rng.random(day.size) < true
        one, other = (np.clip(true + rng.normal(0, 0.1, day.size), 0.01, 0.99) for _ in "ab")
        code = rng.integers(0, 6, day.size)
        slices = {str(n): code == n for n in range(6)}
        policy = GatePolicy(slice_margin=0.0, minimum_rows=100)
        failed += holds_on_slices(late, one, other, day, slices, policy).verdict is FAIL
    assert failed <= 0.025 * runs + 2 * np.sqrt(runs * 0.025 * 0.975)


def test_a_margin_without_sense_is_an_error() -> None:
    with pytest.raises(DefinitionError, match="slice_margin -1"):
        GatePolicy(slice_margin=-1)
    policy = GatePolicy()
    object.__setattr__(policy, "slice_margin", float("nan"))
    with pytest.raises(InputError, match="the margin is nan"):
        judged(POOR, GOOD, policy, night=NIGHT)
