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

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.evaluation.calibration.calibrator import Calibrator as Calibrator
    from backstay.evaluation.calibration.fitting import KINDS as KINDS
    from backstay.evaluation.calibration.fitting import fit_calibrator as fit_calibrator
    from backstay.evaluation.calibration.rule import Rule as Rule
    from backstay.evaluation.calibration.thresholds import Threshold as Threshold
    from backstay.evaluation.calibration.thresholds import by_capacity as by_capacity
    from backstay.evaluation.calibration.thresholds import by_constraint as by_constraint
    from backstay.evaluation.calibration.thresholds import by_cost as by_cost
    from backstay.evaluation.calibration.thresholds import fixed as fixed

_NAMES = {
    "calibrator": ("Calibrator",),
    "fitting": (
        "KINDS",
        "fit_calibrator",
    ),
    "rule": ("Rule",),
    "thresholds": (
        "Threshold",
        "by_capacity",
        "by_constraint",
        "by_cost",
        "fixed",
    ),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
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


def __getattr__(name: str) -> object:
    """Each name when it is first asked for: a server, which applies a rule, loads no statistics."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
