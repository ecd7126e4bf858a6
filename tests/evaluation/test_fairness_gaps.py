"""Gaps of fairness beside their noise floor: what chance makes is no gap, and what can't be told is not fair."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.fairness import CRITERIA, Finding, GapRule, adjusted, fairness_report, gap, partitions, tally
from backstay.evaluation.fairness.calibration import calibration_gap
from backstay.evaluation.fairness.cells import states, tally_clusters
from backstay.evaluation.fairness.gaps import differences, noise
from backstay.evaluation.fairness.rates import shares
from backstay.evaluation.interval import Insufficient, Interval

GROUPS = [f"g{place}" for place in range(24)]


def fair(rng: np.random.Generator, rows: int = 5_000) -> np.ndarray:
    """The counts of 24 crossings, from large to small, that are treated exactly alike."""
    sizes = np.outer([0.4, 0.3, 0.2, 0.1], [0.4, 0.25, 0.15, 0.1, 0.06, 0.04]).ravel()
    code, outcome = rng.choice(24, rows, p=sizes), rng.random(rows) < 0.4
    decision = rng.random(rows) < np.where(outcome, 0.6, 0.2)
    return np.bincount(code * 4 + outcome * 2 + decision, minlength=96).reshape(24, 4)


def test_differences_are_newcombes() -> None:
    """Newcombe 1998, table II, method 10: 56/70 less 48/80, 9/10 less 3/10, 10/10 less 0/10."""
    for hits, n, known in (
        ((56, 48), (70, 80), (0.0524, 0.3339)),
        ((9, 3), (10, 10), (0.1705, 0.8090)),
        ((10, 0), (10, 10), (0.6075, 1.0)),
    ):
        size = np.array(n, float)
        low, high = differences(np.array(hits) / size, size, 0.95)
        assert (low[0, 1], high[0, 1]) == pytest.approx(known, abs=5e-5)
        assert (low[1, 0], high[1, 0]) == pytest.approx((-known[1], -known[0]), abs=5e-5)


def test_the_floor_is_that_of_groups_shuffled_row_by_row() -> None:
    """Equal opportunity: groups are shuffled among the rows with outcome 1, and nowhere else."""
    rng = np.random.default_rng(0)
    group, outcome = rng.integers(0, 4, 1_500), rng.random(1_500) < 0.3
    decision = rng.random(1_500) < np.where(outcome, 0.5, 0.1)
    (part,) = partitions({"g": group})
    found = gap(
        "equal_opportunity", "g", part.cells, tally(part, states(outcome, decision)), GapRule(permutations=9_999)
    )
    member, hit = group[outcome], decision[outcome]
    shuffled = []
    for _ in range(4_000):
        mixed = rng.permutation(member)
        rates = np.bincount(mixed, weights=hit, minlength=4) / np.bincount(mixed, minlength=4)
        shuffled.append(np.ptp(rates))
    assert found.floor == pytest.approx(np.quantile(shuffled, 0.95), rel=0.05)
    true = np.bincount(member, weights=hit) / np.bincount(member)
    assert isinstance(found.gap, Interval)
    assert found.gap.estimate == pytest.approx(np.ptp(true), abs=1e-12)
    assert found.p == pytest.approx(np.mean(np.array(shuffled) >= np.ptp(true) - 1e-12), abs=0.03)


def test_24_fair_crossings_raise_no_more_alarms_than_chance_allows() -> None:
    """At most 5%, within two standard errors of 1,000 simulations; a gap above 0.1 is there nearly always."""
    rng, times = np.random.default_rng(1), 1_000
    rule = GapRule(tolerance=0.0, permutations=99)
    alarms = {"demographic_parity": 0, "equalized_odds": 0}
    raw = 0
    for turn in range(times):
        counts = fair(rng)
        for name in alarms:
            found = gap(name, "x", GROUPS, counts, rule, seed=turn)
            assert isinstance(found.gap, Interval)
            alarms[name] += found.finding is Finding.GAP
            raw += name == "demographic_parity" and found.gap.estimate > 0.1
    bound = 0.05 + 2 * np.sqrt(0.05 * 0.95 / times)
    assert all(count / times <= bound for count in alarms.values()), alarms
    assert raw > 0.97 * times


def test_the_limits_of_a_gap_hold_for_all_pairs_at_once() -> None:
    """Of 8 cells of unlike sizes, the true largest difference is within the limits in 95 of 100 cases or more."""
    rng, held, times = np.random.default_rng(2), 0, 1_000
    n = np.array([30, 40, 60, 90, 150, 300, 500, 900])
    true = np.array([0.1, 0.3, 0.2, 0.25, 0.15, 0.2, 0.2, 0.3])
    for hits in rng.binomial(n, true, (times, 8)):
        low, high = differences(hits / n, n.astype(float), 0.95)
        held += low.max() <= np.ptp(true) <= high.max()
    assert held >= 0.95 * times


def test_a_gap_is_found_where_it_is_one_and_ok_where_it_is_shown_to_be_small() -> None:
    cells = ["a", "b"]
    unlike = np.array([[800, 200, 100, 400], [500, 500, 100, 400]])
    assert gap("predictive_equality", "g", cells, unlike).finding is Finding.GAP
    assert gap("equal_opportunity", "g", cells, unlike).finding is Finding.OK
    found = gap("equalized_odds", "g", cells, unlike)
    assert (found.finding, found.rate, found.highest, found.lowest) == (Finding.GAP, "fpr", "b", "a")
    few = unlike // 20
    assert gap("equal_opportunity", "g", cells, few).finding is Finding.INSUFFICIENT
    assert "can't be told" in gap("equal_opportunity", "g", cells, few).reason


def test_a_group_without_positives_is_in_no_gap_and_is_not_fair() -> None:
    """Fairlearn 0.15 calls this perfect classifier's equalized odds difference 1.0."""
    counts = np.array([[500, 0, 0, 500], [500, 0, 0, 500], [300, 0, 0, 0]])
    found = gap("equalized_odds", "g", ["a", "b", "c"], counts)
    assert isinstance(found.gap, Interval)
    assert found.gap.estimate == 0.0
    assert found.finding is Finding.INSUFFICIENT
    assert dict(found.untold) == {"c": "TPR: there are no rows with outcome 1"}
    assert found.unseen == pytest.approx(300 / 2_300)
    assert gap("equalized_odds", "g", ["a", "b", "c"], counts, GapRule(untold=0.2)).finding is Finding.OK
    alone = gap("equal_opportunity", "g", ["a", "c"], counts[[0, 2]])
    assert isinstance(alone.gap, Insufficient)
    assert "the TPR of 1 of 2 cells can be told" in alone.reason
    assert alone.p is alone.floor is None


