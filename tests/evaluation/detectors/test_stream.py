"""The change detector: how long until it cries for nothing, how soon it finds a change, and its state."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.detectors import ChangeDetector


def run(detector: ChangeDetector, losses: np.ndarray, block: int = 20) -> ChangeDetector:
    """The detector after these, or at its first alarm."""
    for start in range(0, losses.size, block):
        detector = detector.update(losses[start : start + block])
        if detector.alarm:
            break
    return detector


def stream(seed: int, *parts: tuple[int, float]) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.concatenate([random.random(count) < rate for count, rate in parts]).astype(float)


def test_where_nothing_changes_it_cries_no_more_often_than_promised() -> None:
    found = [run(ChangeDetector(level=1e-3, side="both"), stream(seed, (500, 0.2))).alarm for seed in range(24)]
    assert sum(found) <= 14  # one in 1,000 rows on average: at most half of the runs, and this leaves room for luck
    assert not any(run(ChangeDetector(), stream(seed, (1_500, 0.1))).alarm for seed in range(6))


@pytest.mark.parametrize(("before", "after", "within"), [(0.1, 0.3, 150), (0.05, 0.2, 150), (0.3, 0.6, 100)])
def test_a_change_is_found_and_dated(before: float, after: float, within: int) -> None:
    delays, gaps = [], []
    for seed in range(6):
        found = run(ChangeDetector(), stream(seed, (1_000, before), (600, after)), block=10)
        assert found.alarm
        assert found.since is not None
        delays.append(found.seen - 1_000)
        gaps.append(abs(found.since - 1_000))
    assert min(delays) > 0
    assert np.median(delays) < within
    assert np.median(gaps) < 40


def test_up_is_deaf_to_what_gets_better_and_both_is_not() -> None:
    better = stream(1, (1_000, 0.3), (500, 0.05))
    assert not run(ChangeDetector(side="up"), better).alarm
    assert run(ChangeDetector(side="both"), better).alarm


def test_after_an_alarm_what_came_since_is_the_baseline() -> None:
    found = run(ChangeDetector(), stream(2, (1_000, 0.1), (600, 0.4)))
    later = run(found.update(stream(3, (20, 0.4))), stream(4, (800, 0.4)))
    assert not later.alarm
    assert later.rows == later.seen - found.since
    assert later.total / later.rows == pytest.approx(0.4, abs=0.06)
    assert run(later, stream(5, (400, 0.8))).alarm


def test_rows_that_lean_on_each_other_are_borne_by_the_design_effect() -> None:
    cried = [0, 0]
    for seed in range(8):
        leaning = np.repeat(stream(seed, (200, 0.2)), 5)
        for place, design in enumerate((1.0, 5.0)):
            cried[place] += run(ChangeDetector(level=1e-4, design=design), leaning).alarm
    assert cried[1] <= 2
    assert cried[0] >= 4


def test_its_state_stays_small_and_goes_on_where_it_left_off() -> None:
    detector = ChangeDetector(side="both")
    for start in range(0, 12_000, 20):
        detector = detector.update((np.arange(start, start + 20) % 7 == 0).astype(float))
        assert not detector.alarm
    assert len(detector.begins) < 24 * 12
    assert sum(worth for _, _, worth in detector.begins) == pytest.approx(12_000, rel=0.05)
    for one in (ChangeDetector(), detector, run(detector, np.ones(400))):
        kept = ChangeDetector.from_dict(json.loads(json.dumps(one.as_dict(), allow_nan=False)))
        assert kept == one
        assert kept.update([1.0, 0.0]) == one.update([1.0, 0.0])


def test_edges() -> None:
    assert ChangeDetector().update([]) == ChangeDetector()
    assert not run(ChangeDetector(side="both"), np.zeros(3_000)).alarm
    assert run(ChangeDetector(), np.concatenate([np.zeros(300), np.ones(40)])).alarm
    fractions = np.clip(np.random.default_rng(0).normal(0.3, 0.1, 2_000), 0, 1)
    assert not run(ChangeDetector(side="both"), fractions).alarm
    assert run(ChangeDetector(), np.concatenate([fractions, np.clip(fractions + 0.3, 0, 1)])).alarm
    for wrong in ({"level": 0.0}, {"side": "down"}, {"design": 0.0}):
        with pytest.raises(InputError):
            ChangeDetector(**wrong)  # type: ignore[arg-type]
    for losses in ([1.5], [np.nan]):
        with pytest.raises(InputError, match="not in"):
            ChangeDetector().update(losses)
