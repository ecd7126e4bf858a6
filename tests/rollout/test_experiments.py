"""Experiments: shares that follow the metric, what is shown, and when it ends. Simulated with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backstay.core.errors import DefinitionError, InputError
from backstay.core.times import DAY
from backstay.definitions import Guard
from backstay.definitions.experiments import Experiment, Metric
from backstay.evaluation.interval import Interval
from backstay.evaluation.sequential import MeanDifference, Moments
from backstay.rollout.allocation import Seen, epsilon_greedy, thompson
from backstay.rollout.experiments import (
    EXPIRED,
    FUTILE,
    HARM,
    MISMATCH,
    RUNNING,
    SUCCESS,
    Analysis,
    Block,
    Conclusion,
    Evidence,
    analyse,
    conclude,
    next_shares,
)

Floats = NDArray[np.float64]
TIMES, BLOCKS, EACH = 200, 25, 60
MOST = 0.05 + 2 * np.sqrt(0.05 * 0.95 / TIMES)
OUTCOME = Metric("outcome", better="higher")


def _experiment(**changed: object) -> Experiment:
    return Experiment(**{"name": "one", "arms": {"v2": 0.5}, "metric": OUTCOME, "guards": (), **changed})  # type: ignore[arg-type]


def _drawn(rng: np.random.Generator, rates: tuple[float, ...], shares: tuple[float, ...], entities: int) -> Block:
    sizes = rng.multinomial(entities, np.array(shares) / sum(shares))
    return Block(tuple((rng.random(n) < p).astype(float) for n, p in zip(sizes, rates, strict=True)))


def _adaptive(seed: int, lift: float) -> tuple[bool, bool, float, float]:
    """One experiment by Thompson, looked at after each of 25 blocks, while the rate of both arms drifts.

    Was the truth ever outside ours, or outside a z-test's interval of all so far; the plain difference, and ours.
    """
    experiment = _experiment(allocation="thompson", floor=0.1)
    rng, shares = np.random.default_rng(seed), (0.5, 0.5)
    blocks: list[Block] = []
    sequence, apart, z = MeanDifference(bounds=(0.0, 1.0)), False, False
    for place in range(BLOCKS):
        rate = 0.1 + 0.3 * place / BLOCKS
        blocks.append(_drawn(rng, (rate, rate + lift), shares, EACH))
        theirs, mine = blocks[-1].values
        sequence = sequence.update(Moments.of(mine), Moments.of(theirs))
        gain = sequence.reading().gain
        apart |= isinstance(gain, Interval) and not gain.low <= lift <= gain.high
        z |= _z(sequence.candidate, sequence.champion, lift)
        shares = next_shares(experiment, Evidence([], blocks, {}))  # type: ignore[assignment]
    champion, arm = analyse(experiment, Evidence([], blocks, {}), shares).arms
    plain = [one.plain or 0.0 for one in (arm, champion)]
    ours = [one.mean or 0.0 for one in (arm, champion)]
    return apart, z, plain[0] - plain[1], ours[0] - ours[1]


@pytest.mark.parametrize("lift", [0.0, 0.08])
def test_shares_that_follow_the_metric_bias_a_plain_mean_and_not_what_is_said(lift: float) -> None:
    runs = np.array([_adaptive(seed, lift) for seed in range(TIMES)], dtype=float)
    wrong, peeked, plain, ours = runs.mean(axis=0)
    error = runs.std(axis=0)[2:] / np.sqrt(TIMES)
    print(  # noqa: T201
        f"\na difference of {lift:g}, {BLOCKS} looks: outside at any of them, ours {wrong:.1%}, a z-test {peeked:.1%}"
    )
    print(f"plain means are off by {plain - lift:+.4f} ± {error[0]:.4f}, ours by {ours - lift:+.4f} ± {error[1]:.4f}")  # noqa: T201
    assert wrong <= MOST
    assert peeked > 0.2
    assert abs(ours - lift) < 3 * error[1]
    if lift:  # the arm that gains is asked more later, when both have more
        assert plain - lift > 5 * error[0]


def _z(mine: Moments, theirs: Moments, truth: float) -> bool:
    pooled = (mine.n * mine.mean + theirs.n * theirs.mean) / (mine.n + theirs.n)
    error = np.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / mine.n + 1 / theirs.n))
    return bool(abs(mine.mean - theirs.mean - truth) / error > 1.96)


@pytest.mark.parametrize("allocation", ["fixed", "thompson", "epsilon"])
def test_a_better_arm_is_found_and_asked_more(allocation: str) -> None:
    experiment = _experiment(allocation=allocation, floor=0.1)
    found, share = 0, []
    for seed in range(20):
        rng, blocks, shares = np.random.default_rng(seed), [], (0.5, 0.5)
        for _ in range(40):
            blocks.append(_drawn(rng, (0.3, 0.4), shares, 200))
            shares = next_shares(experiment, Evidence([], blocks, {}))  # type: ignore[assignment]
        told = analyse(experiment, Evidence([], blocks, {}), shares)
        share.append(told.arms[1].mature / sum(one.mature for one in told.arms))
        found += conclude(experiment, told, age=0).state == SUCCESS
    print(f"{allocation}: found {found} of 20, the better arm had {np.mean(share):.0%}")  # noqa: T201
    assert found >= 18
    assert np.mean(share) > 0.8 if allocation != "fixed" else 0.48 < np.mean(share) < 0.52


def test_thompson_is_the_probability_to_be_the_best() -> None:
    rng = np.random.default_rng(5)
    arms = [Seen(0.10, 300.0), Seen(0.12, 300.0), Seen(0.13, 80.0)]
    draws = np.array([rng.beta(1 + a.mean * a.entities, 1 + (1 - a.mean) * a.entities, 400_000) for a in arms])
    best = np.bincount(draws.argmax(axis=0), minlength=3) / draws.shape[1]
    assert thompson(arms, floor=0.0) == pytest.approx(best, abs=0.004)
    worst = np.bincount(draws.argmin(axis=0), minlength=3) / draws.shape[1]
    assert thompson(arms, floor=0.0, better="lower") == pytest.approx(worst, abs=0.004)
    floored = thompson([Seen(0.1, 1e5), Seen(0.9, 1e5)], floor=0.1)
    assert floored == pytest.approx((0.1, 0.9))
    assert thompson([Seen(0, 0), Seen(0, 0)], floor=0.0) == pytest.approx((0.5, 0.5))
    assert epsilon_greedy([Seen(0.2, 9), Seen(0.2, 9), Seen(0.1, 9)], floor=0.2) == pytest.approx((0.4, 0.4, 0.2))
    assert epsilon_greedy([Seen(0.2, 9), Seen(0, 0)], floor=0.1) == pytest.approx((0.5, 0.5))
    with pytest.raises(InputError, match="a floor of"):
        thompson(arms, floor=0.6)


def _told(experiment: Experiment, rates: tuple[float, ...], blocks: int = 30, **evidence: object) -> Analysis:
    rng, shares = np.random.default_rng(9), (1 - sum(experiment.arms.values()), *experiment.arms.values())
    drawn = [_drawn(rng, rates, shares, 400) for _ in range(blocks)]
    lot = [(tuple(sum(b.values[i].size for b in drawn) for i in range(len(rates))), shares)]
    return analyse(experiment, Evidence(**{"lot": lot, "metric": drawn, "guards": {}, **evidence}), shares)  # type: ignore[arg-type]


def _ends(experiment: Experiment, told: Analysis, age: int = DAY) -> Conclusion:
    return conclude(experiment, told, age=age)


def test_stop_rules() -> None:
    plain = _experiment()
    assert _ends(plain, _told(plain, (0.3, 0.3))).state == RUNNING
    assert _ends(plain, _told(plain, (0.3, 0.3)), age=28 * DAY).state == EXPIRED
    won = _ends(plain, _told(plain, (0.3, 0.4)))
    assert (won.state, won.arm, won.ends) == (SUCCESS, "v2", True)
    assert _ends(plain, _told(plain, (0.4, 0.3))).state == FUTILE  # shown to be worse
    assert _ends(_experiment(metric=Metric("outcome", better="lower")), _told(plain, (0.3, 0.4))).arm == "v2"
    aims = _experiment(effect=0.1)
    assert _ends(aims, _told(aims, (0.3, 0.3))).state == FUTILE
    assert _ends(_experiment(effect=0.5, margin=0.3), _told(_experiment(margin=0.3), (0.3, 0.4))).state == FUTILE
    patient = _experiment(early=False)
    assert _ends(patient, _told(patient, (0.3, 0.4))).state == RUNNING
    assert _ends(patient, _told(patient, (0.3, 0.4)), age=28 * DAY).state == SUCCESS
    wrong = _ends(plain, _told(plain, (0.3, 0.4), lot=[((5_000, 6_000), (0.5, 0.5))]))
    assert (wrong.state, wrong.arm) == (MISMATCH, "")  # however good it looks
    nothing = analyse(plain, Evidence([], [], {}), (0.5, 0.5))
    assert _ends(plain, nothing).state == RUNNING
    assert _ends(plain, nothing, age=28 * DAY).state == EXPIRED


def test_harm_on_a_guard_ends_it_whatever_the_metric_says() -> None:
    rng = np.random.default_rng(10)
    guards = (
        Guard("errors"),
        Guard("log_loss", margin=0.01),
        Guard("latency", margin=0.2),
        Guard("decisions", margin=0.05),
    )
    experiment = _experiment(guards=guards, arms={"v2": 0.4, "v3": 0.2}, early=False)
    assert _ends(experiment, _told(experiment, (0.3, 0.5, 0.5))).state == RUNNING

    def drawn(*arms: tuple[float, float], rate: bool = False) -> list[Block]:
        return [
            Block(tuple((rng.random(300) < m).astype(float) if rate else rng.normal(m, s, 300) for m, s in arms))
            for _ in range(30)
        ]

    harms = {
        "errors": drawn((0.01, 0), (0.01, 0), (0.03, 0), rate=True),
        "log_loss": drawn((0.4, 0.3), (0.4, 0.3), (0.5, 0.3)),
        "latency": drawn((1.0, 0.5), (1.0, 0.5), (1.4, 0.5)),
        "decisions": drawn((0.3, 0), (0.3, 0), (0.1, 0), rate=True),
    }
    for name, blocks in harms.items():
        told = _told(experiment, (0.3, 0.5, 0.5), guards={name: blocks})
        ended = _ends(experiment, told)
        assert (ended.state, ended.arm) == (HARM, "v3"), name
        assert [one.arm for one in told.guards if one.harm] == ["v3"]
    faster = _told(experiment, (0.3, 0.5, 0.5), guards={"latency": drawn((1.4, 0.5), (1.4, 0.5), (1.0, 0.5))})
    assert not any(one.harm for one in faster.guards)


def test_guards_cry_harm_as_rarely_as_they_say() -> None:
    experiment = _experiment(guards=(Guard("errors", level=0.05), Guard("log_loss", level=0.05)))
    cried = {"errors": 0, "log_loss": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        errors = [Block(tuple((rng.random(80) < 0.1).astype(float) for _ in range(2))) for _ in range(25)]
        losses = [Block(tuple(rng.exponential(0.4, 80) for _ in range(2))) for _ in range(25)]
        told = analyse(experiment, Evidence([], [], {"errors": errors, "log_loss": losses}), (0.5, 0.5))
        for one in told.guards:
            cried[one.metric] += one.harm
    print({name: f"{hits / 200:.1%}" for name, hits in cried.items()})  # noqa: T201
    assert max(cried.values()) / 200 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_a_covariate_narrows_what_is_said() -> None:
    rng, blocks = np.random.default_rng(11), []
    for _ in range(30):
        known = [rng.normal(size=100) for _ in range(2)]
        values = tuple(x + rng.normal(0, 0.5, 100) for x in known)
        blocks.append(Block(values, tuple(known)))
    metric = Metric("payments.amount", better="higher", within="7d")
    told = {
        name: analyse(_experiment(metric=metric, covariate=name), Evidence([], blocks, {}), (0.5, 0.5))
        for name in ("", "before")
    }
    widths = {}
    for name, one in told.items():
        gain = one.arms[1].gain
        assert gain is not None
        assert isinstance(gain.gain, Interval)
        widths[name] = gain.gain.high - gain.gain.low
    assert told["before"].explained == pytest.approx(0.8, abs=0.03)
    assert widths["before"] < 0.6 * widths[""]


def test_definitions_say_what_makes_no_sense() -> None:
    assert Metric("log_loss").better == "lower"
    kept = _experiment(guards=(Guard("brier", margin=0.1),), key=("who",))
    assert Experiment.from_dict(kept.as_dict()) == kept
    for changed in (
        {"arms": {}}, {"arms": {"champion": 0.5}}, {"arms": {"v2": 1.0}}, {"arms": {"v2": 0.0}},
        {"allocation": "best"}, {"allocation": "thompson", "metric": Metric("log_loss")},
        {"allocation": "epsilon", "floor": 0.6}, {"margin": -1.0}, {"effect": 0.1, "margin": 0.2}, {"level": 0.4},
        {"every": "30d"}, {"at_most": "soon"}, {"name": "Not A Name"}, {"guards": ("errors",)},
    ):  # fmt: skip
        with pytest.raises(InputError):
            _experiment(**changed)
    for given in (("clicks",), ("outcome",), ("outcome", "up"), ("a.b", "lower"), ("brier", "lower", "7d")):
        with pytest.raises(DefinitionError):
            Metric(*given)
