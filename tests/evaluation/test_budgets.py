"""Burn rates and budgets against cases computed by hand, and the alarms of the rule."""

from __future__ import annotations

import pytest

from backstay.core.times import DAY, HOUR, MINUTE, instant
from backstay.definitions import Objective
from backstay.evaluation.budgets import Budget, Kept, first, keeping
from backstay.storage.counts import Counted

NOW = instant("2026-11-25T12:00:00Z")
PROMISE = Objective(latency="50ms", share=0.99, availability=0.999, over="30d", why="the checkout waits for it")


def row(ago: int, requests: int, failed: int = 0, slow: int = 0, model: str = "m") -> Counted:
    return Counted(NOW - ago, model, requests, failed, slow)


def kept(*rows: Counted, objective: Objective | None = PROMISE, as_of: int = NOW) -> Kept:
    (one,) = keeping({"m": objective}, rows, as_of)
    return one


def budgets(*rows: Counted) -> tuple[Budget, Budget]:
    answered, fast = kept(*rows).budgets
    return answered, fast


def windows(budget: Budget) -> dict[int, tuple[int, int]]:
    return {one.over: (one.requests, one.bad) for one in budget.windows}


def rings(budget: Budget) -> list[bool | None]:
    return [one.rings for one in budget.alarms]


def test_a_burn_rate_by_hand() -> None:
    # 3 of 1,000 failed where 1 of 1,000 may: three times too fast. Of 997 answers 9.97 may be slow
    answered, fast = budgets(row(10 * MINUTE, 1_000, 3, 5))
    (hour, *_, month) = answered.windows
    assert (hour.requests, hour.bad, hour.share) == (1_000, 3, 0.997)
    assert hour.burn == pytest.approx(3.0)
    assert month == hour.__class__(30 * DAY, 1_000, 3, NOW - 10 * MINUTE, 0.997, month.burn)
    assert answered.left == pytest.approx(-2.0)
    assert (fast.windows[0].requests, fast.windows[0].bad) == (997, 5)
    assert fast.windows[0].burn == pytest.approx(5 / 997 / 0.01)
    assert fast.left == pytest.approx(1 - 5 / 997 / 0.01)


def test_a_window_takes_the_minutes_that_begin_in_it() -> None:
    answered, _ = budgets(
        row(0, 1_000_000), row(MINUTE, 1), row(HOUR, 2), row(HOUR + MINUTE, 4), row(6 * HOUR, 8), row(6 * HOUR + 1, 16),
        row(3 * DAY, 32), row(3 * DAY + 1, 64), row(30 * DAY, 128), row(30 * DAY + 1, 256),
    )  # fmt: skip
    assert windows(answered) == {HOUR: (3, 0), 6 * HOUR: (15, 0), 3 * DAY: (63, 0), 30 * DAY: (255, 0)}


def test_silence_is_not_perfect() -> None:
    one = kept()
    assert one.line == "99% within 50ms, 99.9% answered, over 30d: no requests"
    for budget in one.budgets:
        assert budget.left is None
        assert all((part.share, part.burn, part.since) == (None, None, None) for part in budget.windows)
        assert rings(budget) == [None, None, None]
    assert one.budgets[0].alarms[0].text == "page: no requests in 1h and 5m"
    answered, fast = budgets(row(20 * MINUTE, 10, 10))
    assert rings(answered)[0] is None, "the short window has none: whether it goes on is not known"
    assert answered.alarms[0].text == "page: no requests in 5m"
    assert fast.windows[0].share is None, "nobody was answered, neither fast nor slowly"


