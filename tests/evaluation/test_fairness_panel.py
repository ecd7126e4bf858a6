"""Conflicts, the frontier and the guide: the arithmetic holds on every group, and what a policy costs is held out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation import Costs
from backstay.evaluation.fairness import (
    CRITERIA,
    QUESTIONS,
    Answers,
    Frontier,
    GapRule,
    Together,
    conflict,
    fairness_report,
    frontier,
    given_up,
    identities,
    partitions,
    place,
    propose,
    states,
    tally,
)
from backstay.evaluation.fairness.cells import tally_clusters
from backstay.evaluation.fairness.frontier import halves
from backstay.evaluation.interval import Insufficient, Interval, NotEnough


def unlike(rows: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two groups whose base rates differ, .25 and .5, with scores that are right in each."""
    rng = np.random.default_rng(1)
    group = rng.integers(0, 2, rows)
    score = np.where(group == 1, rng.beta(3, 3, rows), rng.beta(2, 6, rows))
    return rng.random(rows) < score, score, np.array(["low", "high"])[group]


def test_the_identity_holds_to_a_trillionth_on_any_counts() -> None:
    counts = np.random.default_rng(0).integers(1, 5_000, (2_000, 4))
    found = identities([str(place) for place in range(2_000)], counts)
    assert max(abs(one.residual or 0.0) / max(one.fpr or 0.0, 1e-9) for one in found) < 1e-12
    assert all(one.residual is not None for one in found)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([10, 5, 0, 0], "there is no row with outcome 1"),
        ([0, 0, 5, 10], "there is no row with outcome 0"),
        ([10, 0, 5, 0], "there is no row that is selected"),
        ([10, 5, 5, 0], "its PPV is 0"),
    ],
)
def test_where_the_identity_has_no_value_it_says_why(row: list[int], why: str) -> None:
    (found,) = identities(["a"], np.array([row]))
    assert found.why.startswith(why)
    assert found.implied is found.residual is None


def test_unlike_base_rates_rule_out_what_they_rule_out() -> None:
    outcome, score, group = unlike()
    panel = fairness_report(outcome, score, {"g": group}).groups[0].conflict
    assert panel.base_rates_differ
    ruled = {(one.first, one.second) for one in panel.pairs if one.together is Together.NO}
    assert ruled == {
        ("demographic_parity", "equalized_odds"), ("equalized_odds", "predictive_parity"),
        ("equalized_odds", "calibration"),
    }  # fmt: skip
    assert len(panel.pairs) == 15
    (pair,) = (one for one in panel.pairs if (one.first, one.second) == ("equal_opportunity", "predictive_parity"))
    y, d = outcome, score >= 0.5
    ppv, tpr = y[d].mean(), d[y].mean()
    for name, rates in pair.implied:
        p = y[group == name].mean()
        assert dict(rates)["fpr"] == pytest.approx(p / (1 - p) * (1 - ppv) / ppv * tpr, abs=1e-12)
    json.dumps(panel.as_dict(), allow_nan=False)


def test_like_base_rates_rule_out_nothing_and_few_rows_tell_nothing() -> None:
    alike = conflict("g", ["a", "b"], np.array([[500, 100, 100, 300], [480, 120, 90, 310]]))
    assert alike.base_rates_differ is False
    assert {one.together for one in alike.pairs} == {Together.YES}
    few = conflict("g", ["a", "b"], np.array([[500, 100, 100, 300], [1, 0, 0, 1]]))
    assert few.base_rates_differ is None
    assert Together.UNKNOWN in {one.together for one in few.pairs}
    assert "1 of 2 groups" in few.reason


def test_without_an_error_only_demographic_parity_is_ruled_out() -> None:
    perfect = conflict("g", ["a", "b"], np.array([[800, 0, 0, 200], [400, 0, 0, 600]]))
    assert perfect.base_rates_differ
    ruled = {(one.first, one.second) for one in perfect.pairs if one.together is not Together.YES}
    assert ruled == {("demographic_parity", "equalized_odds")}  # .2 and .6 are selected, TPR 1 and FPR 0 in both
    (pair,) = (one for one in perfect.pairs if (one.first, one.second) == ("equalized_odds", "predictive_parity"))
    assert "no told group has an error" in pair.why
    one_error = conflict("g", ["a", "b"], np.array([[800, 1, 0, 199], [400, 0, 0, 600]]))
    assert sum(one.together is Together.NO for one in one_error.pairs) == 3


