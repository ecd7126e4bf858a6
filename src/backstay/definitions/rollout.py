"""A rollout: by which stages a version that passed its gate comes to answer everybody, and what stops it. Pure data.

    shadow      it is shown requests that others answer, and what it would have said is compared
    canary      it answers a growing share, beside a baseline of the champion as large, as long as no harm is shown
    champion    it answers everybody

It says how a version is brought in and not what it is: no hash, manifest or parity depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from backstay.core.errors import DefinitionError
from backstay.core.times import duration

QUALITIES = ("better", "not_worse", "any")
METRICS = ("errors", "log_loss", "brier", "latency", "decisions")


@dataclass(frozen=True, slots=True)
class Breakers:
    """When a server takes a version's share away by itself, within seconds. The rest is for the controller.

    failures:    so many batches in a row without a score (an error, NaN, infinite)
    minimum:     rows of the version, and of the champion beside it, before anything else is judged
    error_rate:  the share of rows without a score
    slowdown:    how many times the champion's median scoring time a batch
    score_shift: the distance of its scores' distribution from the champion's beside it (Kolmogorov-Smirnov, 0 to 1),
                 beyond what chance does
    """

    failures: int = 5
    minimum: int = 100
    error_rate: float = 0.05
    slowdown: float = 5.0
    score_shift: float = 0.3

    def __post_init__(self) -> None:
        if self.failures < 1 or self.minimum < 1 or self.slowdown <= 1:
            _refuse(
                "Breakers", f"failures {self.failures}, minimum {self.minimum}, slowdown {self.slowdown:g}",
                "at least 1 failure and 1 row, a slowdown above 1",
            )  # fmt: skip
        if not (0 < self.error_rate <= 1 and 0 < self.score_shift <= 1):
            _refuse(
                "Breakers", f"error_rate {self.error_rate:g}, score_shift {self.score_shift:g}",
                "shares above 0 and at most 1",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guard:
    """What a canary must not do: harm, on one metric, by a test that may be looked at at any time.

    metric: "errors" (rows without a score), "log_loss" or "brier" (of mature labels), "latency" (scoring time), or
            "decisions" (the share of decisions that are `true`, in either direction)
    margin: what is put up with: the candidate may be worse by as much, in the metric's unit; latency as a share
    level:  how often harm may be called where there is none, over all looks together
    rows:   so many entities of each arm (of latency: pairs of calls) must have been counted before everybody gets the
            version: where labels come later than the steps take, the last one waits for them. At least 20 are asked
            for, before any step goes on, and of labels before everybody gets it
    """

    metric: str
    margin: float = 0.0
    level: float = 0.01
    rows: int = 0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            _refuse("Guard", f"metric {self.metric!r}", f"one of {', '.join(METRICS)}")
        if not (0 <= self.margin < float("inf") and 0 < self.level < 0.5):
            _refuse("Guard", f"margin {self.margin:g}, level {self.level:g}", "a margin of 0 or more, a level as 0.01")
        if self.rows < 0:
            _refuse("Guard", f"rows {self.rows}", "0 or more")


@dataclass(frozen=True, slots=True)
class Shadow:
    """How a version is shown requests before it answers any.

    share:   of the entities whose requests it is shown
    rows:    at least so many pairs: what it said, beside what was answered; with labels where `quality` needs them
    at_most: the longest that it may take: then the rollout ends without the version
    quality: what mature labels of these rows must show: "better" by more than `margin`, "not_worse" by more than
             `margin`, or "any": nothing is asked, and no label is waited for
    margin:  in the unit of the gate's metric; 0 or more
    errors:  the share of rows without a score (an error, NaN, infinite) that is put up with
    """

    share: float = 1.0
    rows: int = 1_000
    at_most: str = "30d"
    quality: str = "any"
    margin: float = 0.0
    errors: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.errors < 1:
            _refuse("Shadow", f"errors {self.errors:g}", "a share of rows, from 0 to below 1")
        if not 0 < self.share <= 1 or self.rows < 1 or not 0 <= self.margin < float("inf"):
            _refuse(
                "Shadow", f"share {self.share:g}, rows {self.rows}, margin {self.margin:g}",
                "a share above 0 and at most 1, at least 1 row, a margin of 0 or more",
            )  # fmt: skip
        if self.quality not in QUALITIES:
            _refuse("Shadow", f"quality {self.quality!r}", f"one of {', '.join(QUALITIES)}")
        _span("Shadow.at_most", self.at_most)


@dataclass(frozen=True, slots=True)
class Canary:
    """How a version's share grows.

    steps:    its shares, each larger than the one before; the last is 1: everybody
    requests: what each arm must have answered in a step before the next
    least:    the shortest time a step takes
    at_most:  the longest: a step whose evidence is not together by then is rolled back
    guards:   what it must not do; each is looked at at every tick
    key:      the keys that entities are told apart by; empty: all of the model, or those of a route that explores
    """

    steps: Sequence[float] = (0.01, 0.05, 0.25, 1.0)
    requests: int = 200
    least: str = "1h"
    at_most: str = "7d"
    guards: Sequence[Guard] = (Guard("errors"),)
    key: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(float(one) for one in self.steps))
        object.__setattr__(self, "guards", tuple(self.guards))
        object.__setattr__(self, "key", (self.key,) if isinstance(self.key, str) else tuple(self.key))
        rising = all(a < b for a, b in pairwise((0.0, *self.steps)))
        if not self.steps or not rising or self.steps[-1] != 1:
            _refuse("Canary", f"steps {self.steps}", "rising shares that end with 1, such as (0.01, 0.05, 0.25, 1)")
        if self.requests < 1:
            _refuse("Canary", f"requests {self.requests}", "at least 1 an arm")
        if _span("Canary.least", self.least) >= _span("Canary.at_most", self.at_most):
            _refuse("Canary", f"least {self.least}, at_most {self.at_most}", "a step that may last longer than it must")
        if not all(isinstance(one, Guard) for one in self.guards):
            _refuse("Canary", f"guards {self.guards!r}", 'guards, such as (Guard("errors"), Guard("log_loss"))')


@dataclass(frozen=True, slots=True)
class Rollout:
    """The way of a version to everybody: `Model(..., rollout=Rollout())`. None of a stage skips it.

    shadow, canary: the stages
    breakers:       what a server acts on by itself, in the canary
    """

    shadow: Shadow | None = field(default_factory=Shadow)
    canary: Canary | None = field(default_factory=Canary)
    breakers: Breakers = field(default_factory=Breakers)


def checked_rollout(given: Rollout | None, keys: Sequence[str], where: str) -> Rollout | None:
    """A model's rollout as it was given; `DefinitionError` unless it is one whose key is among the model's keys."""
    if given is None:
        return None
    if not isinstance(given, Rollout):
        raise DefinitionError(
            f"rollout={given!r} is no rollout", where=where, expected="Rollout(...)",
            fix="write Rollout() for shadow and canary as they are by default",
        )  # fmt: skip
    unknown = [] if given.canary is None else [name for name in given.canary.key if name not in keys]
    if unknown:
        _refuse(f"{where}, Canary", f"key {unknown[0]!r}", f"of {', '.join(keys)}")
    return given


def _span(where: str, text: str) -> int:
    return duration(text, where=where)


def _refuse(where: str, what: str, expected: str) -> None:
    raise DefinitionError(what, where=where, expected=expected)
