"""A shadow beside what was answered: what is said of it, what is left out, and how often the answer is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, ndtri

from backstay.core.errors import DefinitionError, InputError
from backstay.core.times import DAY
from backstay.definitions import Shadow
from backstay.evaluation.metrics import auc
from backstay.evaluation.sequential.excess import log_excess
from backstay.rollout.pairs import UNKNOWN, Pairs, Side, Tries, scores
from backstay.rollout.shadow import NOTHING, Asked, Known, compare_shadow, quality
from backstay.rollout.verdict import Verdict

ASKED = Asked("late", 7, 3, metric="auc", minimum_days=7, thresholds=(0.3, 0.3))
PREVALENCE, ROWS, DAYS = 0.16, 50_000, 30


def side(score: Any, threshold: float = 0.3, took: int = 0) -> Side:
    n = len(score)
    return Side(np.asarray(score, float), np.asarray(score) >= threshold, np.full(n, took), np.arange(n) // 10)


def two_models(seed: int, gain: float, rows: int = ROWS, first: float = 0.75, entities: int | None = None) -> Pairs:
    """Two models on the same features: AUC `first`, and `gain` more; rank correlation 0.9; days differ in both.

    Scores are normal within each class, as far apart as the AUC says, on the scale of probabilities.
    """
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(0, DAYS, rows))
    rate = expit(np.log(PREVALENCE / (1 - PREVALENCE)) + rng.normal(0, 0.2, DAYS))[day]
    outcome = rng.random(rows) < rate
    common = rng.normal(size=rows)
    mood = rng.normal(0, 0.2, DAYS)[day]  # a day that is hard for both
    out = []
    for area in (first, first + gain):
        apart = math.sqrt(2) * ndtri(area)
        noise = math.sqrt(0.9) * common + math.sqrt(0.1) * rng.normal(size=rows)
        out.append(expit(apart * outcome * (1 + 0.2 * mood) + noise + 0.3 * mood - 2))
    at = day * DAY + np.arange(rows)
    entity = None if entities is None else rng.integers(0, entities, rows)
    return Pairs(at, side(out[0]), side(out[1]), entity, outcome.astype(np.int8))


def known(pairs: Pairs) -> Known:
    return Known(pairs.outcome, pairs.champion.score, pairs.candidate.score, pairs.at // DAY)


def answers(gain: float, policy: Shadow, tries: int, seed: int) -> list[Verdict]:
    return [quality(known(two_models(seed + n, gain)), ASKED, policy).verdict for n in range(tries)]


def test_a_better_version_is_found_and_a_worse_one_is_not_passed() -> None:
    """Prevalence 16%, 50,000 pairs, margin 0: better by 0.01 AUC, worse by 0.02, and as good."""
    pairs = two_models(1, 0.01)
    first, second = pairs.champion.score, pairs.candidate.score
    told = scores(pairs, 0.95)
    assert told is not None
    assert told.spearman is not None
    assert told.spearman == pytest.approx(0.9, abs=0.02)
    assert auc(pairs.outcome, second) - auc(pairs.outcome, first) == pytest.approx(0.01, abs=0.004)
    assert pairs.outcome.mean() == pytest.approx(PREVALENCE, abs=0.02)
    tries, policy = 40, Shadow(rows=ROWS, quality="better")
    found = {gain: answers(gain, policy, tries, 100) for gain in (0.01, -0.02, 0.0)}
    shares = {gain: float(np.mean([one is Verdict.PASS for one in some])) for gain, some in found.items()}
    refresh = answers(-0.02, Shadow(rows=ROWS, quality="not_worse", margin=0.01), 20, 300)
    print(f"{ROWS:,} pairs, rank correlation {told.spearman:.3f}: passed, by gain in AUC: {shares}")  # noqa: T201
    assert shares[0.01] >= 0.9
    assert shares[-0.02] <= 0.05
    assert all(one is Verdict.FAIL for one in found[-0.02])
    assert shares[0.0] <= 0.025 + 2 * math.sqrt(0.025 * 0.975 / tries)
    assert set(refresh) == {Verdict.FAIL}


def test_looking_again_and_again_passes_no_more_often_than_once() -> None:
    """A version that is as good, asked about at each of 6 ticks; the first look is at 1,000 labels."""
    asked, policy, tries = (
        Asked("late", 7, 3, metric="brier", minimum_days=2),
        Shadow(rows=1_000, quality="better"),
        300,
    )
    rng = np.random.default_rng(5)
    passed = naive = 0
    for _ in range(tries):
        pairs = _even(rng, 6_000)
        looks = [known(_first(pairs, n)) for n in range(1_000, 6_001, 1_000)]
        passed += any(quality(one, asked, policy).verdict is Verdict.PASS for one in looks)
        naive += any(getattr(one.gain("brier", 0.95), "low", -1.0) > 0 for one in looks)
    print(f"as good, looked at 6 times: passed {passed / tries}; by the plain interval {naive / tries}")  # noqa: T201
    assert passed / tries <= 0.025 + 2 * math.sqrt(0.025 * 0.975 / tries)
    assert naive > passed


def _even(rng: np.random.Generator, rows: int) -> Pairs:
    """Two models that are as good as each other."""
    true = rng.normal(size=rows)
    outcome = rng.random(rows) < expit(true)
    noise = [expit(true + rng.normal(0, 0.5, rows)) for _ in range(2)]
    at = np.arange(rows) * (60 * DAY // rows)
    return Pairs(at, side(noise[0]), side(noise[1]), None, outcome.astype(np.int8))


def _first(pairs: Pairs, rows: int) -> Pairs:
    def some(one: Side) -> Side:
        return Side(one.score[:rows], one.decision[:rows], one.took[:rows], one.served[:rows])

    return Pairs(pairs.at[:rows], some(pairs.champion), some(pairs.candidate), None, pairs.outcome[:rows])


def test_between_two_looks_the_answer_stays() -> None:
    pairs = two_models(3, 0.01, rows=7_900)
    policy = Shadow(rows=2_000, quality="better")
    told = [compare_shadow(_first(pairs, n), ASKED).check(policy).reason for n in (4_100, 5_000, 7_900)]
    assert len({one.partition("quality: ")[2] for one in told}) == 1
    assert "look 2" in told[0]


def test_scores_decisions_errors_and_time_are_told() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(4_000)
    moved = np.where(np.arange(4_000) % 10 == 0, np.clip(score + 0.1, 0, 1), score)
    at, entity = np.arange(4_000), np.arange(4_000) // 4
    outcome = np.full(4_000, UNKNOWN, np.int8)
    pairs = Pairs(at, side(score, took=100), side(moved, took=250), entity, outcome)
    half = np.arange(4_000) < 2_000
    found = compare_shadow(
        pairs, ASKED, errors=["ValueError: no"] * 3, slices={"first": half, "gone": "feature x is gone"},
        left_out={"said twice": 2}, labels={"not mature": 4_000},
    )  # fmt: skip
    expected = (score < 0.3) & (moved >= 0.3)
    assert (found.flips.flipped, found.flips.to_true, found.flips.to_false) == (expected.sum(), expected.sum(), 0)
    assert [one.flipped for one in found.slices] == [expected[half].sum(), 0]
    assert str(found.slices[1].rate) == "INSUFFICIENT: feature x is gone"
    assert found.scores is not None
    assert found.scores.equal == pytest.approx(np.mean(score == moved))
    assert found.scores.largest == pytest.approx(0.1)
    assert found.scores.difference.low < 0.01 < found.scores.difference.high  # type: ignore[union-attr]
    assert found.entities == 1_000
    assert found.latency is not None
    assert (found.latency.ratio, found.latency.champion["rows_a_batch"]) == (2.5, 10)
    assert (found.failures.shown, found.failures.failed, found.failures.reasons) == (4_003, 3, {"ValueError: no": 3})
    assert found.grid is not None
    assert sum(cell[2] for cell in found.grid["cells"]) == 4_000
    assert found.as_dict()["left_out"] == {"said twice": 2}
    assert "rows" in str(found)


def test_entities_count_as_one_and_not_as_their_rows() -> None:
    few = two_models(7, 0.0, rows=3_000, entities=30)
    alone = Pairs(few.at, few.champion, few.candidate, None, few.outcome)
    clustered, plain = (compare_shadow(one, ASKED).flips.rate for one in (few, alone))
    assert (clustered.clusters, plain.clusters) == (30, 3_000)  # type: ignore[union-attr]
    assert clustered.high - clustered.low > plain.high - plain.low  # type: ignore[union-attr]


ENOUGH = Shadow(rows=200, quality="not_worse", margin=0.05)


@pytest.mark.parametrize(
    ("change", "policy", "verdict", "reason"),
    [
        ({"rows": 0}, Shadow(rows=1), "INSUFFICIENT", "it was shown no row"),
        ({"rows": 99}, Shadow(rows=100), "INSUFFICIENT", "99 pairs, and the policy asks for 100"),
        ({"rows": 100}, Shadow(rows=100), "PASS", "100 pairs"),
        ({}, ENOUGH, "PASS", "not worse by more than 0.05"),
        ({"unlabelled": 3_000}, ENOUGH, "INSUFFICIENT", "0 pairs with a mature label"),
        ({"unlabelled": 2_850}, ENOUGH, "INSUFFICIENT", "150 pairs with a mature label"),
        ({"days": 3}, ENOUGH, "INSUFFICIENT", "mature labels from 3 days"),
        ({"one_class": True}, ENOUGH, "INSUFFICIENT", "outcome"),
        ({"errors": 200}, ENOUGH, "FAIL", "no score for 200 of 3,200 rows"),
        ({"rows": 0, "errors": 500}, Shadow(rows=1), "FAIL", "no score for 500 of 500 rows"),
        ({"rows": 97, "errors": 3}, Shadow(rows=50), "INSUFFICIENT", "no score for 3 of 100 rows"),
        ({"errors": 3}, ENOUGH, "PASS", "no score for 3"),
        ({"same": True}, Shadow(rows=200, quality="better"), "INSUFFICIENT", "cannot tell"),
        ({"same": True}, ENOUGH, "PASS", "not worse"),
        ({"gain": -0.2}, ENOUGH, "FAIL", "it is worse"),
        ({"gain": 0.1}, Shadow(rows=200, quality="better", margin=0.2), "FAIL", "it is not better by more than 0.2"),
    ],
)  # fmt: skip
def test_what_is_missing_is_never_passed(change: dict[str, Any], policy: Shadow, verdict: str, reason: str) -> None:
    rows = change.get("rows", 3_000)
    whole = two_models(11, change.get("gain", 0.0))
    spread = np.linspace(0, ROWS - 1, rows).astype(int)
    first, second = whole.champion.score[spread], whole.candidate.score[spread]
    outcome = whole.outcome[spread].copy()
    at = whole.at[spread]
    if "days" in change:
        at = np.arange(rows) * (change["days"] * DAY // rows)
    if change.get("one_class"):
        outcome[:] = 0
    outcome[: change.get("unlabelled", 0)] = UNKNOWN
    pairs = Pairs(at, side(first), side(first if change.get("same") else second), None, outcome)
    check = compare_shadow(pairs, ASKED, errors=["no"] * change.get("errors", 0)).check(policy)
    assert check.name == "shadow"
    assert check.verdict.value == verdict, check.reason
    assert reason in check.reason


@pytest.mark.parametrize(
    ("served", "entity", "rows", "expected"),
    [
        (np.arange(3_000), None, 2, "INSUFFICIENT"),  # both of the first two
        (np.arange(3_000), None, 3_000, "FAIL"),  # 3% of single rows
        (np.where(np.arange(3_000) < 90, 0, np.arange(3_000)), None, 3_000, "INSUFFICIENT"),  # one batch
        (np.arange(3_000), np.where(np.arange(3_000) < 90, 0, np.arange(3_000)), 3_000, "INSUFFICIENT"),  # one entity
    ],
)  # fmt: skip
def test_what_fails_together_counts_once(served: Any, entity: Any, rows: int, expected: str) -> None:
    failed = np.arange(rows) < 90
    tries = Tries(failed, served[:rows], None if entity is None else entity[:rows])
    pairs = _first(two_models(1, 0.0), rows - int(failed.sum()))
    check = compare_shadow(pairs, ASKED, errors=["no"] * int(failed.sum()), tries=tries).check(Shadow())
    assert check.verdict.value == expected, check.reason


def test_errors_at_the_rate_that_is_put_up_with_fail_nobody_however_often_one_looks() -> None:
    """1% of entities, looked at 31 times; and of 2%, which are too many."""
    rng, looks = np.random.default_rng(3), range(1_000, 10_001, 300)
    failed = {
        rate: float(np.mean([
            any(log_excess(row[:n], 0.01) >= math.log(100) for n in looks) for row in rng.random((40, 10_000)) < rate
        ]))
        for rate in (0.01, 0.02)
    }  # fmt: skip
    print(f"shown to fail more often than 1%, by the true rate: {failed}")  # noqa: T201
    assert failed[0.01] <= 0.01
    assert failed[0.02] >= 0.95
    for wrong in ([0.5, 2.0], [math.nan]):
        with pytest.raises(InputError, match="not in"):
            log_excess(wrong, 0.01)
    assert log_excess([0.0, 1.0], 0.0) == math.inf


def test_nothing_at_all_is_told_as_nothing() -> None:
    found = compare_shadow(NOTHING, Asked("late", 7, None))
    assert (found.rows, found.scores, found.grid, found.latency) == (0, None, None, None)
    assert found.check(Shadow()).verdict is Verdict.INSUFFICIENT
    assert found.as_dict()["quality"]["gain"]["insufficient"]


def test_pairs_that_are_none_are_refused() -> None:
    one, two = side([0.1, 0.2]), side([0.1, math.nan])
    outcome = np.zeros(2, np.int8)
    with pytest.raises(InputError, match="NaN or infinite"):
        Pairs(np.array([1, 2]), one, two, None, outcome)
    with pytest.raises(InputError, match="there are 1 outcomes for 2 pairs"):
        Pairs(np.array([1, 2]), one, one, None, outcome[:1])
    with pytest.raises(InputError, match="not in the order"):
        Pairs(np.array([2, 1]), one, one, None, outcome)
    with pytest.raises(DefinitionError, match="errors 1"):
        Shadow(errors=1.0)
