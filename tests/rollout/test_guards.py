"""The guards as the controller uses them: entities counted once, closed blocks, steps; on rows that are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backstay.definitions import Canary, Guard, Rollout
from backstay.evaluation.sequential import Counts, HarmTest
from backstay.registry.routing import BASELINE, BUCKETS, Part, allocate
from backstay.rollout.guards import LEAST, Rows, Step, blocks, look, lot
from backstay.rollout.stages import CANARY, Champion, Route, Seen, State, advance

HOUR = 3_600_000_000
ONE_STEP = (Step(0, 0.25, 0.25),)
RAMP = (Step(0, 0.01, 0.01), Step(10 * HOUR, 0.05, 0.05), Step(20 * HOUR, 0.25, 0.25))


def rows(at: np.ndarray, candidate: np.ndarray, entity: np.ndarray | None = None, **columns: np.ndarray) -> Rows:
    """Rows in order, with nothing wrong with them but what is given."""
    n = at.size
    order = np.argsort(at, kind="stable")
    whole = {
        "entity": np.arange(n) if entity is None else entity, "failed": np.zeros(n, bool), "size": np.ones(n, int),
        "decision": np.zeros(n, bool), "took": np.full(n, 500), "timed": np.ones(n, bool), "batch": np.arange(n),
        "score": np.full(n, 0.2), "outcome": np.full(n, np.nan), "matured": at + HOUR, "due": np.zeros(n, bool),
        **columns,
    }  # fmt: skip
    return Rows(at=at[order], candidate=candidate[order], **{name: one[order] for name, one in whole.items()})


def drawn(rng: np.random.Generator, n: int, rates: tuple[float, float]) -> Rows:
    """So many requests of each arm, each of its own entity, that fail at these rates."""
    candidate = rng.permutation(np.repeat([True, False], n))
    failed = rng.random(2 * n) < np.where(candidate, *rates)
    return rows(np.sort(rng.integers(0, 30 * HOUR, 2 * n)), candidate, failed=failed)


def test_an_entity_counts_once_by_the_mean_of_its_first_block() -> None:
    n = 4 * LEAST
    at, candidate = np.arange(n), np.arange(n) % 2 == 0
    entity = np.arange(n) // 4 * 2 + candidate  # each entity comes twice in a row
    values = (np.arange(n) % 4 < 2).astype(float)  # the first time 1, the second time 0
    seen = list(blocks(at, candidate, entity, values))
    assert [(one.candidate.size, one.baseline.size) for one in seen] == [(LEAST, LEAST)]
    assert seen[0].candidate.tolist()[:-1] == [0.5] * (LEAST - 1)
    again = np.concatenate([entity, entity, np.arange(1_000, 1_000 + 2 * LEAST)])
    more = list(blocks(np.arange(again.size), again % 2 == 0, again, np.ones(again.size)))
    assert sum(one.candidate.size + one.baseline.size for one in more) == len(set(again.tolist()))
    assert list(blocks(at[:0], candidate[:0], entity[:0], values[:0])) == []


def test_blocks_are_the_same_at_every_look() -> None:
    rng = np.random.default_rng(3)
    found = drawn(rng, 3_000, (0.1, 0.1))
    values = found.failed.astype(float)
    whole = list(blocks(found.at, found.candidate, found.entity, values))
    for upto in (500, 2_000, 4_000):
        part = list(blocks(found.at[:upto], found.candidate[:upto], found.entity[:upto], values[:upto]))
        assert 0 < len(part) < len(whole)
        for one, two in zip(part, whole, strict=False):
            assert one.candidate.tolist() == two.candidate.tolist()
            assert one.baseline.tolist() == two.baseline.tolist()
    assert len(whole) < 120  # they grow, so that a look at many rows is cheap


def test_the_harm_test_is_the_one_that_is_updated_block_by_block() -> None:
    rng = np.random.default_rng(8)
    for rates in ((0.1, 0.1), (0.2, 0.1)):
        found = drawn(rng, 2_000, rates)
        test = HarmTest(margin=0.01, alpha=0.0075)
        for one in blocks(found.at, found.candidate, found.entity, found.failed.astype(float)):
            if not test.shown:
                arms = (Counts(part.size, float(part.sum())) for part in (one.candidate, one.baseline))
                test = test.update(*arms)
        seen = look(Guard("errors", margin=0.01), found, ONE_STEP)
        assert seen.harm is test.shown is (rates[0] > 0.1)
        assert seen.evidence["e_value"] == pytest.approx(test.e_value)
        assert (seen.evidence["blocks"], seen.evidence["p_value"]) == (test.blocks, pytest.approx(test.p_value))


@pytest.mark.parametrize(
    ("name", "n", "rates", "least"),
    [("2% -> 4%", 5_000, (0.04, 0.02), 0.95), ("2% -> 3%", 10_000, (0.03, 0.02), 0.85),
     ("1% -> 2%", 10_000, (0.02, 0.01), 0.90)],
)  # fmt: skip
def test_harm_is_found(name: str, n: int, rates: tuple[float, float], least: float) -> None:
    rng, tries = np.random.default_rng(11), 200
    found = np.mean([look(Guard("errors"), drawn(rng, n, rates), ONE_STEP).harm for _ in range(tries)])
    print(f"{name} within {n:,} an arm: found in {found:.1%} of {tries}")  # noqa: T201
    assert found >= least - 2 * np.sqrt(least * (1 - least) / tries)


def sticky(rng: np.random.Generator) -> Rows:
    """4,000 entities of which 2% always fail, that come again and again, in cohorts that grow from 1% to 25%."""
    entities, requests = 4_000, 20_000
    bad = rng.random(entities) < 0.02
    place = rng.random(entities)  # the candidate has the lowest, the baseline the next
    entity = rng.integers(0, entities, requests)
    at = np.sort(rng.integers(0, 30 * HOUR, requests))
    share = np.array([one.candidate for one in RAMP])[np.searchsorted([one.since for one in RAMP], at, "right") - 1]
    mine, theirs = place[entity] < share, place[entity] > 1 - share
    keep = mine | theirs
    return rows(at[keep], mine[keep], entity[keep], failed=bad[entity[keep]])


def test_no_harm_is_not_called_harm_though_entities_come_again_and_the_share_grows() -> None:
    rng, tries = np.random.default_rng(5), 400
    once, each = 0, 0
    for _ in range(tries):
        found = sticky(rng)
        once += look(Guard("errors"), found, RAMP).harm
        each += look(Guard("errors"), replace(found, entity=np.arange(len(found))), RAMP).harm
    print(f"no harm, 2% of entities always fail: called harm in {once / tries:.2%} of {tries}; "  # noqa: T201
          f"were each request counted: {each / tries:.1%}")  # fmt: skip
    assert once / tries <= 0.01 + 2 * np.sqrt(0.01 * 0.99 / tries)
    assert each > 3 * once


def test_harm_that_begins_later_is_found_though_everybody_was_counted_before() -> None:
    rng = np.random.default_rng(9)
    entities = np.tile(np.arange(2_000), 3)
    at = np.concatenate([np.sort(rng.integers(0, 10 * HOUR, 2_000)) + k * 10 * HOUR for k in range(3)])
    candidate = entities % 2 == 0
    failed = candidate & (at >= 20 * HOUR) & (rng.random(at.size) < 0.15)
    found = look(Guard("errors"), rows(at, candidate, entities, failed=failed), RAMP)
    assert found.harm
    assert found.reason.startswith("errors at 25%: ")


@pytest.mark.parametrize("metric", ["log_loss", "brier", "latency", "decisions"])
def test_a_mean_that_is_worse_is_harm_and_one_that_is_not_is_none(metric: str) -> None:
    rng = np.random.default_rng(2)
    harm = {0.0: 0, 1.0: 0}
    for worse in harm:
        for _ in range(60):
            n = 4_000
            candidate = np.arange(n) % 2 == 0
            true = rng.beta(2, 8, n)
            outcome = (rng.random(n) < true).astype(float)
            blurred = np.clip(true + worse * rng.normal(0, 0.25, n) * candidate, 0.01, 0.99)
            took = np.exp(rng.normal(6, 0.5, n) + worse * 0.2 * candidate).astype(int)
            decision = rng.random(n) < np.where(candidate, 0.3 + worse * 0.15, 0.3)
            found = rows(
                np.arange(n) * 1_000, candidate, score=blurred, outcome=outcome, took=took, decision=decision,
                due=np.ones(n, bool),
            )  # fmt: skip
            harm[worse] += look(Guard(metric), found, ONE_STEP).harm
    print(f"{metric}: harm called in {harm[0.0]} of 60 without, {harm[1.0]} of 60 with")  # noqa: T201
    assert harm[0.0] <= 2
    assert harm[1.0] >= 57


def test_labels_count_when_they_are_mature_and_not_before() -> None:
    n = 400
    candidate = np.arange(n) % 2 == 0
    score = np.where(candidate, 0.95, 0.05)
    found = rows(np.arange(n), candidate, score=score, outcome=np.zeros(n), due=np.ones(n, bool))
    assert look(Guard("brier"), found, ONE_STEP).harm
    young = replace(found, outcome=np.full(n, np.nan), due=np.zeros(n, bool))
    assert not look(Guard("brier"), young, ONE_STEP).harm
    assert not look(Guard("brier"), young, ONE_STEP).missing
    never = look(Guard("brier"), replace(young, due=np.ones(n, bool)), ONE_STEP)
    assert (never.harm, never.missing) == (False, True)
    assert never.reason == "brier: candidate, 200 rows whose labels are mature, none with a label and a score"


def test_an_arm_that_lacks_half_its_values_is_missing_though_the_other_has_all() -> None:
    n = 4_000
    rng, candidate, due = np.random.default_rng(1), np.arange(n) % 2 == 0, np.ones(n, bool)
    outcome = (rng.random(n) < 0.3).astype(float)
    for mine in (candidate, ~candidate):
        for share, missing in ((1.0, True), (0.6, True), (0.4, False)):
            known = np.where(mine & (rng.random(n) < share), np.nan, outcome)
            assert (
                look(Guard("brier"), rows(np.arange(n), candidate, outcome=known, due=due), ONE_STEP).missing is missing
            )
            took = np.where(mine & (rng.random(n) < share), 0, 500)
            assert look(Guard("latency"), rows(np.arange(n), candidate, took=took), ONE_STEP).missing is missing
    one = np.where(np.arange(n) == 0, 1.0, np.nan)
    found = look(Guard("log_loss"), rows(np.arange(n), candidate, outcome=one, due=due), ONE_STEP)
    assert found.missing
    assert found.reason.startswith("log_loss: candidate, 2,000 rows whose labels are mature, 1 with a label")


def test_a_score_that_is_no_number_hides_no_harm() -> None:
    n = 4_000
    candidate, outcome = np.arange(n) % 2 == 0, (np.arange(n) % 3 == 0).astype(float)
    score = np.where(candidate ^ (outcome > 0), 0.9, 0.05)
    for broken in (np.nan, np.inf):
        found = rows(
            np.arange(n), candidate, score=np.where(np.arange(n) == 7, broken, score), outcome=outcome,
            due=np.ones(n, bool),
        )  # fmt: skip
        assert look(Guard("log_loss"), found, ONE_STEP).harm


def test_a_guard_whose_entities_are_too_few_lets_no_step_go_on() -> None:
    rng, policy = np.random.default_rng(6), Rollout(canary=Canary(steps=(0.25, 0.5, 1), at_most="2d"))
    entity = np.arange(400) % 20  # ten an arm, and twenty rows each
    few = rows(np.arange(400), entity % 2 == 0, entity, failed=(entity % 2 == 0) & (rng.random(400) < 0.6))
    many = rows(np.arange(400), entity % 2 == 0)
    champion = Champion(5, "d5", 40)
    for share in (0.25, 0.5):
        state = State("late", 7, "d7", 5, "d5", 40, 41, CANARY, 0, share, 0, 0, 1)
        for found, goes in ((few, False), (many, True)):
            looks = tuple(look(Guard(one), found, ONE_STEP) for one in ("errors", "decisions"))
            seen = Seen(champion, Route(1, 1), candidate=200, baseline=200, guards=looks)
            then = advance(state, seen, policy, 3 * HOUR)
            assert (then is not None) is goes
        after = advance(state, replace(seen, guards=(look(Guard("errors"), few, ONE_STEP),)), policy, 48 * HOUR)
        assert after is not None
        assert (after.cause, after.reason.split(": ", 2)[2]) == ("time", "errors: 0 counted an arm, and 20 are needed")
        # Labels may come later than steps take: only the last one waits for them.
        unlabelled = advance(state, replace(seen, guards=(look(Guard("brier"), many, ONE_STEP),)), policy, 3 * HOUR)
        assert (unlabelled is None) is (share == 0.5)


def test_times_that_nobody_took_are_missing_but_not_in_a_replay() -> None:
    found = rows(np.arange(200), np.arange(200) % 2 == 0, took=np.zeros(200, int))
    assert look(Guard("latency"), found, ONE_STEP).missing
    replayed = look(Guard("latency"), replace(found, timed=np.zeros(200, bool)), ONE_STEP)
    assert (replayed.missing, replayed.first, replayed.needed) == (False, 0, 0)
    assert replayed.reason == "latency: a replay takes no times, and none are compared"


def called(rng: np.random.Generator, share: float, slow: float, batches: int, load: int = 24) -> Rows:
    """Batches of about `load` rows: a call of the candidate for its share, and one of the champion for all the rest, of
    which the baseline is a part. A call takes 60 us, and 15 us a row."""
    beside, n = min(share, 1 - share), np.maximum(1, rng.poisson(load, batches))
    mine = rng.binomial(n, share)
    theirs = rng.binomial(n - mine, beside / (1 - share))
    size = np.stack([mine, n - mine], axis=1).ravel()
    took = (60 + 15 * size) * np.exp(rng.normal(0, 0.1, size.size)) * np.tile([slow, 1.0], batches)
    call = np.repeat(np.arange(2 * batches), np.stack([mine, theirs], axis=1).ravel())
    return rows(call // 2 * 1_000, call % 2 == 0, took=took[call].astype(int), batch=call, size=size[call])


@pytest.mark.parametrize(
    ("share", "slow", "harm"),
    [(0.01, 1, 0), (0.25, 1, 0), (0.5, 1, 0), (0.75, 1, 0), (0.9, 1, 0),
     (0.25, 2, 10), (0.25, 3, 10), (0.5, 2, 10), (0.75, 2, 10), (0.01, 12, 10)],
)  # fmt: skip
def test_times_are_compared_among_calls_of_one_size(share: float, slow: float, harm: int) -> None:
    rng, batches = np.random.default_rng(12), 12_000 if share == 0.01 else 3_000
    looks = [look(Guard("latency", margin=0.2), called(rng, share, slow, batches), ONE_STEP) for _ in range(10)]
    found = sum(one.harm for one in looks)
    print(f"share {share:.0%}, {slow} times as slow: found in {found} of 10; {looks[0].reason}")  # noqa: T201
    assert found == harm
    assert all(one.counted >= one.first for one in looks)


def test_the_lot_is_tested_on_entities() -> None:
    rng = np.random.default_rng(4)
    unfair = sum(bool(lot(sticky(rng), RAMP)) for _ in range(100))
    assert unfair == 0
    found = sticky(rng)
    kept = ~found.candidate | (found.entity % 3 > 0)  # a third of the candidate's are lost on the way
    columns = {name: getattr(found, name)[kept] for name in Rows.__slots__}
    assert "did not get the shares" in lot(Rows(**columns), RAMP)


def ramp(rng: np.random.Generator, steps: tuple[float, ...]) -> tuple[Rows, list[Step]]:
    """5,000 entities that come again and again, in cohorts as a route allocates them, 6,000 requests a step."""
    entities, requests = 5_000, 6_000
    bucket = rng.integers(0, BUCKETS, entities)
    parts: list[Part] = []
    at, mine, whose, made = [], [], [], []
    for place, share in enumerate(steps):
        n = round(share * BUCKETS)
        parts = allocate([Part("v2", 2, "d2", n), Part(BASELINE, 1, "d1", min(n, BUCKETS - n))], parts)
        arm = np.zeros(BUCKETS, int)
        for number, one in enumerate(parts, 1):
            for begin, end in one.spans:
                arm[begin:end] = number
        entity = rng.integers(0, entities, requests)
        kept = arm[bucket[entity]] > 0
        at.append(np.sort(rng.integers(place * 10 * HOUR, (place + 1) * 10 * HOUR, requests))[kept])
        mine.append(arm[bucket[entity[kept]]] == 1)
        whose.append(entity[kept])
        made.append(Step(place * 10 * HOUR, *(one.share for one in parts)))
    return rows(np.concatenate(at), np.concatenate(mine), np.concatenate(whose)), made


@pytest.mark.parametrize("steps", [(0.01, 0.05, 0.25), (0.05, 0.25, 0.75), (0.1, 0.3, 0.6), (0.1, 0.5, 0.9)])
def test_a_lot_is_fair_above_a_half_too(steps: tuple[float, ...]) -> None:
    rng = np.random.default_rng(6)
    unfair, found = 0, 0
    for _ in range(50):
        seen, made = ramp(rng, steps)
        unfair += bool(lot(seen, made))
        kept = ~seen.candidate | (seen.entity % 4 > 0)  # a fourth of the candidate's are lost on the way
        found += bool(lot(Rows(**{name: getattr(seen, name)[kept] for name in Rows.__slots__}), made))
    print(f"steps {steps}: called unfair in {unfair} of 50, found in {found}")  # noqa: T201
    assert unfair == 0
    assert found > 30
