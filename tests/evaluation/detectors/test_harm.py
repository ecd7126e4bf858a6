"""The harm detector: how long until it cries for nothing, how soon it finds harm, and what it does at the edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.detectors import HarmDetector
from backstay.evaluation.interval import Interval, NotEnough

DAY = 86_400_000_000


def days(detector: HarmDetector, random: np.random.Generator, rates: ArrayLike, rows: int = 100) -> HarmDetector:
    """The detector after so many days of errors at these rates, or when it alarms."""
    first = 0 if detector.at is None else detector.at // DAY + 1
    for number, rate in enumerate(np.asarray(rates, np.float64), first):
        detector = detector.update(random.random(rows) < rate, at=number * DAY)
        if detector.alarm:
            break
    return detector


def test_without_harm_a_year_of_daily_looks_alarms_no_more_often_than_promised() -> None:
    alarms = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        alarms += days(HarmDetector(0.1, level=0.005), random, np.full(200, 0.1)).alarm
    # at most one alarm in 200 looks on average: well under half of the runs of 200 where the bets are fair
    assert alarms <= 8


def test_harm_above_the_margin_is_found_in_days_and_dated() -> None:
    found = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        detector = days(HarmDetector(0.1, 0.01), random, [0.1] * 60 + [0.2] * 30, rows=200)
        assert detector.alarm
        assert detector.since is not None
        assert detector.alarmed_at is not None
        found.append((detector.alarmed_at // DAY - 60, detector.since // DAY - 60))
    delays, starts = np.array(found).T
    assert (delays >= 0).all()
    assert np.median(delays) <= 3
    assert np.abs(np.median(starts)) <= 1


def test_what_is_within_the_margin_is_no_harm() -> None:
    random = np.random.default_rng(0)
    assert not days(HarmDetector(0.1, 0.05), random, np.full(300, 0.13), rows=500).alarm


def test_a_harm_that_ends_is_seen_to_end() -> None:
    random = np.random.default_rng(1)
    detector = days(HarmDetector(0.1, 0.02), random, [0.1] * 10 + [0.4] * 50)
    assert detector.alarm
    for number in range(detector.blocks, detector.blocks + 40):
        detector = detector.update(random.random(100) < 0.1, at=number * DAY)
    assert not detector.alarm
    assert detector.since is None


def test_rows_of_one_entity_count_as_one() -> None:
    errors, entity = np.repeat([1.0, 0.0, 0.0, 0.0], 50), np.repeat([7, 8, 9, 10], 50)
    alone = HarmDetector(0.1).update([1.0, 0.0, 0.0, 0.0], at=0)
    assert HarmDetector(0.1).update(errors, at=0, clusters=entity).value == pytest.approx(alone.value)
    assert HarmDetector(0.1).update(errors, at=0).value > 100 * alone.value


def test_days_that_differ_are_borne_by_the_design_effect() -> None:
    random = np.random.default_rng(3)

    def shaken(count: int) -> tuple[np.ndarray, np.ndarray]:
        rates = 0.1 * np.exp(0.3 * random.standard_normal(count) - 0.045)
        return (random.random((count, 400)) < rates[:, None]).astype(float), np.repeat(np.arange(count), 400)

    errors, at = shaken(100)
    learned = HarmDetector.learned(errors.ravel(), at, margin=0.005)
    assert 3.0 < learned.design < 12.0
    borne, plain, cried = HarmDetector(0.1, design=learned.design), HarmDetector(0.1), False
    for number, one in enumerate(shaken(200)[0]):
        borne, plain = borne.update(one, at=number), plain.update(one, at=number)
        assert not borne.alarm
        cried = cried or plain.alarm
    assert cried  # days taken for so many independent rows


def test_a_baseline_of_few_days_cries_no_more_and_tells_how_little_it_knows() -> None:
    """Two days are valid and blind: what is not known about the baseline is no harm, and `unsure` is how much."""
    seen: dict[int, list[float]] = {}
    found: dict[int, int] = {}
    for count in (2, 7, 28):
        seen[count], found[count] = [], 0
        for seed in range(20):
            random = np.random.default_rng(seed)
            errors = random.random(count * 300) < 0.1
            learned = HarmDetector.learned(errors, np.repeat(np.arange(count), 300), 0.01)
            assert learned.unsure == pytest.approx(learned.baseline - errors.mean())
            seen[count].append(learned.unsure)
            assert not days(learned, random, np.full(60, 0.1), rows=300).alarm
            found[count] += days(learned, random, np.full(60, 0.16), rows=300).alarm
    assert np.median(seen[2]) > 0.04 > np.median(seen[7]) > np.median(seen[28])
    assert found[2] < 10 < 17 <= found[28]


def test_its_state_is_plain_and_goes_on_bit_for_bit() -> None:
    random = np.random.default_rng(5)
    detector = days(HarmDetector(0.1, 0.01), random, np.full(5, 0.1))
    for one in (HarmDetector(0.1), HarmDetector(0.1, unsure=0.02), detector, days(detector, random, np.full(5, 0.9))):
        kept = HarmDetector.from_dict(json.loads(json.dumps(one.as_dict(), allow_nan=False)))
        assert kept == one
        later = one.at + DAY if one.at is not None else 0
        assert kept.update([1.0, 0.0], at=later) == one.update([1.0, 0.0], at=later)


def test_losses_of_other_bounds_are_scaled_and_cut() -> None:
    plain = HarmDetector(0.25, 0.05).update([0.2, 1.0, 1.0], at=1)
    wide = HarmDetector(1.0, 0.2, bounds=(0.0, 4.0)).update([0.8, 4.0, 900.0], at=1)
    assert wide.value == pytest.approx(plain.value)
    assert wide.mean == pytest.approx(4.0 * 2.2 / 3)


def test_edges() -> None:
    empty = HarmDetector(0.1).update([], at=5)
    assert (empty.at, empty.blocks, empty.value, empty.mean) == (5, 0, 0.0, None)
    assert not HarmDetector(1.0, 0.5).update(np.ones(1000), at=0).alarm  # nothing is harm
    certain = HarmDetector(0.0).update([1.0], at=0)  # nothing is put up with
    assert certain.value > 1.0
    with pytest.raises(InputError, match="not later"):
        empty.update([0.0], at=5)
    with pytest.raises(InputError, match="NaN"):
        empty.update([math.nan], at=6)
    with pytest.raises(InputError, match="clusters for"):
        empty.update([0.0], at=6, clusters=[1, 2])
    for wrong in ({"baseline": 2.0}, {"margin": -0.1}, {"level": 1.0}, {"design": 0.5}, {"bounds": (1.0, 0.0)}):
        with pytest.raises(InputError):
            HarmDetector(**{"baseline": 0.1, **wrong})  # type: ignore[arg-type]
    with pytest.raises(NotEnough):
        HarmDetector.learned([0.0, 1.0], [1, 1])
    assert HarmDetector.against(Interval(0.9, 0.8, 1.2, level=0.95, n=9, clusters=9)).baseline == 1.0


def test_days_that_differ_are_borne_whatever_their_number_of_rows() -> None:
    """Learned from days of 200 rows, and looked at with 5,000 a day: their means vary by days, and not by rows."""
    alarms, delays = 0, []
    for seed in range(8):
        random = np.random.default_rng(seed)

        def day(rows: int, rate: float = 0.15, random: np.random.Generator = random) -> np.ndarray:
            return (random.random(rows) < rate + random.normal(0, 0.03)).astype(float)

        before = np.concatenate([day(200) for _ in range(28)])
        learned = HarmDetector.learned(before, np.repeat(np.arange(28), 200), 0.01)
        assert learned.rho is not None
        assert 0.002 < learned.rho < 0.04  # 0.03² / (0.15 · 0.85) is 0.007
        detector = learned
        for number in range(120):
            detector = detector.update(day(5_000), at=number)
        alarms += detector.alarm
        for number in range(120, 180):
            detector = detector.update(day(5_000, 0.3), at=number)
            if detector.alarm:
                delays.append(number - 120)
                break
    assert alarms <= 1
    assert len(delays) == 8
    assert np.median(delays) <= 5
