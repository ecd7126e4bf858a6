"""What an experiment shows so far, and whether it ends: pure functions of blocks of entities.

Each entity counts once: in the block in which it was first seen, for the arm that the lot gave it then, by one value.
Within a block the shares are fixed, so that its arms are comparable; blocks are added up by their sizes and not by
their arms' shares. So shares that follow the metric (Thompson) bias nothing, as they do a plain mean over all.

    gain      metric, an arm against the champion: a confidence sequence that may be looked at at any time
    guards    the same of what must not become worse; harm that is shown at any look ends the experiment
    lot       do the arms get the entities that they were meant to get? If not, nothing else is believed
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.core.show import Shown
from backstay.definitions import Guard
from backstay.definitions.experiments import BOUNDED, Experiment
from backstay.evaluation.cuped import Cuped
from backstay.evaluation.interval import Estimate, Interval
from backstay.evaluation.sequential import AssignmentTest, Counts, HarmTest, MeanDifference, Moments, Reading
from backstay.rollout.allocation import Seen, epsilon_greedy, thompson

Floats = NDArray[np.float64]
RUNNING, SUCCESS, HARM, FUTILE, EXPIRED, MISMATCH = "running", "success", "harm", "futile", "expired", "mismatch"


@dataclass(frozen=True, slots=True)
class Block:
    """Entities first seen in one span in which the shares stayed as they were; the champion's arm comes first.

    values:     of each arm one value an entity, shape (entities,); an entity whose value is void or never came is none
    covariates: the same of the covariate, NaN where it is not known; () without one
    """

    values: tuple[Floats, ...]
    covariates: tuple[Floats, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that an experiment has seen. Blocks are in their order, and only those whose values are all mature.

    lot:    of each stage, the entities that each arm got and the shares that were meant, the champion's first
    metric: blocks of the metric
    guards: blocks of each guard's metric, by its name
    """

    lot: Sequence[tuple[tuple[int, ...], tuple[float, ...]]]
    metric: Sequence[Block]
    guards: Mapping[str, Sequence[Block]]


@dataclass(frozen=True, slots=True)
class Arm(Shown):
    """One arm: its entities, those of them whose value is mature, and the metric's mean.

    mean:  over blocks, each weighing the entities of all arms: what it would be if everybody had this arm
    gain:  against the champion, above 0 is better, with the interval of this look; None of the champion
    plain: the mean of all its values, which shares that follow the metric bias
    """

    name: str
    share: float
    entities: int
    mature: int
    mean: float | None
    plain: float | None
    gain: Reading | None = None


@dataclass(frozen=True, slots=True)
class GuardReading(Shown):
    """A guard and one arm. worse: by how much it is (latency: the logarithm of how many times slower).

    harm: whether harm beyond the guard's margin is shown; a guard that cannot tell has shown none, and says why
    """

    metric: str
    arm: str
    worse: Estimate
    margin: float
    harm: bool


@dataclass(frozen=True, slots=True)
class Analysis(Shown):
    """What is known at this look. explained: the share of the metric's variance that the covariate explains."""

    arms: tuple[Arm, ...]
    guards: tuple[GuardReading, ...]
    lot: AssignmentTest
    explained: float | None
    blocks: int


@dataclass(frozen=True, slots=True)
class Conclusion(Shown):
    """Whether the experiment ends: running, success, harm, futile, expired or mismatch; of which arm, and why."""

    state: str
    why: str
    arm: str = ""

    @property
    def ends(self) -> bool:
        return self.state != RUNNING


def analyse(experiment: Experiment, evidence: Evidence, shares: Sequence[float]) -> Analysis:
    """What the evidence shows; `shares` are those of now, the champion's first."""
    names = ("champion", *experiment.arms)
    lot = AssignmentTest()
    for counts, meant in evidence.lot:
        lot = lot.update(counts, meant)
    entities = [sum(counts[place] for counts, _ in evidence.lot) for place in range(len(names))]
    blocks, explained = _adjusted(experiment, evidence.metric)
    arms = []
    for place, name in enumerate(names):
        values = [block.values[place] for block in evidence.metric]
        mature = sum(one.size for one in values)
        plain = float(np.concatenate(values).mean()) if mature else None
        gain = None if place == 0 else _gain(experiment, blocks, place)
        mean = _mean(evidence.metric, place)[0]
        arms.append(Arm(name, shares[place], entities[place], mature, mean, plain, gain))
    guards = [
        _guarded(guard, evidence.guards.get(guard.metric, ()), place, name, len(experiment.arms))
        for guard in experiment.guards
        for place, name in enumerate(experiment.arms, 1)
    ]
    return Analysis(tuple(arms), tuple(guards), lot, explained, len(evidence.metric))


def conclude(experiment: Experiment, analysis: Analysis, *, age: int) -> Conclusion:
    """What the stop rule says; `age`: how long it has been running, in microseconds."""
    if analysis.lot.shown:
        p = f"{analysis.lot.p_value:.1g}"
        return Conclusion(MISMATCH, f"the arms do not get the entities they were meant to (p {p}): nothing is shown")
    for guard in analysis.guards:
        if guard.harm:
            why = f"{guard.metric} of {guard.arm} is worse by more than {guard.margin:g}: {guard.worse}"
            return Conclusion(HARM, why, guard.arm)
    told = _concluded(experiment, analysis)
    if age >= experiment.length:
        return told if told.ends else Conclusion(EXPIRED, f"nothing was shown in {experiment.at_most}")
    return told if experiment.early else Conclusion(RUNNING, f"it runs for {experiment.at_most} whatever it shows")


