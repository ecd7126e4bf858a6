"""Policies: what data and a candidate must show. Pure data; `rollout` and `lifecycle` act on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.gates import METRICS, REPRODUCIBLE, Calibrated, Parity, ServingBudget, checked_bounds


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
    expires:      how long an answer holds; after that the version is judged again before anything is done on it.

    What is asked only where it is declared:

    refresh_margin: the margin instead, where the candidate is a *refresh*: the champion's features, label, estimator
                    and parameters, trained on newer rows. Below 0: the loss that is put up with (non-inferiority).
    at_least, at_most: by metric, what must be shown whatever the champion does: {"auc": 0.7}. The interval's limit on
                    the far side must clear it.
    calibration:    how far what is said may be from what happens: `Calibrated`
    budget:         latency and size, measured on the files and in the runtime that serve: `ServingBudget`
    quarantined:    the largest share of the events of the training window, of any source, that may be in quarantine
    parity:         predictions served lately are computed again and are the same: `Parity`; not of a first version
    feature_tests:  feature tests of this definition have run, and all of them passed (`backstay check --tests`)
    reproducible:   "lineage": the manifest is complete and nothing was uncommitted; "exact": the version was made
                    again, and had the same bytes (`backstay check --reproduce`)
    evidence:       kinds of entries that the ledger must hold about the version or its model, none of them older than
                    `expires`: such as ("reproduction", "tests", "drill")
    """

    metric: str = "log_loss"
    margin: float = 0.0
    level: float = 0.95
    embargo: str = "1d"
    judge_after: str = "14d"
    minimum_rows: int = 1_000
    minimum_days: int = 7
    slice_margin: float = 0.01
    expires: str = "30d"
    refresh_margin: float | None = None
    at_least: Mapping[str, float] = field(default_factory=dict, hash=False)
    at_most: Mapping[str, float] = field(default_factory=dict, hash=False)
    calibration: Calibrated | None = None
    budget: ServingBudget | None = None
    quarantined: float | None = None
    parity: Parity | None = None
    feature_tests: bool = False
    reproducible: str | None = None
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise DefinitionError(f"metric {self.metric!r}", where="GatePolicy", expected="log_loss, brier or auc")
        if not 0.5 <= self.level < 1:
            raise DefinitionError(f"level {self.level}", where="GatePolicy", expected="between 0.5 and 1, such as 0.95")
        if not 0 <= self.slice_margin < float("inf"):
            raise DefinitionError(f"slice_margin {self.slice_margin}", where="GatePolicy", expected="0 or more")
        duration(self.embargo, where="GatePolicy.embargo")
        duration(self.judge_after, where="GatePolicy.judge_after")
        if duration(self.expires, where="GatePolicy.expires") == 0:
            raise DefinitionError("expires is 0", where="GatePolicy", expected='a duration, such as "30d"')
        self._check_declared()

    def _check_declared(self) -> None:
        """`DefinitionError` for what is declared beside the comparison and makes no sense."""
        where = "GatePolicy"
        if self.refresh_margin is not None and not math.isfinite(self.refresh_margin):
            raise DefinitionError(f"refresh_margin {self.refresh_margin}", where=where, expected="a number")
        checked_bounds(self.at_least, "at_least")
        checked_bounds(self.at_most, "at_most")
        if self.quarantined is not None and not 0 <= self.quarantined < 1:
            raise DefinitionError(f"quarantined {self.quarantined}", where=where, expected="a share, 0 to below 1")
        if self.reproducible is not None and self.reproducible not in REPRODUCIBLE:
            raise DefinitionError(
                f"reproducible={self.reproducible!r}", where=where, expected=" or ".join(map(repr, REPRODUCIBLE))
            )
        if not isinstance(self.feature_tests, bool):
            raise DefinitionError(f"feature_tests={self.feature_tests!r}", where=where, expected="True or False")
        if isinstance(self.evidence, str) or not all(isinstance(one, str) and one for one in self.evidence):
            raise DefinitionError(
                f"evidence={self.evidence!r}",
                where=where,
                expected="kinds of entries",
                fix='evidence=("reproduction",)',
            )
        object.__setattr__(self, "evidence", tuple(self.evidence))
        kinds = {"calibration": Calibrated, "budget": ServingBudget, "parity": Parity}
        for name, kind in kinds.items():
            given = getattr(self, name)
            if given is not None and not isinstance(given, kind):
                raise DefinitionError(
                    f"{name}={given!r} is none", where=where, expected=f"{kind.__name__}(...)",
                    fix=f"write {name}={kind.__name__}(...)",
                )  # fmt: skip

    def canonical(self) -> dict[str, Any]:
        """The policy as plain data: an answer that was given by another one no longer holds."""
        return asdict(self)


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