@pytest.mark.parametrize("criterion", [name for name, rates in CRITERIA.items() if rates])
@pytest.mark.parametrize("everybody", [True, False])
def test_without_a_decision_there_is_nothing_to_compare(criterion: str, everybody: bool) -> None:
    counts = np.zeros((2, 4), int)
    counts[:, [1, 3] if everybody else [0, 2]] = 500
    found = gap(criterion, "g", ["a", "b"], counts)
    assert found.finding is Finding.INSUFFICIENT
    assert "there is no decision to compare" in found.reason


def test_calibration_is_compared_at_the_same_score() -> None:
    """Groups whose scores differ and mean the same have no gap; those whose outcomes are shifted have one."""
    rng = np.random.default_rng(3)
    group = rng.integers(0, 2, 8_000)
    score = np.where(group == 1, rng.beta(4, 2, 8_000), rng.beta(2, 4, 8_000))
    outcome = rng.random(8_000) < score
    clean = fairness_report(outcome, score, {"g": group}).gaps("calibration")[0]
    assert clean.finding is Finding.OK
    shifted = rng.random(8_000) < np.clip(score + 0.25 * group - 0.1, 0, 1)
    assert fairness_report(shifted, score, {"g": group}).gaps("calibration")[0].finding is Finding.GAP


def test_fair_calibration_raises_no_more_alarms_than_chance_allows() -> None:
    rng, rule, alarms, times = np.random.default_rng(4), GapRule(tolerance=0.0, permutations=99), 0, 200
    shape = (6, 10, 1)
    for turn in range(times):
        rows = rng.integers(5, 60, shape)  # groups have scores of their own, and outcomes by score alone
        hits = rng.binomial(rows, np.linspace(0.05, 0.95, 10)[None, :, None])
        steps = np.concatenate([rows - hits, hits], axis=2)
        table = steps.sum(axis=1)
        base = shares(np.stack([table[:, 0], 0 * table[:, 0], 0 * table[:, 0], table[:, 1]], 1), "base_rate")
        alarms += calibration_gap("g", GROUPS[:6], steps, base, rule, seed=turn).finding is Finding.GAP
    assert alarms / times <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / times)


