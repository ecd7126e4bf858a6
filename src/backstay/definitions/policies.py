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
    slice_margin: the loss, in the metric's unit, that is put up with on one declared or pinned slice; 0 or more.
    """

    metric: str = "log_loss"
    margin: float = 0.0
    level: float = 0.95
    embargo: str = "1d"
    judge_after: str = "14d"
    minimum_rows: int = 1_000
    minimum_days: int = 7
    slice_margin: float = 0.01

    def __post_init__(self) -> None:
        if self.metric not in ("log_loss", "brier", "auc"):
            raise DefinitionError(f"metric {self.metric!r}", where="GatePolicy", expected="log_loss, brier or auc")
        if not 0.5 <= self.level < 1:
            raise DefinitionError(f"level {self.level}", where="GatePolicy", expected="between 0.5 and 1, such as 0.95")
        if not 0 <= self.slice_margin < float("inf"):
            raise DefinitionError(f"slice_margin {self.slice_margin}", where="GatePolicy", expected="0 or more")
        duration(self.embargo, where="GatePolicy.embargo")
        duration(self.judge_after, where="GatePolicy.judge_after")


@dataclass(frozen=True, slots=True)
class DataPolicy:
    """What a training set must be like before anything is trained on it, beside the one that was accepted last.

    minimum_rows: with fewer it is refused.
    volume:       the least share of the last one's rows.
    label_rate:   the factor that the odds of the outcome may have changed by, up or down.
    drift:        the population stability index of an input, 0 for none; 0.25 is a large shift by the common rule.
    missing:      by how much the share of rows without a value may have grown, 0 to 1.
    leak:         the AUC of one input alone, above which it is taken to know the outcome.
    """

    minimum_rows: int = 100
    volume: float = 0.5
    label_rate: float = 2.0
    drift: float = 0.25
    missing: float = 0.2
    leak: float = 0.99

    def __post_init__(self) -> None:
        bounds = {"volume": (0.0, 1.0), "missing": (0.0, 1.0), "leak": (0.5, 1.0)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise DefinitionError(
                    f"{name} {getattr(self, name)}", where="DataPolicy", expected=f"from {low:g} to {high:g}"
                )
        if self.label_rate < 1 or self.drift <= 0 or self.minimum_rows < 1:
            raise DefinitionError(
                f"label_rate {self.label_rate}, drift {self.drift}, minimum_rows {self.minimum_rows}",
                where="DataPolicy", expected="a factor of 1 or more, a drift above 0, at least one row",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RetrainPolicy:
    """When to train a candidate: every `every`, on all mature rows since `since` back (None: all history)."""

    every: str = "7d"
    window: str | None = None

    def __post_init__(self) -> None:
        duration(self.every, where="RetrainPolicy.every")
        if self.window is not None:
            duration(self.window, where="RetrainPolicy.window")