@pytest.mark.parametrize("criterion", ["demographic_parity", "equalized_odds", "equal_opportunity"])
def test_the_frontier_trades_cost_for_the_gap_on_rows_that_chose_nothing(criterion: str) -> None:
    outcome, score, group = unlike()
    found = fairness_report(outcome, score, {"g": group}, criterion=criterion).frontier
    assert isinstance(found, Frontier)
    sizes = [one.gap.estimate for one in found.points if isinstance(one.gap, Interval)]
    costs = [one.cost for one in found.points]
    assert costs == sorted(costs, reverse=True)
    assert sizes == sorted(sizes)
    assert len(sizes) >= 3
    assert sizes[0] < 0.06
    assert isinstance(found.now.gap, Interval)
    assert found.now.gap.estimate > sizes[0] + 0.2
    assert found.points[0].needs_attribute
    assert not found.now.needs_attribute
    assert found.now.thresholds == {"high": 0.5, "low": 0.5}
    assert abs(found.fitted - found.measured) < 600
    assert found.fitted + found.measured == 20_000
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_point_of_another_model_is_measured_as_the_frontiers_are() -> None:
    outcome, score, group = unlike(4_000)
    found = fairness_report(outcome, score, {"g": group}, criterion="demographic_parity", costs=Costs(2, 1))
    assert isinstance(found.frontier, Frontier)
    d = score >= 0.5
    code = (group == "low").astype(int)
    point = place("other", "demographic_parity", ["high", "low"], np.bincount(code * 4 + outcome * 2 + d).reshape(2, 4),
                  Costs(2, 1))  # fmt: skip
    assert point.cost == pytest.approx((2 * np.sum(d & ~outcome) + np.sum(~d & outcome)) / 4_000)
    assert isinstance(point.gap, Interval)
    assert point.gap.estimate == pytest.approx(d[group == "high"].mean() - d[group == "low"].mean())


def test_whole_clusters_are_in_one_half() -> None:
    outcome, score, group = unlike(4_000)
    day = np.repeat(np.arange(20), 200)
    found = fairness_report(outcome, score, {"g": group}, criterion="demographic_parity", clusters=day).frontier
    assert isinstance(found, Frontier)
    assert (found.fitted, found.measured) == (2_000, 2_000)


def test_limits_of_the_frontiers_gaps_count_clusters_and_not_rows() -> None:
    outcome, score, group = (np.repeat(one, 25) for one in unlike(400))  # everybody 25 times
    person = np.repeat(np.arange(400), 25)
    found = fairness_report(outcome, score, {"g": group}, criterion="demographic_parity", clusters=person).frontier
    alone = fairness_report(outcome, score, {"g": group}, criterion="demographic_parity").frontier
    assert isinstance(found, Frontier)
    assert isinstance(alone, Frontier)

    def reach(gap: object) -> float:
        assert isinstance(gap, Interval)
        return gap.high - gap.estimate

    assert reach(found.now.gap) > 3 * reach(alone.now.gap)  # 5 times, but for the half
    for one in (found.now, found.single, *found.points):
        assert reach(one.gap) > 3 * reach(alone.now.gap)
        assert isinstance(one.gap, Interval)
        assert one.gap.clusters <= 200
    part, state = partitions({"g": group})[0], states(outcome, score >= 0.5)
    of = (found.criterion, part.cells, tally(part, state))
    beside = place("beside", *of, clustered=tally_clusters(part, state, person.astype(np.intp), 400))
    assert reach(beside.gap) > 3 * reach(place("beside", *of).gap)


