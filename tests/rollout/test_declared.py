"""The gates that a model declares beside the comparison, as pure functions of their evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from backstay.core.errors import DefinitionError, InputError
from backstay.definitions import Calibrated, GatePolicy, Parity, ServingBudget
from backstay.rollout import Check, Decision, GateRule, Verdict, around, better_than_champion
from backstay.rollout.around import contracts_kept, parity_proven, reproducible, within_budget
from backstay.rollout.quality import calibrated, good_enough, scores_sound

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT
RNG = np.random.default_rng(11)
TRUE = RNG.uniform(0.05, 0.95, 6000)
LATE, DAY = RNG.random(6000) < TRUE, np.arange(6000) // 300
RULE = GateRule()


@dataclass
class Proof:
    checked: int = 0
    equal: int = 0
    stale: int = 0
    logged: int = 0
    degraded: int = 0
    other_definition: int = 0
    given: int = 0


@pytest.mark.parametrize(
    ("least", "most", "verdict"),
    [({"auc": 0.75}, {}, PASS), ({"auc": 0.85}, {}, FAIL), ({}, {"brier": 0.1}, FAIL), ({}, {"log_loss": 0.65}, PASS),
     ({"auc": 0.80}, {}, UNSURE), ({"auc": 0.75}, {"brier": 0.1}, FAIL), ({}, {}, UNSURE)],
)  # fmt: skip
def test_a_bound_is_held_against_the_whole_interval(
    least: dict[str, float], most: dict[str, float], verdict: Verdict
) -> None:
    assert good_enough(LATE, TRUE, DAY, least, most, RULE).verdict is verdict


@pytest.mark.parametrize(
    ("scores", "rule", "verdict"),
    [(TRUE, Calibrated(), PASS), (TRUE**2, Calibrated(), FAIL), (TRUE, Calibrated(slope=None, level=0.01), UNSURE),
     (TRUE, Calibrated(slope=None, level=None, error=0.06), PASS),
     (TRUE / 2, Calibrated(slope=None, level=None, error=0.05), FAIL), (np.full(6000, 0.5), Calibrated(), UNSURE)],
)  # fmt: skip
def test_what_is_said_is_held_against_what_happens(
    scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]], rule: Calibrated, verdict: Verdict
) -> None:
    assert calibrated(LATE, scores, DAY, rule, RULE).verdict is verdict


def test_broken_rows_pass_neither() -> None:
    nan = np.where(np.arange(6000) == 7, np.nan, TRUE)
    few, empty = slice(0, 50), slice(0, 0)
    for late, scores, day, verdict in (
        (LATE, nan, DAY, FAIL), (LATE, np.full(6000, math.inf), DAY, FAIL), (LATE[few], TRUE[few], DAY[few], UNSURE),
        (LATE[empty], TRUE[empty], DAY[empty], UNSURE), (np.zeros(6000), TRUE, DAY, UNSURE), (None, TRUE, DAY, UNSURE),
        (LATE, None, DAY, UNSURE), (LATE, TRUE, None, UNSURE), (LATE, TRUE * 3, DAY, UNSURE),
        (LATE, TRUE, DAY[:9], UNSURE),
        (LATE, TRUE, np.zeros(6000), UNSURE),
    ):  # fmt: skip
        assert calibrated(late, scores, day, Calibrated(error=0.1), RULE).verdict is verdict
        assert good_enough(late, scores, day, {"auc": 0.5}, {"brier": 0.3}, RULE).verdict is verdict
    assert scores_sound(None).verdict is scores_sound([]).verdict is UNSURE
    assert scores_sound([0.1, math.inf]).verdict is FAIL


def test_non_inferiority_says_what_it_shows() -> None:
    worse = np.clip(TRUE + RNG.normal(0, 0.02, 6000), 0.01, 0.99)
    check = better_than_champion(LATE, TRUE, worse, DAY, GateRule(margin=-0.02))
    assert check.verdict is PASS
    assert "not worse than the champion by more than the margin" in check.reason
    same = better_than_champion(LATE, TRUE, TRUE, DAY, GateRule(margin=-0.001))
    assert same.verdict is PASS  # the very same model is not worse
    assert better_than_champion(LATE, TRUE, TRUE, DAY, GateRule()).verdict is UNSURE


def test_contracts() -> None:
    assert contracts_kept({"a": (99, 1), "b": (50, 0)}, 0.02, {"a": "size is negative"}).verdict is PASS
    failed = contracts_kept({"a": (90, 10), "b": (50, 0)}, 0.02, {"a": "size is negative"})
    assert failed.verdict is FAIL
    assert "a: 10 of 100 events (10.0%); most of them: size is negative" in failed.reason
    assert contracts_kept({}, 0.02, {}).verdict is contracts_kept({"a": (0, 0)}, 0.02, {}).verdict is UNSURE
    assert contracts_kept({"a": (0, 3)}, 0.02, {}).verdict is FAIL


def test_parity() -> None:
    assert parity_proven(Proof(100, 100), 100, None).verdict is PASS
    assert parity_proven(Proof(100, 99), 100, None).verdict is FAIL
    assert parity_proven(Proof(10, 9), 100, None).verdict is FAIL  # one that differs is enough
    assert parity_proven(Proof(100, 100, stale=6), 100, 0.05).verdict is FAIL
    for broken in (None, Proof(), Proof(99, 99), Proof(logged=500, degraded=500)):
        assert parity_proven(broken, 100, None).verdict is UNSURE
    assert "500 answered by policy" in parity_proven(Proof(logged=500, degraded=500), 100, None).reason


def test_a_budget() -> None:
    fast, slow = np.full(2000, 20.0), np.full(2000, 900.0)
    assert within_budget(fast, 1_000, 100, 2_000).verdict is PASS
    assert within_budget(slow, 1_000, 100, 2_000).verdict is FAIL
    assert within_budget(fast, 3_000, 100, 2_000).verdict is FAIL
    edge = np.concatenate([np.full(1980, 20.0), np.full(20, 900.0)])  # a hundredth is slow: the p99 is on the edge
    assert within_budget(edge, None, 100, None).verdict is UNSURE
    for took, size in ((None, 1_000), ([], 1_000), (fast[:50], 1_000), (fast, None), ([math.nan] * 2000, 1_000)):
        assert within_budget(took, size, 100, 2_000).verdict is UNSURE
    assert within_budget(fast, 1_000, None, None).verdict is UNSURE


def test_tests_and_reproduction() -> None:
    good = {"tests": 5, "failures": 0, "errors": 0, "skipped": 1}
    assert around.tests_passed(good, same=True, age=0, max_age=10).verdict is PASS
    assert around.tests_passed(good | {"errors": 1}, same=True, age=0, max_age=10).verdict is FAIL
    for report, same, age in (
        (None, True, 0),
        (good, False, 0),
        (good, True, 11),
        (good, True, -1),
        (good, True, None),
    ):
        assert around.tests_passed(report, same=same, age=age, max_age=10).verdict is UNSURE
    assert reproducible("lineage", [], clean=True, made=None, age=None, max_age=1).verdict is PASS
    assert reproducible("lineage", ["code.lock"], clean=True, made=None, age=None, max_age=1).verdict is UNSURE
    assert reproducible("lineage", [], clean=False, made=None, age=None, max_age=1).verdict is FAIL
    assert reproducible("exact", ["code.lock"], clean=False, made="exact", age=0, max_age=1).verdict is PASS
    for made, age in ((None, None), ("exact", 2), ("exact", -1), ("exact", None)):
        assert reproducible("exact", [], clean=True, made=made, age=age, max_age=1).verdict is UNSURE


def test_an_overridden_check_says_what_it_says_and_decides_nothing() -> None:
    by = {"by": "ana", "why": "it is known", "entry": 9}
    slow, fine = Check("slow", FAIL, "12 ms", override=by), Check("fine", PASS, "good")
    decision = Decision.of([fine, slow])
    assert decision.verdict is PASS
    assert decision.reason == "fine: good; slow: overridden by ana: it is known (it says FAIL: 12 ms)"
    assert [check.name for check in decision.overridden] == ["slow"]
    assert Decision.of([slow]).verdict is UNSURE  # nothing was passed
    told = decision.as_dict()["checks"]
    assert (told[1]["verdict"], told[1]["override"]["by"], "override" in told[0]) == ("FAIL", "ana", False)
    assert [Check.from_dict(one).as_dict() for one in told] == told
    assert Decision.of([slow, Check("few", UNSURE, "3 rows")]).verdict is UNSURE
    with pytest.raises(InputError, match="was passed"):
        Check("fine", PASS, "good", override=by)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"expires": "0s"}, "expires is 0"), ({"expires": "soon"}, "not a duration"),
     ({"at_least": {"f1": 1}}, "names 'f1'"),
     ({"at_most": {"auc": math.nan}}, "is nan"), ({"at_least": [0.7]}, "at_least="),
     ({"quarantined": 1.5}, "quarantined"),
     ({"reproducible": "yes"}, "'lineage' or 'exact'"), ({"parity": "7d"}, "write parity=Parity"),
     ({"budget": True}, "ServingBudget"), ({"calibration": 0.1}, "Calibrated"), ({"evidence": "drill"}, "evidence="),
     ({"refresh_margin": math.inf}, "refresh_margin"), ({"feature_tests": "yes"}, "True or False")],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        GatePolicy(**wrong)  # type: ignore[arg-type]


def test_parts_that_make_no_sense_are_refused() -> None:
    for wrong in (
        lambda: Calibrated(slope=None, level=None), lambda: Calibrated(slope=(1.2, 0.8)),
        lambda: Calibrated(level=-1.0),
        lambda: ServingBudget(), lambda: ServingBudget(size="big"), lambda: ServingBudget(size=0),
        lambda: ServingBudget(latency="0s"), lambda: ServingBudget(latency="1ms", rows=10),
        lambda: Parity(window="0s"),
        lambda: Parity(minimum=0), lambda: Parity(sample=10), lambda: Parity(max_stale=2.0),
    ):  # fmt: skip
        with pytest.raises(DefinitionError):
            wrong()
    assert ServingBudget(size="20MB").bytes == 20_000_000
    assert ServingBudget(size=512).bytes == 512
