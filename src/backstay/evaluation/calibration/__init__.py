"""Calibration: what turns a score into a probability that means what it says; and thresholds, which turn that into a
decision.

A **calibrator** is fitted on rows that the model has not learned from, and belongs to one version of it. A
**threshold** is the least probability that is decided `true`: chosen from what errors cost, from how many cases a day
can be looked at, or from a share that must be right. Both are artefacts of their own: a threshold is changed without
training, and each has a number, evidence and a history.

    ok       fitted on rows after the training cut-off, chosen by how many positives there are
    not ok   fitted on the training rows          the model is sure of what it has seen
    not ok   isotonic from 40 positives           steps that are noise
"""

from backstay.evaluation.calibration.calibrator import Calibrator
from backstay.evaluation.calibration.fitting import KINDS, fit_calibrator
from backstay.evaluation.calibration.rule import Rule
from backstay.evaluation.calibration.thresholds import Threshold, by_capacity, by_constraint, by_cost, fixed

__all__ = [
    "KINDS",
    "Calibrator",
    "Rule",
    "Threshold",
    "by_capacity",
    "by_constraint",
    "by_cost",
    "fit_calibrator",
    "fixed",
]
