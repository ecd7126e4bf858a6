"""The investigator on cases whose truth is known: the right cause, the right price, none where nothing is wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.investigation.cases import DAYS, START, case, served_wrong

from backstay.core.times import DAY
from backstay.evaluation.interval import Insufficient, Interval
from backstay.investigation import FIXES, Cause, Investigation, State
from backstay.investigation.case import Case, Past
from backstay.investigation.investigate import investigate, looks
from backstay.investigation.maturity import matured
from backstay.investigation.pricing import Bar, priced, quality

METRICS = ("log_loss", "auc", "brier")


def causes(found: Investigation) -> list[Cause]:
    return [one.cause for one in found.ranked]


def test_where_nothing_is_wrong_at_most_one_in_twenty_has_a_cause() -> None:
    found = [causes(investigate(case(seed, METRICS[seed % 3], many=1500))) for seed in range(60)]
    assert sum(bool(one) for one in found) <= 3, found


@pytest.mark.parametrize("metric", METRICS)
def test_others_who_are_asked_about(metric: str) -> None:
    told = investigate(case(0, metric, many=6000, shift=1.0))
    verdict = told.of(Cause.COVARIATE)
    assert verdict.effect is not None
    assert told.of(Cause.CONCEPT).state is State.NOT_FOUND
    # The scores are right on both sides: all of the gap is that others are asked about.
    assert isinstance(told.gap, Interval)
    assert verdict.effect.estimate == pytest.approx(told.gap.estimate, abs=0.02)
    assert verdict.evidence["told_apart"] > 0.7


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_who_behave_otherwise(metric: str) -> None:
    told = investigate(case(1, metric, concept=-2.5))
    assert causes(told) == [Cause.CONCEPT]
    verdict = told.of(Cause.CONCEPT)
    assert verdict.effect is not None
    assert isinstance(told.gap, Interval)
    assert verdict.effect.estimate == pytest.approx(told.gap.estimate, rel=0.2)
    assert verdict.features == ("debt",)  # where they do
    assert "`debt`" in verdict.why
    assert verdict.next == FIXES[Cause.CONCEPT]
    assert all(one in told_ids(1) for one in verdict.rows)


def told_ids(seed: int) -> set[str]:
    return set(case(seed).online.ids)


@pytest.mark.parametrize("cause", [Cause.STALE, Cause.UNITS, Cause.DEFAULT, Cause.TIME_ZONE])
def test_an_input_that_was_served_wrong_is_priced_by_what_would_have_been_said(cause: Cause) -> None:
    plain = case(2)
    wrong = served_wrong(plain, cause)
    told = investigate(wrong)
    assert causes(told) == [cause]
    verdict = told.of(cause)
    assert verdict.effect is not None
    before, after = (quality("log_loss", one.online.score, one.online.label).estimate for one in (plain, wrong))
    assert verdict.effect.estimate == pytest.approx(after - before)
    assert verdict.features == ("income",)
    assert set(verdict.rows) <= set(wrong.online.ids)
    assert verdict.surely == "almost certain"
    # Mended, it is as it was: what it explains is not told again as a shift.
    assert told.of(Cause.CONCEPT).state is told.of(Cause.COVARIATE).state is State.NOT_FOUND


def test_two_at_once_are_both_found() -> None:
    told = investigate(served_wrong(case(3, concept=-2.0), Cause.DEFAULT))
    assert set(causes(told)) == {Cause.DEFAULT, Cause.CONCEPT}


def test_labels_that_come_late_when_they_are_bad() -> None:
    def late(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return np.where(y == 1, rng.exponential(3.0, y.size), rng.exponential(0.3, y.size))

    asked = {"maturity": 7 * DAY, "waits": late, "occurrence": True, "as_of": (START + 2 * DAYS) * DAY}
    told = investigate(case(4, "auc", **asked))
    verdict = told.of(Cause.LABEL_DELAY)
    assert causes(told) == [Cause.LABEL_DELAY]
    assert verdict.effect is not None
    assert verdict.evidence["median_wait_days_1"] > 0.5
    # The price is that of waiting: the same rows with all labels.
    later = case(4, "auc", **{**asked, "as_of": (START + 3 * DAYS) * DAY})
    truth = quality("auc", later.online.score, later.online.label).estimate
    whole = matured(case(4, "auc", **asked)).whole.estimate
    assert whole == pytest.approx(truth, abs=0.015)


def test_a_list_in_another_order() -> None:
    told = investigate(_listed(7, moved=True))
    assert causes(told) == [Cause.POSITION]
    assert told.of(Cause.POSITION).evidence["eta"]["estimate"] == pytest.approx(1.0, abs=0.25)
    assert Cause.POSITION not in causes(investigate(_listed(7, moved=False)))


def _listed(seed: int, *, moved: bool) -> Case:
    """Offline the list is ordered by what is worth it; online, where it `moved`, by what is not."""
    rng = np.random.default_rng(seed)
    one = case(seed, "auc", many=6000)
    worth, other = rng.normal(size=(2, 400))
    sides = []
    for rows, key in ((one.offline, worth), (one.online, other if moved else worth)):
        noisy = key[rows.item] + rng.normal(0, 0.3, rows.rows)
        place = np.minimum(np.argsort(np.argsort(-noisy)) * 6 // rows.rows + 1, 6).astype(float)
        score = 1 / (1 + np.exp(-1.2 * worth[rows.item]))
        good = rng.random(rows.rows) < score
        seen = (good & (rng.random(rows.rows) < 1 / place)).astype(float)
        vector = np.column_stack([worth[rows.item], other[rows.item], rows.vector[:, 2:]]).astype(np.float32)
        sides.append(replace(rows, label=seen, seen=seen, position=place, score=score, vector=vector))
    return replace(one, offline=sides[0], online=sides[1])


def test_the_model_judged_by_what_it_chose_itself() -> None:
    rng, one = np.random.default_rng(8), case(8)
    drawn = rng.random(one.online.rows) < 0.3
    wrong = np.where(drawn & (rng.random(one.online.rows) < 0.5), 1 - one.online.label, one.online.label)
    chance = np.where(drawn, 0.3, 0.7)
    online = replace(one.online, chance=chance, label=wrong, seen=wrong)
    label = np.where(one.offline.decision, one.offline.label, np.nan)
    offline = replace(one.offline, label=label, seen=label, logged=np.ones(one.offline.rows))
    told = investigate(replace(one, online=online, offline=offline))
    assert causes(told)[0] is Cause.FEEDBACK
    assert told.of(Cause.POLICY).state is State.CANNOT_TELL
    assert "always 1" in told.of(Cause.POLICY).why


def test_the_metric_rises_and_what_pays_falls() -> None:
    past = Past(np.zeros(0, np.int64), np.zeros(0, np.int64), (1, 2, 3, 4), np.array([0.7, 0.72, 0.75, 0.8]),
                np.array([10.0, 9.0, 8.5, 7.0]), np.full(4, 0.3), np.full(4, 28.0), False)  # fmt: skip
    told = investigate(replace(case(9), past=past))
    assert causes(told) == [Cause.PROXY]
    less = replace(past, business=np.array([10.0, 9.7, 9.4, 9.0]), error=np.full(4, 0.1))
    told = investigate(replace(case(9), past=less))
    assert told.of(Cause.PROXY).state is State.CANNOT_TELL  # a season may be so much
    assert "one after another" in told.of(Cause.PROXY).why
    assert causes(investigate(replace(case(9), past=replace(less, together=True)))) == [Cause.PROXY]
    better = replace(past, business=past.business[::-1].copy())
    assert not causes(investigate(replace(case(9), past=better)))


def test_what_was_not_logged_is_named() -> None:
    told = investigate(replace(case(0), missing={Cause.STALE: "the inputs came with the request"}))
    assert told.of(Cause.STALE).state is State.CANNOT_TELL
    assert told.of(Cause.STALE).why == "cannot tell: the inputs came with the request"
    for cause, word in ((Cause.POSITION, "position"), (Cause.FEEDBACK, "chance"), (Cause.PROXY, "pays")):
        assert told.of(cause).state is State.CANNOT_TELL
        assert word in told.of(cause).why
        assert told.of(cause).next


def test_the_steps_sum_to_the_gap_and_all_of_it_is_json() -> None:
    for one in (case(1, concept=-2.5), served_wrong(case(2), Cause.UNITS), case(5)):
        told = investigate(one)
        assert isinstance(told.gap, Interval)
        total = sum(step.effect.estimate for step in told.waterfall if step.effect is not None)
        assert total == pytest.approx(told.gap.estimate)
        plain = json.loads(json.dumps(told.as_dict(), allow_nan=False))
        assert [one["cause"] for one in plain["verdicts"]] == [cause.value for cause in Cause]
        assert str(told).startswith("loans, version 3: log loss offline")


def test_too_little_is_an_answer() -> None:
    one = case(0, many=40)
    none = np.full(40, np.nan)
    for online in (
        replace(one.online, label=none, seen=none),
        replace(one.online, label=np.zeros(40), seen=np.zeros(40)),
    ):
        told = investigate(replace(one, metric="auc", online=online))
        assert isinstance(told.gap, Insufficient)
        assert {verdict.state for verdict in told.verdicts} == {State.CANNOT_TELL}
        assert not told.ranked
        assert "Insufficient" not in str(told)
    assert not causes(investigate(case(0, many=8)))


def test_looks_are_counted_by_what_can_be_looked_at() -> None:
    plain = case(0)
    assert looks(plain, matured(plain)) == 2
    assert looks(_listed(0, moved=False), matured(plain)) == 3
    assert Bar(0.0, 5).error == pytest.approx(0.01)


def test_clusters_of_two_kinds_are_no_narrower_than_of_one() -> None:
    one = case(0, many=2000)
    effect = quality("brier", one.online.score, one.online.label)
    bar = Bar(0.0)
    by_day = priced(effect, one.online.cluster, bar).effect
    by_both = priced(effect, one.online.cluster, bar, one.online.item).effect
    assert by_both.high - by_both.low >= by_day.high - by_day.low
