"""Off-policy estimates: by hand, against the other policy as if it had been in force, and how often they are right."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backstay.core.errors import InputError
from backstay.evaluation.counterfactual import LEAST, OffPolicy, difference, doubly_robust, ips, snips
from backstay.evaluation.interval import Insufficient, Interval

Floats = NDArray[np.float64]
TIMES, ENTITIES, EACH, FLIP = 400, 500, 4, 0.1
ROWS = ENTITIES * EACH
MC = 2 * np.sqrt(0.05 * 0.95 / TIMES)


def _chance(x: Floats, decision: NDArray[np.bool_]) -> Floats:
    """How likely the reward 1 is, by score and decision."""
    return np.asarray(np.where(decision, 0.15 + 0.5 * x, 0.55 - 0.3 * x))


def _drawn(rng: np.random.Generator, rows: int, threshold: float, flip: float) -> tuple[Floats, ...]:
    """Scores, decisions, their propensities, and rewards that entities' rows share a part of."""
    x, flips = rng.random(rows), rng.random(rows) < flip
    entity = np.repeat(rng.normal(0, 0.12, -(-rows // EACH)), EACH)[:rows]
    decision = (x >= threshold) ^ flips
    reward = rng.random(rows) < np.clip(_chance(x, decision) + entity, 0, 1)
    return x, decision, np.where(flips, flip, 1 - flip), reward.astype(float)


@pytest.fixture(scope="module")
def truth() -> float:
    """What the policy with the threshold 0.3 really gets, in two million rows in which it is in force."""
    return float(_drawn(np.random.default_rng(1), 2_000_000, 0.3, 0.0)[3].mean())


def _estimates(seed: int) -> dict[str, OffPolicy]:
    x, decision, propensity, reward = _drawn(np.random.default_rng(seed), ROWS, 0.5, FLIP)
    wanted = x >= 0.3
    target, entity = (decision == wanted).astype(float), np.repeat(np.arange(ENTITIES), EACH)
    # A reward model that is wrong: it knows nothing of the slope.
    said, meant = (np.where(one, 0.4, 0.4 - 0.1 * x) for one in (decision, wanted))
    logged = (reward, propensity, target)
    return {
        "ips": ips(*logged, clusters=entity),
        "snips": snips(*logged, clusters=entity),
        "dr": doubly_robust(*logged, predicted=said, expected=meant, clusters=entity),
        "ips, rows": ips(*logged),
        "clipped": ips(*logged, clusters=entity, clip=4.0),
        "agreeing": ips(reward[target == 1], np.ones(int(target.sum())), np.ones(int(target.sum()))),
    }


def test_estimates_are_unbiased_and_their_intervals_cover_and_a_plain_mean_is_and_does_not(truth: float) -> None:
    found: dict[str, list[Interval]] = {}
    bounds = []
    for seed in range(TIMES):
        told = _estimates(seed + 100)
        bounds.append(told["clipped"].bias)
        for name, one in told.items():
            assert isinstance(one.value, Interval)
            found.setdefault(name, []).append(one.value)
    bias, error, covered, width = {}, {}, {}, {}
    for name, some in found.items():
        values = np.array([one.estimate for one in some])
        bias[name], error[name] = values.mean() - truth, values.std() / np.sqrt(TIMES)
        covered[name] = np.mean([one.low <= truth <= one.high for one in some])
        width[name] = np.mean([one.high - one.low for one in some])
        print(  # noqa: T201
            f"{name:10} bias {bias[name]:+.4f} ± {error[name]:.4f} covers {covered[name]:.1%} width {width[name]:.3f}"
        )
    for name in ("ips", "snips", "dr"):
        assert abs(bias[name]) < 3 * error[name] + 1e-3, name  # SNIPS is so only in the limit
        assert covered[name] >= 0.95 - MC - 0.005, name
    assert width["dr"] < width["snips"] < width["ips"]
    assert abs(bias["agreeing"]) > 10 * error["agreeing"]  # rows that agree with the other policy are no sample of it
    assert covered["agreeing"] < 0.6
    assert 3 * error["clipped"] < abs(bias["clipped"]) <= np.mean(bounds)  # what it says of its bias holds
    assert width["clipped"] < width["ips"]


def test_intervals_count_entities_where_rows_lean_on_each_other() -> None:
    rng = np.random.default_rng(2)
    held, truth = {"entities": 0, "rows": 0}, 0.5
    for _ in range(300):
        entity = np.repeat(np.arange(60), 10)
        reward = np.clip(np.repeat(rng.normal(truth, 0.2, 60), 10) + rng.normal(0, 0.05, 600), -9, 9)
        propensity, target = np.full(600, 0.5), (rng.random(600) < 0.5).astype(float)
        for name, clusters in (("entities", entity), ("rows", None)):
            value = snips(reward, propensity, target, clusters=clusters).value
            assert isinstance(value, Interval)
            held[name] += value.low <= truth <= value.high
    print({name: f"{hits / 300:.1%}" for name, hits in held.items()})  # noqa: T201
    assert held["entities"] / 300 >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 300)
    assert held["rows"] / 300 < 0.7


def test_by_hand() -> None:
    reward, propensity, target = [2.0, 0.0, 4.0, 1.0] * 10, [0.5, 0.25, 0.5, 0.8] * 10, [1.0, 0.5, 0.0, 0.4] * 10
    # weights 2, 2, 0, 0.5
    plain, normal = ips(reward, propensity, target), snips(reward, propensity, target)
    assert isinstance(plain.value, Interval)
    assert isinstance(normal.value, Interval)
    assert plain.value.estimate == pytest.approx((4 + 0 + 0 + 0.5) / 4)
    assert normal.value.estimate == pytest.approx(4.5 / 4.5)
    assert plain.overlap.effective == pytest.approx(10 * 4.5**2 / 8.25)
    assert plain.overlap.largest == pytest.approx(2 / 45)
    assert plain.overlap.mean_weight == pytest.approx(4.5 / 4)
    robust = doubly_robust(reward, propensity, target, predicted=[1.0] * 40, expected=[0.5] * 40)
    assert isinstance(robust.value, Interval)
    assert robust.value.estimate == pytest.approx(0.5 + (2 * 1 + 2 * -1 + 0 + 0) / 4)
    clipped = ips(reward, propensity, target, clip=1.5)
    assert isinstance(clipped.value, Interval)
    assert clipped.value.estimate == pytest.approx((3 + 0.5) / 4)
    assert clipped.overlap.cut == pytest.approx(1 / 4.5)
    assert clipped.bias == pytest.approx(1 / 4 * 4.0)


def test_a_difference_is_of_the_same_rows() -> None:
    rng = np.random.default_rng(3)
    x, decision, propensity, reward = _drawn(rng, 4_000, 0.5, FLIP)
    policies = [ips(reward, propensity, (decision == (x >= at)).astype(float)) for at in (0.5, 0.44, 0.3)]
    same, near, far = (difference(policies[0], one) for one in policies)
    assert isinstance(near, Interval)
    assert isinstance(far, Interval)
    assert near.high - near.low < far.high - far.low
    assert isinstance(same, Insufficient)  # nothing differs: that is no certainty


def test_what_nothing_was_seen_of_has_no_number() -> None:
    rng = np.random.default_rng(4)
    reward = rng.random(1_000)
    some = np.arange(1_000) < 3
    for method in (ips, snips):
        told = method(reward, np.where(some, 0.5, 1.0), np.where(np.arange(1_000) < 900, 1.0, 0.0))
        assert told.overlap.unsupported == pytest.approx(0.1)
        assert str(told.value) == (
            "INSUFFICIENT: in 10.00% of the rows the other policy takes what had no chance to be taken"
        )
        # Three explored rows, of which the policy takes all: their sum is no evidence.
        few = method(reward, np.where(some, 0.01, 0.99), np.ones(1_000))
        assert isinstance(few.value, Insufficient)
        assert "3.0 effective rows" in few.value.reason
        assert few.overlap.differing is not None
        assert few.overlap.differing < LEAST
        assert isinstance(method(reward, np.full(1_000, 0.5), np.zeros(1_000)).value, Insufficient)
        assert isinstance(method([], [], []).value, Insufficient)
    # Many decisions, each with a chance of its own: only who logged them knows which had none.
    told = ips(reward, np.full(1_000, 1 / 3), np.full(1_000, 1 / 3), unsupported=some)
    assert isinstance(told.value, Insufficient)


@pytest.mark.parametrize(
    ("logged", "options"),
    [
        (([1.0], [0.0], [1.0]), {}),
        (([1.0], [0.5], [1.5]), {}),
        (([np.nan], [0.5], [1.0]), {}),
        (([1.0, 2.0], [0.5], [1.0]), {}),
        (([1.0], [0.5], [1.0]), {"clip": 0.5}),
        (([1.0], [0.5], [1.0]), {"unsupported": [True, False]}),
    ],
)
def test_what_makes_no_sense_is_refused(logged: tuple[list[float], ...], options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ips(*logged, **options)  # type: ignore[arg-type]
