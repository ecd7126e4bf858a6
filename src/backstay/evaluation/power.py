"""What a comparison could have shown: its **power**.

An interval that holds the margin does not say that there is no gain, only that these rows can't tell. How large a gain
they could have told, and how many rows the one they seem to show would take, decides what to do next: wait, or give up.

    margin 0 or above    superiority: better by more than the margin
    margin below 0       non-inferiority: not worse by more than that loss, which is put up with

Both ask one thing: is the whole interval above the margin?

>>> gain = Interval(0.004, -0.002, 0.010, level=0.95, n=12_000, clusters=30)
>>> print(shown(gain), shown(gain, margin=-0.005))
None True
>>> print(still_needed(gain))
about 42,400 rows more (106 clusters), if the gain stays at +0.0040
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.interval import Interval
from backstay.evaluation.quantiles import level_tails, student_quantile

POWER = 0.8
"""How often a gain that is there is to be shown."""


@dataclass(frozen=True, slots=True)
class Needed(Shown):
    """How much more of the same it takes to show a gain, in rows and in clusters, on top of what there is.

    gain: what is to be shown, if it stays so; power: how often it then would be
    """

    rows: int
    clusters: int
    gain: float
    power: float

    def __str__(self) -> str:
        word = "cluster" if self.clusters == 1 else "clusters"
        return f"about {self.rows:,} rows more ({self.clusters:,} {word}), if the gain stays at {self.gain:+.4f}"


def shown(gain: Interval, margin: float = 0.0) -> bool | None:
    """Is the gain above the margin? None where the interval holds the margin: these rows can't tell.

    Of models without a true difference, at the margin, True comes in at most half of 1 - level.
    """
    if not math.isfinite(margin):
        raise InputError(f"the margin is {margin}", where="margin", expected="a number")
    return True if gain.low > margin else False if gain.high < margin else None


def detectable(gain: Interval, power: float = POWER) -> float:
    """The minimum detectable effect: the least true gain over the margin that rows like these show so often.

    (t of the level + t of the power) x the standard error (Bloom 1995), in the gain's unit. The interval must be one
    around a difference, as far to either side. A power of 0.8 at 95%: 2.8 standard errors.

    >>> round(detectable(Interval(0.004, -0.002, 0.010, level=0.95, n=12_000, clusters=30)), 4)
    0.0085
    """
    return _both(gain, power) * _error(gain)


def still_needed(gain: Interval, margin: float = 0.0, power: float = POWER) -> Needed | None:
    """The rows and clusters still missing to show a gain as large as it seems; None where it does not seem to be one.

    The error shrinks with the root of the clusters, so it takes ((t + t') x error / (gain - margin))² times as many.
    The gain of few rows is a guess, and so is this: a gain that was noise needs more, and then more again.
    """
    if not 0.0 < power < 1.0:
        raise InputError(f"the power is {power}", where="power", expected="between 0 and 1, such as 0.8")
    if not gain.estimate > margin:
        return None
    times = (_both(gain, power) * _error(gain) / (gain.estimate - margin)) ** 2
    if not math.isfinite(times) or times * gain.n > 1e15:
        return None
    clusters = max(math.ceil(gain.clusters * times) - gain.clusters, 0)
    rows = float(f"{clusters * gain.n / gain.clusters:.3g}")  # three digits: it is a guess
    return Needed(math.ceil(rows), clusters, gain.estimate, power)


def _error(gain: Interval) -> float:
    return (gain.high - gain.low) / 2.0 / student_quantile(level_tails(gain.level)[1], gain.clusters - 1)


def _both(gain: Interval, power: float) -> float:
    if not 0.0 < power < 1.0:
        raise InputError(f"the power is {power}", where="power", expected="between 0 and 1, such as 0.8")
    df = gain.clusters - 1
    return student_quantile(level_tails(gain.level)[1], df) + student_quantile(power, df)
