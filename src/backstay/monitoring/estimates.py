"""Quality before the labels come: what the loss of a window's rows will be, if scores go on meaning what they meant.

It goes by how often each score was given, on a grid of log-odds that is fine enough to be taken for the scores
themselves; grids add up, over workers and hours. It cannot see that the same rows come to have other outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.times import DAY
from backstay.definitions import Monitor
from backstay.evaluation.states import State
from backstay.evaluation.unlabelled import ScoredReference, estimate
from backstay.monitoring.assess import Found
from backstay.monitoring.signals import ESTIMATED_LOSS

CLIP = 1e-3
"""A log loss is bounded: what is said is taken to lie in [0.001, 0.999]."""
BOUNDS = {"log_loss": (0.0, -math.log(CLIP)), "brier": (0.0, 1.0)}
CELLS, _REACH = 256, 10.0
"""Cells of the grid, from -10 to 10 on log-odds."""
_SHOWN = 4
"""A window must be able to show a loss of so many margins above what is to be expected, or it is UNDERPOWERED."""
MOST = 20_000
"""Of more rows, a part in the same proportions: the interval is then that of so many, and too wide."""

NO_LONGER = "no_longer"
"""Evidence of a finding that is UNDERPOWERED for its baseline alone: it does not claim that all is well, and yet what
was found before is found no longer."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a version's scores from rows with labels that it had not learned from.

    reference: what its scores mean
    base:      the upper limit of its loss on these rows: what is not known about it is no harm
    unsure:    how far that lies above the loss itself
    """

    reference: ScoredReference
    base: float
    unsure: float = 0.0


def losses(metric: str, outcome: npt.NDArray[np.int8], score: Floats) -> Floats:
    """The loss of each row."""
    if metric == "brier":
        return np.asarray((score - outcome) ** 2, np.float64)
    sure = np.clip(score, CLIP, 1 - CLIP)
    return np.asarray(-np.where(outcome > 0, np.log(sure), np.log1p(-sure)), np.float64)


def grid(scores: Floats) -> tuple[int, ...]:
    """How often scores fall into each cell; empty where they are no probabilities.

    >>> sum(grid(np.array([0.0, 0.5, 1.0]))), grid(np.array([2.5]))
    (3, ())
    """
    there = scores[np.isfinite(scores)]
    if ((there < 0) | (there > 1)).any():
        return ()
    sure = np.clip(there, 1e-9, 1 - 1e-9)
    places = (np.log(sure / (1 - sure)) + _REACH) * (CELLS / (2 * _REACH))
    return tuple(np.bincount(np.clip(places.astype(np.int64), 0, CELLS - 1), minlength=CELLS).tolist())


def joined(*grids: Sequence[int]) -> tuple[int, ...]:
    """The grid of the rows of all; where one is no grid of probabilities, there is none."""
    return tuple(np.array(grids, np.int64).sum(axis=0).tolist()) if all(grids) else ()


def scores_of(counted: Sequence[int]) -> Floats:
    """The scores that a grid stands for: each the middle of its cell."""
    counts = np.asarray(counted, np.int64)
    if counts.sum() > MOST:
        counts = np.round(counts * (MOST / counts.sum())).astype(np.int64)
    middles = (np.arange(CELLS) + 0.5) * (2 * _REACH / CELLS) - _REACH
    return np.repeat(1 / (1 + np.exp(-middles)), counts)


def vague(unsure: float, monitor: Monitor) -> str:
    """Why a baseline is of too little to say that a loss has not risen, in a sentence; "" where it is not.

    unsure: how far its upper limit lies above what was measured. Where no margin is put up with, none is too far
    """
    if not monitor.margin or unsure <= _SHOWN * monitor.margin:
        return ""
    return (
        f"the rows it is held against are of too few windows: a {monitor.metric.replace('_', ' ')} that is up to "
        f"{unsure + monitor.margin:.3g} higher than theirs would not be told from it"
    )


def estimated(expected: Expected | None, windows: Sequence[Sequence[int]], monitor: Monitor) -> Found:
    """What the loss will be, beside what it was: the finding drifts where even its lower limit is above.

    windows: the grids of the last windows, the last one last; the earlier ones are taken with it where its rows alone
             could not show a loss of a few margins. What it costs is of the last one's rows, as of a day
    """
    rows = sum(windows[-1]) if windows else 0
    found = _estimated(expected, windows[-1] if windows else (), monitor, rows)
    if found.state is State.UNDERPOWERED and len(windows) > 1:
        return _estimated(expected, joined(*windows), monitor, rows)
    return found


def _estimated(expected: Expected | None, counted: Sequence[int], monitor: Monitor, rows: int) -> Found:
    metric = monitor.metric
    if expected is None or not counted or not sum(counted):
        why = "there are no rows" if expected else "there are no rows with labels that tell what its scores mean"
        return Found(ESTIMATED_LOSS, metric, State.NO_DATA, None, monitor.margin, why)
    told = estimate(expected.reference, scores_of(counted), metric=metric, method="cbpe")
    evidence: dict[str, Any] = {"baseline": expected.base, "rows": sum(counted), "assumes": told.assumes}
    if told.value is None or told.interval is None:
        return Found(ESTIMATED_LOSS, metric, State(str(told.state)), None, monitor.margin, told.why, evidence)
    low, high, excess = told.interval.low, told.interval.high, told.value - expected.base
    evidence |= {"estimate": told.value, "low": low, "high": high}
    if monitor.cost is not None:
        evidence["cost"] = max(excess, 0.0) * rows * monitor.cost * DAY / monitor.width
    why = f"{metric.replace('_', ' ')} {told.value:.4f} [{low:.4f}, {high:.4f}] is to be expected, if {told.assumes}"
    state = State.DRIFT if low > expected.base + monitor.margin else State.OK
    if state is State.OK and told.value - low > _SHOWN * max(monitor.margin, 1e-9):
        state = State.UNDERPOWERED
    if state is State.OK and (said := vague(expected.unsure, monitor)):
        state, why, evidence[NO_LONGER] = State.UNDERPOWERED, said, True
    return Found(ESTIMATED_LOSS, metric, state, excess, monitor.margin, why, evidence)