def next_shares(experiment: Experiment, evidence: Evidence) -> tuple[float, ...]:
    """The shares of the next stage, the champion's first, as what is mature says."""
    fixed = (1.0 - sum(experiment.arms.values()), *experiment.arms.values())
    if experiment.allocation == "fixed":
        return fixed
    seen = [Seen(mean or 0.0, entities) for mean, entities in (_mean(evidence.metric, i) for i in range(len(fixed)))]
    if not all(one.entities > 0 for one in seen):
        return fixed
    choose = thompson if experiment.allocation == "thompson" else epsilon_greedy
    return choose(seen, floor=experiment.floor, better=experiment.metric.better)


def _concluded(experiment: Experiment, analysis: Analysis) -> Conclusion:
    gains = {one.name: one.gain for one in analysis.arms if one.gain is not None}
    won = {name: gain.gain for name, gain in gains.items() if gain.shown and isinstance(gain.gain, Interval)}
    if won:
        best = max(won, key=lambda name: won[name].estimate)
        beyond = f"more than {experiment.margin:g}" if experiment.margin else "shown"
        return Conclusion(SUCCESS, f"{experiment.metric.name} of {best} is better, {beyond}: {won[best]}", best)
    aim = experiment.effect
    if aim and all(isinstance(one.gain, Interval) and one.gain.high < aim for one in gains.values()):
        return Conclusion(FUTILE, f"no arm gains {aim:g}: {_listed(gains)}")
    worse = all(gain.shown is False for gain in gains.values())
    if worse:
        return Conclusion(FUTILE, f"no arm is better by more than {experiment.margin:g}: {_listed(gains)}")
    return Conclusion(RUNNING, "nothing is shown yet")


def _listed(gains: Mapping[str, Reading]) -> str:
    return ", ".join(f"{name} {one.gain}" for name, one in gains.items())


def _adjusted(experiment: Experiment, blocks: Sequence[Block]) -> tuple[Sequence[Block], float | None]:
    """The blocks less what their covariate explains, each by the theta of the blocks before."""
    if not experiment.covariate:
        return blocks, None
    state, out = Cuped(), []
    for block in blocks:
        pairs = list(zip(block.values, block.covariates, strict=True))
        out.append(Block(tuple(state.adjusted(*pair) for pair in pairs)))
        state = state.update(pairs)
    return out, state.explained


def _gain(experiment: Experiment, blocks: Sequence[Block], place: int) -> Reading:
    # An adjusted value has no bounds. Arms beside each other share what may be wrong.
    bounds = None if experiment.covariate else experiment.metric.bounds
    sequence = MeanDifference(level=_shared(experiment.level, len(experiment.arms)), bounds=bounds)
    return _walked(sequence, blocks, place).reading(experiment.margin, experiment.metric.better)


def _guarded(guard: Guard, blocks: Sequence[Block], place: int, name: str, arms: int) -> GuardReading:
    """What a guard says of one arm. Harm that was shown at an earlier look stays shown."""
    two_sided, alpha = guard.metric == "decisions", guard.level / arms
    bounds = (0.0, 1.0) if guard.metric in BOUNDED else None
    # Harm is one end of the interval: the other one is not what it is asked for.
    sequence = MeanDifference(level=1.0 - alpha * (1 if two_sided else 2), bounds=bounds)
    margin = math.log1p(guard.margin) if guard.metric == "latency" else guard.margin
    test = HarmTest(margin=guard.margin, alpha=alpha) if bounds and not two_sided else None
    harm, worse = False, sequence.reading().gain
    for block in blocks:
        sequence = _walked(sequence, [block], place)
        worse = sequence.reading().gain
        if test is not None:  # finds a rare loss sooner than an interval does
            mine, theirs = (Counts(one.size, float(one.sum())) for one in (block.values[place], block.values[0]))
            test = test.update(mine, theirs)
            harm = test.shown
        elif isinstance(worse, Interval):
            harm = harm or worse.low > margin or (two_sided and worse.high < -margin)
    return GuardReading(guard.metric, name, worse, guard.margin, harm)


def _walked(sequence: MeanDifference, blocks: Sequence[Block], place: int) -> MeanDifference:
    for block in blocks:
        sequence = sequence.update(candidate=Moments.of(block.values[place]), champion=Moments.of(block.values[0]))
    return sequence


def _shared(level: float, arms: int) -> float:
    return 1.0 - (1.0 - level) / arms


def _mean(blocks: Sequence[Block], place: int) -> tuple[float | None, float]:
    """An arm's mean over the blocks in which all arms have entities, each weighing all of them; and of how many
    entities it is as good as. In a block this is inverse propensity, with the shares that came out."""
    total = entities = squares = 0.0
    for block in blocks:
        sizes = [one.size for one in block.values]
        if not all(sizes):
            continue
        weight = float(sum(sizes))
        total += weight * float(block.values[place].mean())
        entities += weight
        squares += weight * weight / sizes[place]
    return (total / entities, entities * entities / squares) if entities else (None, 0.0)


def told(analysis: Analysis, conclusion: Conclusion) -> dict[str, Any]:
    """Both as plain values, for the ledger."""
    return {"analysis": analysis.as_dict(), "conclusion": conclusion.as_dict()}
