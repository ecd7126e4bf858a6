"""**Without labels**: what a metric will be on rows whose outcomes are not known yet.

A calibrated probability says what it will be right about: of rows with .9 one in ten is a mistake, and nobody has to
wait for the labels to count it. There are four ways to take that at its word, each with what it takes for granted:

    cbpe         scores mean what they meant on the reference (nannyML's *confidence-based performance estimation*)
    pape         scores mean what they meant on rows of the reference that look like these, by importance weights
    label_shift  only the prevalence has changed; it is found by maximum likelihood (Saerens et al. 2002)
    bbse         the same, by the share of positive decisions (Lipton, Wang and Smola 2018)

All of them are blind to the one change that hurts most, that the same rows come to have other outcomes: **none sees
concept drift**, each says so, and `backtest` tells how well each did once the labels came.

    estimate(reference, scores)                     what the AUC of these rows will be, and between what it will lie
    estimate(reference, scores, vector, method="pape")
    estimates(reference, scores)                    of all metrics at once
    backtest(estimates, realised)                   coverage, mean absolute error, and that of the best possible guess
"""

from backstay.evaluation.states import State
from backstay.evaluation.unlabelled.backtest import Backtest, backtest
from backstay.evaluation.unlabelled.estimate import ASSUMES, METHODS, Estimation, estimate, estimates
from backstay.evaluation.unlabelled.expected import METRICS
from backstay.evaluation.unlabelled.reference import ScoredReference

__all__ = [
    "ASSUMES",
    "METHODS",
    "METRICS",
    "Backtest",
    "Estimation",
    "ScoredReference",
    "State",
    "backtest",
    "estimate",
    "estimates",
]
