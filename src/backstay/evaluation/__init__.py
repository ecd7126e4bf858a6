"""How good a model is, and how sure of that we may be.

A **metric** is one number for some rows. A number alone decides nothing: next week's would be another. So everything
that decides here is an `Interval`: an estimate, how far it may be off, and how many rows and clusters say so.

Rows are not independent. The flights of one stormy day are late together; the payments of one customer look alike. A
million such rows may hold the evidence of a few hundred. A **cluster** is the group within which rows lean on each
other (a day, an entity), and every interval counts clusters, not rows:

    ok       paired_difference(outcome, champion, candidate, clusters=day)     how sure, over days
    not ok   log_loss(outcome, candidate) < log_loss(outcome, champion)        true half the time by luck alone
    not ok   a bootstrap over rows                                             as if storms came one flight at a time

Two models are compared on the same rows, row by row: what makes a day hard is hard for both and cancels. A positive
difference always means that the candidate is better, whichever way the metric points.

What can't be known is not given a number. An AUC of rows of one class is not 0.5, an interval from one day is not wide:
both raise `NotEnough`, so that whoever asked has to say what they do without an answer.

Everything here is pure (arrays in, numbers out) and does not depend on the order of the rows, to the last bit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.evaluation.areas import auc_interval as auc_interval
    from backstay.evaluation.binary import BinaryEvaluation as BinaryEvaluation
    from backstay.evaluation.binary import evaluate as evaluate
    from backstay.evaluation.clustered import mean_interval as mean_interval
    from backstay.evaluation.clustered import paired_difference as paired_difference
    from backstay.evaluation.clustered import share_interval as share_interval
    from backstay.evaluation.comparison import Comparison as Comparison
    from backstay.evaluation.comparison import compare as compare
    from backstay.evaluation.decided import Costs as Costs
    from backstay.evaluation.interval import Estimate as Estimate
    from backstay.evaluation.interval import Insufficient as Insufficient
    from backstay.evaluation.interval import Interval as Interval
    from backstay.evaluation.interval import NotEnough as NotEnough
    from backstay.evaluation.interval import estimated as estimated
    from backstay.evaluation.metrics import auc as auc
    from backstay.evaluation.metrics import brier as brier
    from backstay.evaluation.metrics import log_loss as log_loss
    from backstay.evaluation.metrics import log_losses as log_losses
    from backstay.evaluation.quantiles import student_quantile as student_quantile
    from backstay.evaluation.units import Obstacle as Obstacle
    from backstay.evaluation.units import ScaleShift as ScaleShift
    from backstay.evaluation.units import obstacle as obstacle
    from backstay.evaluation.units import unit_mismatch as unit_mismatch

_NAMES = {
    "areas": ("auc_interval",),
    "binary": (
        "BinaryEvaluation",
        "evaluate",
    ),
    "clustered": (
        "mean_interval",
        "paired_difference",
        "share_interval",
    ),
    "comparison": (
        "Comparison",
        "compare",
    ),
    "decided": ("Costs",),
    "interval": (
        "Estimate",
        "Insufficient",
        "Interval",
        "NotEnough",
        "estimated",
    ),
    "metrics": (
        "auc",
        "brier",
        "log_loss",
        "log_losses",
    ),
    "quantiles": ("student_quantile",),
    "units": (
        "Obstacle",
        "ScaleShift",
        "obstacle",
        "unit_mismatch",
    ),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = [
    "BinaryEvaluation",
    "Comparison",
    "Costs",
    "Estimate",
    "Insufficient",
    "Interval",
    "NotEnough",
    "Obstacle",
    "ScaleShift",
    "auc",
    "auc_interval",
    "brier",
    "compare",
    "estimated",
    "evaluate",
    "log_loss",
    "log_losses",
    "mean_interval",
    "obstacle",
    "paired_difference",
    "share_interval",
    "student_quantile",
    "unit_mismatch",
]


def __getattr__(name: str) -> object:
    """Each name when it is first asked for: a server, which applies a rule, loads no statistics."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