def test_rows_of_entities_do_not_make_an_alarm_of_one_entity() -> None:
    """Groups are of entities with 20 rows each: counted as rows, chance is taken for a gap."""
    rng, counted = np.random.default_rng(6), {"rows": 0, "entities": 0}
    entity = np.repeat(np.arange(120), 20)
    (part,) = partitions({"g": np.array(["a", "b", "c"])[np.arange(120) % 3][entity]})
    rule = GapRule(tolerance=0.0, permutations=199)
    for turn in range(200):
        state = states(np.zeros(2_400, bool), rng.random(2_400) < rng.beta(1, 2, 120)[entity])
        counts, inside = tally(part, state), tally_clusters(part, state, entity, 120)
        for name, clustered in (("rows", None), ("entities", inside)):
            found = gap("demographic_parity", "g", part.cells, counts, rule, clustered=clustered, seed=turn)
            counted[name] += found.finding is Finding.GAP
    assert counted["entities"] <= 0.09 * 200
    assert counted["rows"] > 0.3 * 200


def test_p_values_are_adjusted_as_holm_does() -> None:
    rng = np.random.default_rng(8)
    gaps = [gap("demographic_parity", "x", GROUPS, fair(rng), seed=turn) for turn in range(4)]
    for before, after in zip(gaps, adjusted(gaps, GapRule()), strict=True):
        assert before.p is not None
        rank = sum(other.p < before.p for other in gaps if other.p is not None)
        assert after.adjusted == pytest.approx(
            max(
                min((4 - place) * p, 1.0) for place, p in enumerate(sorted(one.p or 0 for one in gaps)) if place <= rank
            )
        )
        assert after.looks == 4


def test_the_same_seed_gives_the_same_floor_and_json_holds_it() -> None:
    counts = fair(np.random.default_rng(9))
    first, second = (gap("predictive_parity", "x", GROUPS, counts, seed=5) for _ in range(2))
    assert first == second
    told = json.loads(json.dumps(first.as_dict(), allow_nan=False))
    assert told["finding"] == str(first.finding)
    assert told["gap"]["estimate"] == first.gap.estimate  # type: ignore[union-attr]
    assert noise([], 9, np.random.default_rng(0)).tolist() == [0.0] * 9


def test_what_is_no_rule_is_refused() -> None:
    with pytest.raises(InputError, match="tolerance is 2"):
        GapRule(tolerance=2)
    with pytest.raises(InputError, match="minimum 0"):
        GapRule(minimum=0)
    with pytest.raises(InputError, match="the criterion is 'calibration'"):
        gap("calibration", "g", ["a", "b"], np.ones((2, 4), int))
    with pytest.raises(InputError, match="the rate is 'recall'"):
        shares(np.ones((2, 4), int), "recall")


def test_crossings_that_read_alike_are_two_cells_and_neither_takes_the_other_with_it() -> None:
    n = 3_000
    i, score = np.arange(n), np.random.default_rng(0).random(n)
    first = np.where(i < 1_500, "x, y", np.where(i < 1_505, "x", "w"))
    second = np.where(i < 1_500, "z", np.where(i < 1_505, "y, z", "w"))
    report = fairness_report(np.random.default_rng(1).random(n) < score, score, {"a": first, "b": second})
    crossed = report.groups[2]
    assert {cell.name: cell.rows for cell in crossed.cells} == {"w, w": 1_495, 'x, "y, z"': 5, '"x, y", z': 1_500}
    (found,) = (one for one in crossed.gaps if one.criterion == "demographic_parity")
    assert set(found.told) == {"w, w", '"x, y", z'}
    assert list(found.as_dict()["untold"]) == ['x, "y, z"']
    assert found.unseen == 5 / n
    given = gap("demographic_parity", "g", ["a", "a", "b"], np.array([[40, 10, 5, 15], [1, 0, 0, 0], [30, 20, 5, 15]]))
    assert (given.told, len(given.untold)) == (("a", "b"), 1)
