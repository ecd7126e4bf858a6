"""Confidence sequences: how often all their intervals hold the truth, their formulas row by row, and their state."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.interval import Insufficient, NotEnough
from backstay.evaluation.sequential import MeanDifference, Moments, PairedDifference
from backstay.evaluation.sequential.means import BOLDEST, LEAST

Rng = np.random.Generator
Draw = Callable[[Rng, int, int], np.ndarray]
TIMES, LOOKS, LEVEL = 250, 30, 0.95
MOST = 0.05 + 2 * math.sqrt(0.05 * 0.95 / TIMES)


def wavering(rng: Rng, look: int, n: int) -> np.ndarray:
    """A share that comes and goes, the same for both arms."""
    return (rng.random(n) < 0.2 + 0.1 * math.sin(look / 4)).astype(float)


def latencies(rng: Rng, look: int, n: int) -> np.ndarray:
    """Milliseconds, a few of them long: a skewness of about 4."""
    return np.asarray(rng.lognormal(3.0, 0.8, n))


ARMS = [("wavering", wavering, (0.0, 1.0)), ("latencies", latencies, None)]


@pytest.mark.parametrize(("name", "draw", "bounds"), ARMS)
def test_all_the_intervals_of_two_arms_hold_no_difference(name: str, draw: Draw, bounds: tuple[float, float]) -> None:
    """The candidate's share goes from 5% to 25% to 50%."""
    missed = sum(_missed(np.random.default_rng(seed), draw, bounds) for seed in range(TIMES))
    assert missed / TIMES <= MOST, name


