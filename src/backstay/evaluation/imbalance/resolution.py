"""Resolution: how small a difference so many positives can show.

Of a million rows with one positive in a thousand, the thousand positives decide how sure anybody can be; and where they
come together (forty on the day of the storm), they count for fewer still. The **design effect** is how many times
larger the variance of the base rate is over clusters than it would be of independent rows (Kish 1965); the **effective
number of positives** is the positives over it. It is never taken to be more than there are.

What a comparison can resolve is said by `detectable` of its interval; smaller differences are not absent, they are
unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import as_outcome
from backstay.evaluation.quantiles import normal_quantile, student_quantile


@dataclass(frozen=True, slots=True)
class Resolution(Shown):
    """What some rows hold to learn from and to be judged on.

    prevalence:     positives over rows; `one_in` is its inverse
    clusters:       and how many of them hold a positive
    design_effect:  at least 1
    effective:      positives over the design effect
    recall:         half the width of a 95% interval of a recall of one half: what is known of it at best
    """

    rows: int
    positives: int
    prevalence: float
    clusters: int
    clusters_with_positives: int
    design_effect: float
    effective: float
    recall: float

    @property
    def one_in(self) -> float:
        """Of how many rows one is positive."""
        return 1.0 / self.prevalence


def resolution(outcome: ArrayLike, clusters: ArrayLike) -> Resolution:
    """What rows of `outcome` (0 or 1) in `clusters` (a day or an entity for each) can resolve.

    Raises `NotEnough` without rows of both outcomes or with fewer than two clusters, `InputError` as `mean_interval`.

    >>> found = resolution([1, 1, 0, 0, 0, 0, 0, 0], ["mon", "mon", "tue", "tue", "wed", "wed", "thu", "thu"])
    >>> found.positives, round(found.design_effect, 2), round(found.effective, 2)
    (2, 2.33, 0.86)
    """
    y = as_outcome(outcome)
    positives = int(np.count_nonzero(y))
    if positives in (0, y.size):
        raise NotEnough(f"{positives} of {y.size} rows have outcome 1", where="outcome", expected="rows of both")
    share = mean_interval(y, clusters)
    alone = share.estimate * (1.0 - share.estimate) / (y.size - 1)
    effect = max(1.0, standard_error(share) ** 2 / alone)
    effective = positives / effect
    reach = normal_quantile(0.975) * 0.5 / math.sqrt(effective)
    held = int(np.unique(np.asarray(clusters)[y]).size)
    return Resolution(
        y.size, positives, share.estimate, share.clusters, held, effect, effective, min(reach, 0.5)
    )  # fmt: skip


def standard_error(interval: Interval) -> float:
    """The standard error behind an interval of `mean_interval`: half its width over Student's quantile.

    >>> round(standard_error(mean_interval([1.0, 2.0, 3.0, 6.0], clusters=["mon", "mon", "tue", "wed"])), 4)
    1.299
    """
    reach = (interval.high - interval.low) / 2
    return reach / student_quantile(0.5 + interval.level / 2, interval.clusters - 1)
