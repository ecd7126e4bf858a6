"""What is wrong with an input, from its values alone."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.core.times import DAY, HOUR
from backstay.investigation.inputs import differing, lagging, rescaled_since
from backstay.investigation.mixtures import mixed_units, off_by_hours
from backstay.investigation.verdicts import Cause

RNG = np.random.default_rng(0)
AMOUNT = np.round(np.exp(RNG.normal(3.0, 0.6, 2000)), 2)
TIME = (RNG.integers(0, 14 * 24, 2000) * HOUR + RNG.integers(0, HOUR, 2000)).astype(float)


@pytest.mark.parametrize(
    ("wrong", "cause", "word"),
    [
        (lambda x: x * 100, Cause.UNITS, "100 times"),
        (lambda x: x / 60, Cause.UNITS, "0.01667"),
        (lambda x: x * 9 / 5 + 32, Cause.UNITS, "plus 32"),
        (lambda x: x * 0 - 1, Cause.DEFAULT, "was -1"),
        (lambda x: x * np.nan, Cause.DEFAULT, "null"),
        (lambda x: RNG.permutation(x), None, "differs"),
    ],
)
def test_row_by_row_the_way_it_differs_is_named(wrong, cause: Cause | None, word: str) -> None:  # type: ignore[no-untyped-def]
    served = AMOUNT.copy()
    served[1000:] = wrong(AMOUNT[1000:])
    found = differing("amount", served, AMOUNT)
    assert found is not None
    assert found.cause is cause
    assert word in found.why
    assert not found.rows[:1000].any()


def test_times_are_off_by_whole_hours() -> None:
    found = differing("due", TIME + 8 * HOUR, TIME, time=True)
    assert found is not None
    assert (found.cause, found.evidence["hours"]) == (Cause.TIME_ZONE, 8.0)
    clock = TIME // HOUR % 24
    found = differing("hour", (clock - 5) % 24, clock)
    assert found is not None
    assert (found.cause, found.evidence["hours"]) == (Cause.TIME_ZONE, -5.0)
    other = differing("due", TIME + RNG.integers(0, 8 * HOUR, 2000), TIME, time=True)
    assert other is not None
    assert other.cause is None


def test_what_is_the_same_differs_in_nothing() -> None:
    assert differing("amount", AMOUNT, AMOUNT) is None
    few = AMOUNT.copy()
    few[:3] = 0.0
    found = differing("amount", few, AMOUNT)
    assert found is not None
    assert found.cause is None


@pytest.mark.parametrize("begin", [0, 700, 1400])
def test_a_distribution_that_is_rescaled_from_a_moment_on(begin: int) -> None:
    at = np.arange(2000) * HOUR
    values = np.exp(RNG.normal(3.0, 0.6, 2000))
    values[begin:] *= 60
    found = rescaled_since("wait", AMOUNT, at, values)
    assert found is not None
    assert found.ratio == pytest.approx(1 / 60, rel=0.1)
    assert abs(found.since // HOUR - begin) <= 20


def test_a_season_is_no_unit() -> None:
    at = np.arange(2000) * HOUR
    assert rescaled_since("wait", AMOUNT, at, np.exp(RNG.normal(3.2, 0.75, 2000))) is None


def _events(lag: float, spread: float, many: int = 500, first: float = 0.0, hours: int = 0) -> tuple:  # type: ignore[type-arg]
    """Events by day (busier in the evening), and when they became known."""
    clock = RNG.choice(24, many, p=(w := 1 + 0.9 * np.cos(2 * np.pi * (np.arange(24) - 18) / 24)) / w.sum())
    happened = ((first + np.sort(RNG.integers(0, 14, many))) * DAY + clock * HOUR).astype(np.int64)
    known = happened + (lag * HOUR + RNG.normal(0, spread * HOUR, many)).astype(np.int64)
    return happened + hours * HOUR, known


def test_events_that_lag_more_than_before() -> None:
    before = _events(0.1, 0.01)
    assert lagging(before, _events(0.1, 0.01, first=20)) is None
    found = lagging(before, _events(30.4, 0.2, first=20))
    assert found is not None
    assert found.always
    assert found.hours == 0
    assert found.seconds == pytest.approx(30.3 * 3600, rel=0.02)


def test_events_that_lag_from_a_moment_on() -> None:
    first, later = _events(0.1, 0.01, first=20), _events(30.4, 0.2, first=34)
    found = lagging(_events(0.1, 0.01), tuple(np.concatenate(pair) for pair in zip(first, later, strict=True)))  # type: ignore[arg-type]
    assert found is not None
    assert not found.always
    assert abs(found.since - 34 * DAY) <= DAY


def test_events_that_are_stamped_in_another_zone() -> None:
    before = _events(0.1, 0.01)
    east = lagging(before, _events(0.1, 0.01, first=20, hours=5))  # known before it happened
    west = lagging(before, _events(0.1, 0.01, first=20, hours=-7))  # at another time of day
    assert east is not None
    assert west is not None
    assert (east.hours, west.hours) == (-5, 7)
    late = lagging(before, _events(7.1, 0.01, first=20))  # at the same time of day: they are late
    assert late is not None
    assert late.hours == 0


def test_nothing_is_told_of_a_few() -> None:
    few = _events(0.1, 0.01, many=10)
    assert lagging(few, _events(30.0, 0.1)) is None


def test_a_share_that_sends_another_unit_is_picked_out() -> None:
    now = np.exp(RNG.normal(3.0, 0.6, 3000))
    theirs = RNG.random(3000) < 0.3
    found = mixed_units(AMOUNT, np.where(theirs, now * 60, now))
    assert found is not None
    assert found.factor == pytest.approx(60, rel=0.1)
    assert np.mean(found.rows == theirs) > 0.98


@pytest.mark.parametrize("now", [lambda n: n * 1.08, lambda n: np.concatenate([n, n * 1.2]), lambda n: n[:100]])
def test_what_is_dearer_or_is_little_is_no_unit(now) -> None:  # type: ignore[no-untyped-def]
    assert mixed_units(AMOUNT, now(np.exp(RNG.normal(3.0, 0.6, 2000)))) is None


def test_a_share_that_sends_another_zone_is_picked_out() -> None:
    theirs = RNG.random(1000) < 0.4
    told = off_by_hours(np.zeros(500), np.where(theirs, -7.0 * HOUR, 0.0))
    assert told is not None
    assert told[0] == -7
    assert (told[1] == theirs).all()
    assert off_by_hours(np.zeros(500), RNG.integers(0, 9, 1000) * HOUR * 0.37) is None
    assert off_by_hours(RNG.integers(0, 9, 500) * float(HOUR), np.zeros(1000)) is None  # at no fixed distance before
    assert off_by_hours(np.zeros(5), np.zeros(5)) is None
