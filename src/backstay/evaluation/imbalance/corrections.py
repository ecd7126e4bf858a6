"""Corrections: from the probabilities of a model that learned from altered rows, back to those of the rows as they are.

Counting each positive w times, or keeping one negative in w, changes one thing only: the odds that a model learns are
w times the true ones, everywhere. Dividing them by w undoes it exactly, as far as the model had learned the altered
rows exactly. It changes no ranking, so it changes no AUC and no average precision; it makes the scores probabilities
again, which a cost, a threshold and a log loss need.

    class weights     w = the weight of a positive over that of a negative    Elkan 2001
    undersampling     w = 1 / share of negatives that were kept               Dal Pozzolo et al. 2015
    another base rate w = odds learned from / odds that hold                  Saerens et al. 2002

Oversampling with made-up rows (SMOTE) has no such formula, since the made-up rows are not drawn from the true ones:
a corrected SMOTE score is no probability. It needs a calibrator, fitted on rows that nothing was done to.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.metrics import Floats, as_numbers


def without_weight(probability: ArrayLike, weight: float) -> Floats:
    """What the probabilities are without the weight that each positive had over each negative, above 0.

    p / (p + w (1 - p)): Elkan 2001, "The foundations of cost-sensitive learning", theorem 2, for odds times w. Raises
    `InputError` for probabilities outside [0, 1] and for a weight that is not a finite number above 0.

    >>> without_weight([0.0, 0.5, 1.0], 9).tolist()
    [0.0, 0.1, 1.0]
    """
    p = as_numbers(probability, "probability")
    wrong = np.flatnonzero(~((p >= 0.0) & (p <= 1.0)))
    if wrong.size:
        found = f"{wrong.size} probabilities are outside [0, 1], the first is {p[wrong[0]]} in row {wrong[0]}"
        raise InputError(found, where="probability", expected="a number between 0 and 1")
    if not (weight > 0 and math.isfinite(weight)):
        raise InputError(f"the weight is {weight}", where="weight", expected="a finite number above 0")
    return np.asarray(p / (p + weight * (1.0 - p)), np.float64)


def without_undersampling(probability: ArrayLike, kept: float) -> Floats:
    """What the probabilities are of a model that learned from all positives and a share `kept` of the negatives.

    b p / (b p - p + 1): Dal Pozzolo et al. 2015, "Calibrating probability with undersampling for unbalanced
    classification", equation 4. `kept` is in (0, 1]; errors as for `without_weight`.

    >>> without_undersampling([0.5], kept=0.25).tolist()
    [0.2]
    """
    if not 0.0 < kept <= 1.0:
        raise InputError(f"{kept} of the negatives were kept", where="kept", expected="a share above 0, up to 1")
    return without_weight(probability, 1.0 / kept)


def to_base_rate(probability: ArrayLike, learned: float, actual: float) -> Floats:
    """What the probabilities are where the base rate is `actual` and not the one that was learned from.

    Saerens et al. 2002, "Adjusting the outputs of a classifier to new a priori probabilities", equation 4: right as
    long as only the base rate has changed, not what positives look like. Both rates are in (0, 1).

    >>> to_base_rate([0.5], learned=0.5, actual=0.1).round(9).tolist()
    [0.1]
    """
    for name, rate in (("learned", learned), ("actual", actual)):
        if not 0.0 < rate < 1.0:
            raise InputError(f"the base rate is {rate}", where=name, expected="between 0 and 1, neither of them")
    return without_weight(probability, learned / (1.0 - learned) * (1.0 - actual) / actual)