def _missed(rng: Rng, draw: Draw, bounds: tuple[float, float] | None) -> bool:
    sequence = MeanDifference(level=LEVEL, bounds=bounds)
    for look in range(LOOKS):
        n = (20, 100, 200)[look // 10]
        sequence = sequence.update(quick(draw(rng, look, n)), quick(draw(rng, look, 400 - n)))
        if sequence.reading().shown is not None:
            return True
    return False


def test_all_the_intervals_of_pairs_hold_the_truth() -> None:
    """Differences in [-1, 1] with the mean -0.1, by both kinds."""
    missed = {None: 0, (-1.0, 1.0): 0}
    for seed in range(TIMES):
        rng = np.random.default_rng(seed)
        blocks = [quick(2 * rng.beta(1.8, 2.2, 40) - 1) for _ in range(LOOKS)]
        for bounds in missed:
            sequence = PairedDifference(level=LEVEL, bounds=bounds)
            for block in blocks:
                sequence = sequence.update(block)
                told = sequence.reading(margin=-0.1)
                if told.shown is not None:
                    missed[bounds] += 1
                    break
    assert max(missed.values()) / TIMES <= MOST, missed


def test_a_difference_is_found_and_a_harmless_one_is_no_loss() -> None:
    rng = np.random.default_rng(1)
    for bounds in (None, (0.0, 1.0)):
        sequence = MeanDifference(bounds=bounds)
        for _ in range(30):
            sequence = sequence.update(quick(rng.beta(2, 2.4, 200)), quick(rng.beta(2, 2, 1_800)))
        assert sequence.reading(better="lower").shown is True
        assert sequence.reading(better="higher").shown is False
        assert sequence.reading(margin=-0.1).shown is True
        assert sequence.interval().estimate == pytest.approx(2 / 4.4 - 0.5, abs=0.01)


def test_the_estimate_is_not_moved_by_a_level_that_moves_with_the_shares() -> None:
    """Pooled, the candidate's mean is higher by 0.5: it got its requests when all were high."""
    sequence = MeanDifference()
    good, bad = [0.0, 0.2] * 50, [0.8, 1.0] * 50
    for _ in range(5):
        sequence = sequence.update(Moments.of(good[:20]), Moments.of(good)).update(
            Moments.of(bad), Moments.of(bad[:20])
        )
    assert sequence.interval().estimate == pytest.approx(0.0, abs=1e-12)


def test_empirical_bernstein_row_by_row() -> None:
    """Waudby-Smith and Ramdas 2023, theorem 2, on values in [0, 1], with blocks of one row."""
    values, alpha = np.random.default_rng(2).beta(2, 5, 60), 0.05
    sequence = PairedDifference(bounds=(0.0, 1.0))
    staked = total = penalty = spread = 0.0
    for i, value in enumerate(values):
        centre, variance = (0.5 + values[:i].sum()) / (i + 1), (0.25 + spread) / (i + 1)
        bet = min(math.sqrt(2 * math.log(2 / alpha) / (variance * (i + 1) * math.log(i + 2))), BOLDEST)
        staked, total = staked + bet, total + bet * value
        penalty += 4 * (value - centre) ** 2 * (-math.log(1 - bet) - bet) / 4
        spread += (value - centre) ** 2
        sequence = sequence.update(Moments.of([value]))
    reach = (math.log(2 / alpha) + penalty) / staked
    found = sequence.interval()
    assert found.estimate == pytest.approx(total / staked, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((max(total / staked - reach, 0), min(total / staked + reach, 1)))


def test_the_bounds_are_only_a_unit() -> None:
    blocks = [np.random.default_rng(seed).random(50) for seed in range(4)]
    plain, scaled = MeanDifference(bounds=(0.0, 1.0)), MeanDifference(bounds=(100.0, 300.0))
    for mine, theirs in (blocks[:2], blocks[2:]):
        plain = plain.update(Moments.of(mine), Moments.of(theirs))
        scaled = scaled.update(Moments.of(100 + 200 * mine), Moments.of(100 + 200 * theirs))
    one, two = plain.interval(), scaled.interval()
    assert [two.estimate, two.low, two.high] == pytest.approx([200 * one.estimate, 200 * one.low, 200 * one.high])


def test_the_asymptotic_one_is_the_mixture_of_the_paper() -> None:
    """Waudby-Smith and others 2024, the Gaussian mixture, with the variance that the walk has."""
    values, alpha = np.random.default_rng(4).normal(1.0, 2.0, 400), 0.05
    sequence = PairedDifference(narrowest=400.0)
    for part in np.split(values, 4):
        sequence = sequence.update(Moments.of(part))
    first = values[:100]
    squares = ((first - first.mean()) ** 2).sum() * 100 / 99
    squares += sum(((values[i : i + 100] - values[:i].mean()) ** 2).sum() for i in (100, 200, 300))
    rho = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / 400
    reach = math.sqrt(squares / 400 * 2 * (400 * rho + 1) / (400**2 * rho) * math.log(math.sqrt(400 * rho + 1) / alpha))
    found = sequence.interval()
    assert found.estimate == pytest.approx(values.mean(), rel=1e-9)
    assert found.high - found.estimate == pytest.approx(reach, rel=1e-9)


def test_it_goes_on_from_a_record_as_if_it_had_never_stopped() -> None:
    rng = np.random.default_rng(6)
    blocks = [(Moments.of(rng.random(60)), Moments.of(rng.random(90))) for _ in range(6)]
    for bounds in (None, (0.0, 1.0)):
        whole = half = MeanDifference(level=0.9, bounds=bounds, narrowest=500.0)
        for block in blocks:
            whole = whole.update(*block)
            half = MeanDifference.from_dict(json.loads(json.dumps(half.as_dict(), allow_nan=False))).update(*block)
        assert half == whole
        pairs = PairedDifference(bounds=bounds).update(blocks[0][0])
        assert PairedDifference.from_dict(json.loads(json.dumps(pairs.as_dict()))) == pairs


def test_what_can_not_be_known_has_no_interval() -> None:
    few = Moments.of([0.1, 0.4] * 20)
    for sequence, word in (
        (MeanDifference(), "no block"),
        (MeanDifference(bounds=(0.0, 1.0)).update(few, Moments()), "no block"),
        (PairedDifference(bounds=(0.0, 1.0)).update(Moments()), "no block"),
        (MeanDifference().update(few, few), "40 rows"),
        (PairedDifference().update(Moments.of([3.0] * LEAST)), "every value is the same"),
    ):
        with pytest.raises(NotEnough, match=word):
            sequence.interval()
        told = sequence.reading()
        assert told.shown is None
        assert isinstance(told.gain, Insufficient)
        assert "insufficient" in sequence.as_dict()["interval"]
    assert MeanDifference().update(few, Moments()).alone == 1


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in ({"level": 1.0}, {"bounds": (1.0, 0.0)}, {"bounds": (0.0, math.inf)}, {"narrowest": 0.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            MeanDifference(**wrong)
    one = Moments.of([0.5])
    for block in (Moments.of([0.5, 1.5]), Moments.of([-1.0, 2.0]), Moments(10, 0.5, 9.0)):
        with pytest.raises(InputError, match="inside the bounds"):
            MeanDifference(bounds=(0.0, 1.0)).update(block, one)
    with pytest.raises(InputError, match="better"):
        MeanDifference().reading(better="up")
    with pytest.raises(InputError, match="not finite"):
        Moments.of([1.0, math.nan])
    for moments in ((-1, 0.0, 0.0), (1, math.nan, 0.0), (1, 0.0, -1.0)):
        with pytest.raises(InputError, match="moments of nothing"):
            Moments(*moments)


def test_moments_are_those_of_all_values() -> None:
    values = np.random.default_rng(7).normal(1e6, 1.0, 300)
    parts = Moments()
    for part in np.split(values, 3):
        parts = parts.plus(Moments.of(part))
    assert (parts.n, parts.mean) == (300, pytest.approx(values.mean(), rel=1e-12))
    assert parts.squares == pytest.approx(300 * values.var(), rel=1e-9)
    assert parts.about(1e6) == pytest.approx(((values - 1e6) ** 2).sum(), rel=1e-9)


def quick(values: np.ndarray) -> Moments:
    return Moments(values.size, float(values.mean()), float(values.var()) * values.size)
