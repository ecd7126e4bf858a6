"""A **harm detector**: has the loss risen above its baseline by more than is put up with, and since when?

It is the mixture of e-detectors of Shin, Ramdas and Rinaldo (2023), in the manner of Shiryaev (1963) and Roberts
(1966). In every block it bets, at odds t, that losses are above `allowed`, the baseline plus the margin; a loss x in
[0, 1] multiplies the stake by

    (1 + x (t - 1)) / (1 + allowed (t - 1))

which is a fair bet or worse as long as the mean of x, given what came before, is at most `allowed`. A new stake of 1 is
laid at the beginning of every block, since nobody knows when harm begins, and none is taken away: the detector's value
after n blocks is at most n on average. So the mean number of blocks until it reaches 1 / level is at least 1 / level
where there is no harm, however the losses are distributed and whatever they were before.

Rows lean on each other, in two ways, and each has an answer:

    clusters   rows of one entity in one block count as one value, their mean: valid however they hang together
    design     days that differ by more than their rows do: the logarithm of a bet is divided by the design effect,
               which makes the bet fair again where a block's sum is about normal; it is 1 + (n - 1) rho, with n rows
               of the block and the correlation rho of rows of one day (Kish 1965), so that it fits blocks of any size

    ok       losses of rows that are mature, one block a day      what has arrived early is another kind of row
    ok       baseline: the upper limit of the interval of the loss on rows that the model was not trained on
    not ok   baseline: the loss on the training rows              every new row is worse than those
    not ok   the same rows in two blocks                          evidence is counted twice; `update` refuses a time
                                                                  that is not later

>>> detector, day = HarmDetector(baseline=0.10, margin=0.01), 86_400_000_000
>>> for number in range(60):
...     errors = np.arange(200) % 20 < (2 if number < 40 else 4)     # 10%, and from day 40 on 20%
...     detector = detector.update(errors, at=number * day)
>>> detector.alarm, detector.alarmed_at // day, detector.since // day
(True, 41, 40)
>>> HarmDetector.from_dict(detector.as_dict()) == detector
True
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.influence import Linear, cluster_sums, linear_variance
from backstay.evaluation.interval import Interval
from backstay.evaluation.metrics import Floats, as_numbers
from backstay.evaluation.quantiles import chi2_quantile
from backstay.evaluation.sequential.rates import ODDS, WEIGHTS

LEVEL = 0.00025
"""One false alarm in at least 4,000 looks on average: eleven years of daily ones."""
_UNSURE = 0.1
"""Few days tell little of how much days differ: the upper limit is taken that is too low in one of ten cases."""
_BEFORE = (-math.inf,) * len(ODDS)
_NEVER = (-1,) * len(ODDS)


@dataclass(frozen=True, slots=True)
class HarmDetector(Shown):
    """The state of one detector: a few plain numbers, to be kept as `as_dict()` and taken up again by `from_dict`.

    baseline:   the mean loss when all was well, in the unit of the losses
    margin:     by how much more is put up with, likewise
    level:      one over the average number of looks until a false alarm, at the least
    bounds:     between which losses lie; what is beyond counts as the bound, for the baseline too
    design:     how many rows are worth one, 1 or more: how much more blocks' means vary than independent rows' would
    rho:        the correlation of rows of one block, 0 to 1; where it is known the design effect is that of each
                block's rows, and `design` tells what it was of the blocks that it was learned from
    log_values: the logarithm of the value of each bet, by `ODDS`; log_runs: that of the best stake laid so far, and
                `starts`, when it was laid (microseconds)
    at:         the last block's time; blocks, rows: how many there were; total: the sum of the losses, in [0, 1]
    alarmed_at: when the alarm that is on began; None: there is none
    unsure:     how far the baseline lies above the loss that was measured, in the unit of the losses: harm up to so
                much and the margin is not seen. It is wide where few days were measured: two tell next to nothing

    Raises `InputError` for a baseline outside the bounds, a margin below 0, or a level outside (0, 1).
    """

    baseline: float
    margin: float = 0.0
    level: float = LEVEL
    bounds: tuple[float, float] = (0.0, 1.0)
    design: float = 1.0
    log_values: tuple[float, ...] = _BEFORE
    log_runs: tuple[float, ...] = _BEFORE
    starts: tuple[int, ...] = _NEVER
    at: int | None = None
    blocks: int = 0
    rows: int = 0
    total: float = 0.0
    alarmed_at: int | None = None
    rho: float | None = None
    unsure: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not -math.inf < low < high < math.inf:
            raise InputError(f"the bounds are {self.bounds}", where="bounds", expected="two numbers, the lower first")
        if not (low <= self.baseline <= high and self.margin >= 0.0):
            found = f"a baseline of {self.baseline} with a margin of {self.margin}"
            raise InputError(found, where="baseline", expected=f"a loss in [{low}, {high}], a margin of 0 or more")
        if not 0.0 < self.level < 1.0:
            raise InputError(f"the level is {self.level}", where="level", expected="between 0 and 1, such as 0.00025")
        if not 1.0 <= self.design < math.inf:
            raise InputError(f"the design effect is {self.design}", where="design", expected="1 or more")
        if self.rho is not None and not 0.0 <= self.rho <= 1.0:
            raise InputError(f"the correlation is {self.rho}", where="rho", expected="between 0 and 1")
        if not len(self.log_values) == len(self.log_runs) == len(self.starts) == len(ODDS):
            raise InputError("the state has another number of bets", where="log_values", fix="start the detector anew")

    @classmethod
    def against(
        cls, measured: Interval, margin: float = 0.0, *, level: float = LEVEL, bounds: tuple[float, float] = (0.0, 1.0),
        design: float = 1.0,
    ) -> HarmDetector:  # fmt: skip
        """A detector against a loss that was measured: the baseline is its interval's upper limit, since what is not
        known about the baseline is no harm.

        >>> HarmDetector.against(Interval(0.10, 0.09, 0.11, level=0.95, n=3_500, clusters=30)).baseline
        0.11
        """
        base, unsure = min(max(measured.high, bounds[0]), bounds[1]), measured.high - measured.estimate
        return cls(base, margin, level, bounds, design, unsure=unsure)

    @classmethod
    def learned(
        cls, losses: ArrayLike, days: ArrayLike, margin: float = 0.0, *, level: float = LEVEL,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> HarmDetector:  # fmt: skip
        """A detector against the losses of rows that the model was not trained on, such as those it was judged on.

        days: one block a row; blocks to come may have more rows or fewer. The baseline is the upper limit of the mean
        loss over days, and the design effect how much more days differ than their rows would make them, from which
        follows how far rows of a day hang together at the most. `NotEnough` with fewer than two days.

        >>> random = np.random.default_rng(0)
        >>> detector = HarmDetector.learned(random.random(6_000) < 0.1, np.arange(6_000) // 200)
        >>> round(detector.baseline, 3), round(detector.design, 1)
        (0.114, 1.5)
        """
        low, high = bounds
        x = np.clip(as_numbers(losses, "losses"), low, high)
        measured = mean_interval(x, days)
        gap = (x - measured.estimate) / max(x.size, 1)
        spread, free, _ = linear_variance(Linear(measured.estimate, gap), days)
        alone = math.fsum(np.square(gap).tolist())
        design = max(spread / alone, 1.0) if alone else 1.0
        sizes = np.unique(np.asarray(days), return_counts=True)[1]
        worth = float(np.square(sizes).sum()) / x.size  # of how many rows a day is, where days differ
        most = max(spread / alone * free / chi2_quantile(_UNSURE, free), 1.0) if alone else 1.0
        rho = min((most - 1.0) / (worth - 1.0), 1.0) if worth > 1.0 else 0.0
        return replace(cls.against(measured, margin, level=level, bounds=bounds, design=design), rho=rho)

    @property
    def allowed(self) -> float:
        """The mean loss that is put up with, in [0, 1]; 1: nothing is harm."""
        low, high = self.bounds
        return min((self.baseline + self.margin - low) / (high - low), 1.0)

    def update(self, losses: ArrayLike, at: int, clusters: ArrayLike | None = None) -> HarmDetector:
        """The detector after one block more: the losses of the rows that have become mature, shape (rows,).

        at:       the block's time, such as the start of its day (microseconds), later than the last
        clusters: one entity a row; None: rows of a block lean on each other by no more than `design` says

        A block without rows says nothing, and only its time is kept. Raises `InputError` for NaN, lengths that differ,
        or a time that is not later: it has been counted.
        """
        if self.at is not None and at <= self.at:
            raise InputError(
                f"the block at {at} is not later than the last, at {self.at}", where="at",
                expected="one block a time, in order", fix="leave out what was counted already",
            )  # fmt: skip
        scaled = self._scaled(losses)
        if not scaled.size:
            return replace(self, at=int(at))
        bets = self._bets(scaled if clusters is None else _means(scaled, clusters))
        before, run = np.array(self.log_values), np.array(self.log_runs)
        anew = run <= 0.0
        starts = tuple(int(at) if new else start for new, start in zip(anew, self.starts, strict=True))
        after = np.logaddexp(before, 0.0) + bets
        over = float(_mixed(after)) + math.log(self.level)  # 0 or more: an alarm
        if over > 0.0:  # what is cut off is no loss of validity, and a harm that ends is seen to end
            after -= over
        value = float(_mixed(after))
        on = over >= 0.0 or (self.alarmed_at is not None and value > 0.0)
        return replace(
            self,
            log_values=tuple(after.tolist()),
            log_runs=tuple((np.maximum(run, 0.0) + bets).tolist()),
            starts=starts,
            at=int(at),
            blocks=self.blocks + 1,
            rows=self.rows + int(scaled.size),
            total=self.total + math.fsum(scaled.tolist()),
            alarmed_at=(int(at) if self.alarmed_at is None else self.alarmed_at) if on else None,
        )

    @property
    def value(self) -> float:
        """The detector's value, at most the number of blocks on average where there is no harm, cut at 1 / level."""
        return math.exp(float(_mixed(np.array(self.log_values))))

    @property
    def alarm(self) -> bool:
        """Is there harm? On when the value reaches 1 / level, and off when it has fallen to 1: the evidence is gone."""
        return self.alarmed_at is not None

    @property
    def since(self) -> int | None:
        """When the harm began, at a guess: the start of the block that the best bet was laid in; None: no alarm."""
        return None if self.alarmed_at is None else self.starts[self._best()]

    @property
    def mean(self) -> float | None:
        """The mean loss of all rows, in the unit of the losses; None: there were none."""
        low, high = self.bounds
        return low + self.total / self.rows * (high - low) if self.rows else None

    def as_dict(self) -> dict[str, Any]:
        """What it says, and the state, as plain values; `from_dict` takes the state back."""
        told: dict[str, Any] = {
            "alarm": self.alarm, "since": self.since, "value": self.value, "mean": self.mean,
            "baseline": self.baseline, "margin": self.margin, "level": self.level, "bounds": list(self.bounds),
            "design": self.design, "at": self.at, "blocks": self.blocks, "rows": self.rows, "total": self.total,
            "alarmed_at": self.alarmed_at, "starts": list(self.starts), "rho": self.rho, "unsure": self.unsure,
        }  # fmt: skip
        for name in ("log_values", "log_runs"):  # JSON knows no infinity: None is the value of no bet
            told[name] = [None if math.isinf(one) else one for one in getattr(self, name)]
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> HarmDetector:
        """The detector that these plain values are the state of."""
        values, runs = (
            tuple(-math.inf if one is None else float(one) for one in told[name]) for name in ("log_values", "log_runs")
        )
        return cls(
            told["baseline"], told["margin"], told["level"], (told["bounds"][0], told["bounds"][1]), told["design"],
            values, runs, tuple(told["starts"]), told["at"], told["blocks"], told["rows"], told["total"],
            told["alarmed_at"], told.get("rho"), told.get("unsure", 0.0),
        )  # fmt: skip

    def _scaled(self, losses: ArrayLike) -> Floats:
        x = as_numbers(losses, "losses")
        if np.isnan(x).any():
            found = f"{int(np.isnan(x).sum())} losses are NaN"
            raise InputError(found, where="losses", expected="a loss a row", fix="leave out rows without a label")
        low, high = self.bounds
        return np.asarray((np.clip(x, low, high) - low) / (high - low), np.float64)

    def _bets(self, values: Floats) -> Floats:
        """The logarithm of what a block multiplies each stake by, shape (odds,)."""
        more = np.array(ODDS) - 1.0
        different, counts = np.unique(values, return_counts=True)  # errors are 0 or 1: two logarithms and not a million
        won = np.log1p(np.multiply.outer(more, different)) @ counts - values.size * np.log1p(self.allowed * more)
        design = self.design if self.rho is None else 1.0 + (values.size - 1) * self.rho
        return np.asarray(won / design, np.float64)

    def _best(self) -> int:
        return int(np.argmax(np.array(self.log_runs) + np.log(WEIGHTS)))


def _means(values: Floats, clusters: ArrayLike) -> Floats:
    """The mean of each cluster's values."""
    labels = np.asarray(clusters)
    if labels.shape != values.shape:
        found = f"there are {labels.size} clusters for {values.size} rows"
        raise InputError(found, where="clusters", expected="one for each row")
    names, codes = np.unique(labels, return_inverse=True)
    return np.asarray(np.clip(cluster_sums(values, codes, names.size) / np.bincount(codes), 0.0, 1.0), np.float64)


def _mixed(log_values: Floats) -> Floats:
    return np.asarray(np.logaddexp.reduce(log_values + np.log(WEIGHTS)), np.float64)