def test_a_group_whose_clusters_are_worth_too_few_rows_is_left_out_and_named() -> None:
    outcome, score, group = unlike(4_000)
    day = np.repeat(np.arange(40), 100)
    crowd, at = np.repeat(np.arange(8), 50), np.random.default_rng(3).integers(0, 40, 8)
    rare = [np.append(outcome, crowd % 2 == 0), np.append(score, crowd % 4 / 4), np.append(group, ["rare"] * 400)]
    found = fairness_report(
        rare[0], rare[1], {"g": rare[2]}, criterion="demographic_parity", clusters=np.append(day, at[crowd])
    ).frontier
    assert isinstance(found, Frontier)
    assert set(found.left_out) == {"rare"}
    assert "clusters are worth" in found.left_out["rare"]
    assert isinstance(found.now.gap, Interval)
    assert found.points[0].thresholds["rare"] == 0.5


def test_a_group_that_cannot_be_told_has_no_part_in_the_frontier_and_is_named() -> None:
    outcome, score, group = unlike(4_000)
    some = np.append(group, ["rare"] * 3)
    report = fairness_report(np.append(outcome, [1, 0, 1]), np.append(score, [0.9, 0.1, 0.5]), {"g": some})
    assert isinstance(report.frontier, Frontier)
    assert set(report.frontier.left_out) == {"rare"}
    assert report.frontier.points[0].thresholds["rare"] == 0.5
    lone = fairness_report(outcome[:40], score[:40], {"g": group[:40]}, rule=GapRule(minimum=30)).frontier
    assert isinstance(lone, Insufficient)
    assert "groups can be told" in lone.reason
    calibrated = fairness_report(outcome, score, {"g": group}, criterion="calibration").frontier
    assert isinstance(calibrated, Insufficient)


def test_what_is_no_cost_and_no_criterion_of_a_threshold_is_refused() -> None:
    with pytest.raises(InputError, match="costs"):
        Costs(-1, 1)
    steps = np.full((2, 3, 2), 10)
    with pytest.raises(InputError, match="calibration"):
        frontier("calibration", "g", ["a", "b"], steps, steps, np.array([0.2, 0.5]), 0.5)
    with pytest.raises(NotEnough, match="0 of 2 groups"):
        frontier("equal_opportunity", "g", ["a", "b"], steps // 10, steps // 10, np.array([0.2, 0.5]), 0.5)


def test_halves_are_the_same_for_the_same_seed_and_hold_every_row() -> None:
    steps = np.random.default_rng(0).integers(0, 100, (3, 20, 2))
    first, second = halves(steps, 4)
    assert np.array_equal(first + second, steps)
    assert np.array_equal(first, halves(steps, 4)[0])
    assert first.sum() == pytest.approx(steps.sum() / 2, rel=0.05)


def test_every_way_through_the_guide_leads_to_a_criterion_and_says_what_is_given_up() -> None:
    options = [list(answers) for _, answers in QUESTIONS.values()]
    found = {}
    for kind in options[0]:
        for capacity in options[1]:
            for labels in options[2]:
                for feedback in options[3]:
                    proposal = propose(Answers(kind, capacity, labels, feedback))
                    found[kind, capacity, labels, feedback] = proposal.criterion
                    assert proposal.why
                    assert proposal.criterion not in dict(proposal.given_up)
                    json.dumps(proposal.as_dict())
    assert {one for way, one in found.items() if way[2] == "biased"} == {"demographic_parity"}
    assert {one for way, one in found.items() if way[2:] == ("trusted", "selected")} == {"predictive_parity"}
    assert found["assistive", "limited", "trusted", "all"] == "equal_opportunity"
    assert found["assistive", "unlimited", "trusted", "all"] == "equalized_odds"
    assert found["punitive", "limited", "trusted", "all"] == "predictive_parity"
    assert found["punitive", "unlimited", "trusted", "all"] == "predictive_equality"


def test_what_is_ruled_out_by_the_arithmetic_is_given_up_by_the_guide() -> None:
    panel = conflict("g", ["a", "b"], np.array([[600, 200, 50, 150], [300, 200, 100, 400]]))
    for pair in panel.pairs:
        if pair.together is Together.NO:
            assert pair.second in given_up(pair.first)
            assert pair.first in given_up(pair.second)
    assert all(given_up(criterion).keys() <= CRITERIA.keys() for criterion in CRITERIA)
    with pytest.raises(InputError, match="kindness"):
        given_up("kindness")
    with pytest.raises(InputError, match="labels is 'perhaps'"):
        Answers("punitive", "limited", "perhaps", "all")
