"""Whole rollouts, simulated: the state machine itself, the shadow's rule and the guards, on rows that are drawn.

Scores are binormal: a true case's is higher by so much that the AUC is what it is said to be, and what is answered is
the probability that follows. Labels come seven days after their rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pytest
from scipy.special import ndtri

from backstay.core.times import DAY
from backstay.definitions import Canary, Guard, Rollout, Shadow
from backstay.rollout.guards import Rows, Step, look, lot
from backstay.rollout.shadow import Asked, Known, quality
from backstay.rollout.stages import CANARY, PROMOTING, SHADOW, Champion, Route, Seen, State, advance, begin
from backstay.rollout.verdict import Check, Verdict

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
PREVALENCE, DELAY, DAILY, DAYS, CHAMPION = 0.16, 7, 5_000, 25, 0.70
GUARDS = (Guard("errors"), Guard("log_loss", rows=1_000), Guard("latency", margin=0.2))
ME = Champion(5, "d5", 40)


@dataclass
class World:
    """Rows a day, the same whenever one looks, and two versions, `gain` apart in AUC.

    shift: by how much the candidate's log-odds are off
    """

    seed: tuple[int, int]
    gain: float
    shift: float = 0.0
    days: dict[tuple[int, float], Rows] = field(default_factory=dict)

    def drawn(self, rng: np.random.Generator, n: int) -> tuple[Floats, Floats, Floats]:
        """Outcomes, and what the champion and the candidate say of them."""
        outcome = (rng.random(n) < PREVALENCE).astype(float)
        noise = rng.standard_normal((3, n))
        said = []
        for place, auc in enumerate((CHAMPION, CHAMPION + self.gain)):
            apart = np.sqrt(2) * ndtri(auc)
            mine = np.sqrt(0.9) * noise[2] + np.sqrt(0.1) * noise[place]  # they agree for the most part
            odds = np.log(PREVALENCE / (1 - PREVALENCE)) + apart * (mine + apart * outcome) - apart**2 / 2
            said.append(1 / (1 + np.exp(-odds - place * self.shift)))
        return outcome, said[0], said[1]

    def shadow(self, policy: Shadow) -> list[Check | None]:
        """What the shadow says, day by day."""
        outcome, one, two = self.drawn(np.random.default_rng([*self.seed, 0]), DAILY * DAYS)
        day = np.arange(outcome.size) // DAILY
        asked, before = Asked("late", 7, 5, metric="auc"), 0
        out: list[Check | None] = []
        for now in range(1, DAYS):
            known = DAILY * max(now - DELAY, 0)
            looks = int(np.log2(known / policy.rows)) + 1 if known >= policy.rows else 0
            if looks > before:
                labelled = Known(outcome[:known].astype(np.int8), one[:known], two[:known], day[:known])
                out.append(quality(labelled, asked, policy))
            else:  # between two looks the answer stays what it was
                out.append(out[-1] if out else None)
            before = looks
        return out

    def canary(self, steps: Sequence[Step], now: int) -> Rows:
        """All rows of the canary up to a day, its labels as they are known then."""
        days = []
        for day in range(steps[0].since // DAY, now):
            share = [one.candidate for one in steps if one.since <= day * DAY][-1]
            if (day, share) not in self.days:
                self.days[day, share] = self._day(day, int(share * DAILY))
            days.append(self.days[day, share])
        names = [one.name for one in fields(Rows)]
        whole = Rows(**{name: np.concatenate([getattr(one, name) for one in days]) for name in names})
        due = whole.matured <= now * DAY
        entity = np.arange(len(whole))
        return replace(whole, outcome=np.where(due, whole.outcome, np.nan), due=due, entity=entity, batch=entity)

    def _day(self, day: int, arm: int) -> Rows:
        rng, n = np.random.default_rng([*self.seed, day]), 2 * arm
        outcome, one, two = self.drawn(rng, n)
        candidate, at = np.arange(n) % 2 == 0, day * DAY + np.sort(rng.integers(0, DAY, n))
        score = np.where(candidate, two, one)
        return Rows(
            at=at, candidate=candidate, entity=np.arange(n), failed=np.zeros(n, bool),
            score=score, decision=score > 0.5, took=np.exp(rng.normal(6, 0.3, n)).astype(np.int64),
            timed=np.ones(n, bool), batch=np.arange(n), size=np.ones(n, np.int64), outcome=outcome,
            matured=at + DELAY * DAY, due=np.zeros(n, bool),
        )  # fmt: skip


def rolled_out(world: World, policy: Rollout) -> State:
    """The end of a rollout that ticks once a day."""
    state = begin("late", 7, "d7", 41, Seen(ME), policy, now=0)
    assert policy.shadow is not None
    sound = [Check("shadow", Verdict.PASS, "sound")] * DAYS
    said = sound if policy.shadow.quality == "any" else world.shadow(policy.shadow)
    steps: list[Step] = []
    for day in range(1, 200):
        seen = Seen(ME, Route(1, state.since, True))
        if state.stage == SHADOW:
            seen = replace(seen, shadow=said[min(day, len(said)) - 1])
        if state.stage == CANARY:
            rows = world.canary(steps, day)
            here = rows.candidate[rows.at >= steps[-1].since]
            guards = tuple(look(one, rows, steps) for one in GUARDS)
            arms = int(here.sum()), int((~here).sum())
            seen = replace(seen, candidate=arms[0], baseline=arms[1], lot=lot(rows, steps), guards=guards)
        if state.stage == PROMOTING:
            seen = replace(seen, champion=Champion(7, "d7", 50))
        state = advance(state, seen, policy, day * DAY) or state
        if state.stage == CANARY and (not steps or steps[-1].candidate < state.share):
            steps.append(Step(day * DAY, state.share, state.share))
        if state.ended:
            return state
    raise AssertionError(state)


def ends(gain: float, shadow: Shadow, tries: int, seed: int, shift: float = 0.0) -> dict[str, int]:
    """How so many rollouts ended."""
    policy = Rollout(shadow=shadow, canary=Canary(requests=200, least="1h", at_most="14d", guards=GUARDS))
    found = [rolled_out(World((seed, number), gain, shift), policy) for number in range(tries)]
    return dict(Counter(f"{one.stage} {one.cause}".strip() for one in found))


def chance(share: float, tries: int) -> float:
    """Two Monte Carlo standard errors, in rollouts."""
    return float(2 * np.sqrt(share * (1 - share) * tries))


@pytest.mark.parametrize("asked", ["better", "not_worse"])
def test_one_that_is_worse_by_two_points_of_auc_is_not_promoted(asked: str) -> None:
    tries = 60
    found = ends(-0.02, Shadow(rows=5_000, quality=asked, margin=0.0, at_most="25d"), tries, 1)
    print(f"worse by 0.02 AUC, quality={asked!r}: {found} of {tries}")  # noqa: T201
    assert found.get("promoted", 0) <= 0.05 * tries + chance(0.05, tries)


def test_one_that_is_better_by_a_point_of_auc_is_promoted() -> None:
    tries = 25
    found = ends(0.01, Shadow(rows=50_000, quality="better", margin=0.0, at_most="25d"), tries, 2)
    print(f"better by 0.01 AUC on 50,000 pairs: {found} of {tries}")  # noqa: T201
    assert found.get("promoted", 0) >= 0.90 * tries - chance(0.90, tries)


def test_the_canary_itself_tests_for_harm_only() -> None:
    """One that is as good is never shown to be better, and passes; one that is off is found, as the last step waits."""
    tries = 10
    same, worse = (ends(0.0, Shadow(quality="any"), tries, 3, shift) for shift in (0.0, 1.5))
    print(f"shadow asks nothing, as good: {same}; log-odds off by 1.5: {worse} of {tries}")  # noqa: T201
    assert same.get("promoted", 0) >= 0.95 * tries - chance(0.95, tries)
    assert worse.get("promoted", 0) <= 0.05 * tries + chance(0.05, tries)
