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

from backstay.evaluation.areas import auc_interval
from backstay.evaluation.binary import BinaryEvaluation, evaluate
from backstay.evaluation.clustered import mean_interval, paired_difference, share_interval
from backstay.evaluation.comparison import Comparison, compare
from backstay.evaluation.decided import Costs
from backstay.evaluation.interval import Estimate, Insufficient, Interval, NotEnough, estimated
from backstay.evaluation.metrics import auc, brier, log_loss, log_losses
from backstay.evaluation.quantiles import student_quantile
from backstay.evaluation.units import Obstacle, ScaleShift, obstacle, unit_mismatch

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
