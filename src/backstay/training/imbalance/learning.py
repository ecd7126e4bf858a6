"""How an arm learns: with no weights of the estimator's own, or with those that make both outcomes weigh the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.training.imbalance.task import Floats, NotApplicable, Outcome, Vector
from backstay.training.weights import fit_weighed

_NEUTRAL: dict[str, Any] = {"class_weight": None, "scale_pos_weight": 1.0, "is_unbalance": False}


def neutral(estimator: Any) -> tuple[str, ...]:
    """Take the weights of classes away that an estimator was defined with, and say which these were."""
    given = {name: value for name, value in estimator.get_params().items() if name.rpartition("__")[2] in _NEUTRAL}
    weights = {name: value for name, value in given.items() if value is True or value not in (None, 1, False)}
    estimator.set_params(**{name: _NEUTRAL[name.rpartition("__")[2]] for name in weights})
    return tuple(f"{name}={value!r} of its definition is set aside" for name, value in weights.items())


def scores(estimator: Any, vector: Vector) -> Floats:
    """The probability of outcome 1 of each row."""
    return np.asarray(estimator.predict_proba(vector)[:, 1], np.float64)


def learn_weighed(estimator: Any, vector: Vector, outcome: Outcome, weight: float) -> None:
    """Fit with each positive `weight` times as heavy as a negative, all rows together as heavy as without weights.

    By the sample weights of `fit`, of a pipeline's last step; else by a parameter `class_weight`. `NotApplicable` for
    an estimator that knows neither.
    """
    positives = float(np.count_nonzero(outcome))
    light = len(outcome) / (len(outcome) - positives + weight * positives)
    rows = np.where(outcome == 1, light * weight, light)
    if fit_weighed(estimator, vector, outcome, rows):
        return
    named = [name for name in estimator.get_params() if name.rpartition("__")[2] == "class_weight"]
    if not named:
        steps = getattr(estimator, "steps", None)
        kind = type(estimator if steps is None else steps[-1][1]).__name__
        raise NotApplicable(f"{kind} takes neither sample_weight nor class_weight")
    estimator.set_params(**{name: {0: light, 1: light * weight} for name in named})
    estimator.fit(vector, outcome)
