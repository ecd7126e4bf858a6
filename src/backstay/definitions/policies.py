"""Policies: when to retrain, and what a candidate must show. Pure data; `rollout` and `lifecycle` act on them."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.core.errors import DefinitionError
from backstay.core.times import duration


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a candidate must show before it may become champion.

    metric:       "log_loss", "brier" or "auc"; differences are counted so that positive is better.
    margin:       the least improvement that counts; the interval's lower bound must clear it.
    level:        confidence level of the interval, clustered by day.
    embargo:      distance between a model's training cut-off and the first row that may judge it.
    judge_after:  how much mature time after the embargo a candidate is judged on.
    minimum_rows, minimum_days: with fewer, the answer is INSUFFICIENT.
    """

    metric: str = "log_loss"
    margin: float = 0.0
    level: float = 0.95
    embargo: str = "1d"
    judge_after: str = "14d"
    minimum_rows: int = 1_000
    minimum_days: int = 7

    def __post_init__(self) -> None:
        if self.metric not in ("log_loss", "brier", "auc"):
            raise DefinitionError(f"metric {self.metric!r}", where="GatePolicy", expected="log_loss, brier or auc")
        if not 0.5 <= self.level < 1:
            raise DefinitionError(f"level {self.level}", where="GatePolicy", expected="between 0.5 and 1, such as 0.95")
        duration(self.embargo, where="GatePolicy.embargo")
        duration(self.judge_after, where="GatePolicy.judge_after")


@dataclass(frozen=True, slots=True)
class RetrainPolicy:
    """When to train a candidate: every `every`, on all mature rows since `since` back (None: all history)."""

    every: str = "7d"
    window: str | None = None

    def __post_init__(self) -> None:
        duration(self.every, where="RetrainPolicy.every")
        if self.window is not None:
            duration(self.window, where="RetrainPolicy.window")