def test_which_alarm_rings() -> None:
    # 0.1% may fail. 2% for a quarter of an hour is 20x: over 1h and 5m more than 14.4 if the hour is all of it.
    assert rings(budgets(row(MINUTE, 10_000, 200))[0]) == [True, True, True]
    # ... but it is over: the short windows are clean
    assert rings(budgets(row(40 * MINUTE, 10_000, 200), row(MINUTE, 100_000))[0]) == [False, False, True]
    # 0.7% over six hours and still going: 7x is no fire, and more than 6
    assert rings(budgets(*(row(at * MINUTE, 1_000, 7) for at in range(1, 360)))[0]) == [False, True, True]
    # 0.1% over three days: exactly as fast as allowed, which is where a ticket begins
    assert rings(budgets(*(row(at * MINUTE, 1_000, 1) for at in range(1, 4320)))[0]) == [False, False, True]
    assert rings(budgets(*(row(at * MINUTE, 2_000, 1) for at in range(1, 4320)))[0]) == [False, False, False]


def test_slow_answers_ring_as_failures_do() -> None:
    one = kept(row(MINUTE, 1_000, 0, 200))
    assert [budget.promise for budget in one.budgets if budget.ringing] == ["fast"]
    assert one.ringing[0].text == ("page: burns 20x and 20x over 1h and 5m, alarm at 14.4x (200 bad of 1,000)")
    assert one.line.endswith("budget left: answered 100%, fast -1900%; rings: page, ticket")


def test_few_requests_are_told_as_few() -> None:
    answered, _ = budgets(row(MINUTE, 3, 1))
    alarm = answered.alarms[0]
    assert alarm.rings
    assert alarm.alone
    assert alarm.text.endswith("(1 bad of 3; so few requests that one bad one alone is enough)")
    # 14.4 x 0.1% is one in 69.4: from 70 requests on one alone is not enough
    assert budgets(row(MINUTE, 69, 1))[0].alarms[0].alone
    assert not budgets(row(MINUTE, 70, 1))[0].alarms[0].alone
    assert not budgets(row(MINUTE, 70, 1))[0].alarms[0].rings


def test_the_objective_has_a_window_of_its_own() -> None:
    promise = Objective(latency="50ms", availability=0.9, over="2h", why="w")
    (answered, _) = kept(row(HOUR + MINUTE, 10, 1), row(3 * HOUR, 10, 10), objective=promise).budgets
    assert [one.over for one in answered.windows] == [HOUR, 6 * HOUR, 3 * DAY, 2 * HOUR]
    assert answered.windows[-1].bad == 1
    assert answered.left == pytest.approx(0.0)
    same = Objective(latency="50ms", over="3d", why="w")
    assert [one.over for one in kept(objective=same).budgets[0].windows] == [HOUR, 6 * HOUR, 3 * DAY]


def test_processes_and_models_are_added_up_and_kept_apart() -> None:
    rows = [row(MINUTE, 10, 1), row(MINUTE, 5, 1), row(MINUTE, 100, 100, model="other"), row(MINUTE, 9, model="gone")]
    one, other = keeping({"m": PROMISE, "other": None}, rows, NOW)
    assert one.requests == 15
    assert other.line.startswith("none declared")
    assert other.as_dict()["objective"] is None


def test_time_is_a_parameter() -> None:
    rows = [row(0, 10, 1), row(DAY, 20, 2)]
    assert kept(*rows).requests == 20
    assert kept(*rows, as_of=NOW + 1).requests == 30
    assert kept(*rows, as_of=NOW - DAY).requests == 0
    assert first({"m": PROMISE, "n": None}, NOW) == NOW - 30 * DAY
    assert first({"m": Objective(latency="1s", over="1h", why="w")}, NOW) == NOW - 3 * DAY


def test_as_data() -> None:
    told = kept(row(MINUTE, 10, 1)).as_dict()
    assert told["objective"] == {
        "latency": "50ms", "share": 0.99, "availability": 0.999, "over": "30d", "why": "the checkout waits for it",
        "place": PROMISE.place,
    }  # fmt: skip
    assert told["budgets"][0]["windows"][0]["since"] == "2026-11-25T11:59:00Z"
    assert len(told["ringing"]) == 3
