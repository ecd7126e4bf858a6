"""Imbalance: few positives among many rows, and what may be done about it.

**Imbalance** by itself breaks nothing: a probability of one in a thousand is a good answer. What breaks is what people
do about it. Weights and resampling change what a score means, so that it costs more than it saves wherever the score is
taken for a probability; a correction or a calibrator brings the meaning back, and often all that is left of the gain is
nothing. Whether it helps is a question to these data, and so few positives answer it with a wide interval.

    ok       class weights, corrected, held against doing nothing on the same later rows, over days
    not ok   class weights, as they come       a log loss twenty times that of the constant base rate
    not ok   an accuracy of 99.9%              of saying no to everybody, at one in a thousand
"""

from backstay.evaluation.imbalance.advice import Advice, ArmResult, Rows, Tried, advise
from backstay.evaluation.imbalance.corrections import to_base_rate, without_undersampling, without_weight
from backstay.evaluation.imbalance.curves import Bin
from backstay.evaluation.imbalance.influences import ap_values, auc_values, recall_values
from backstay.evaluation.imbalance.recommend import Contender, Recommendation, recommend
from backstay.evaluation.imbalance.resolution import Resolution, resolution, standard_error

__all__ = [
    "Advice",
    "ArmResult",
    "Bin",
    "Contender",
    "Recommendation",
    "Resolution",
    "Rows",
    "Tried",
    "advise",
    "ap_values",
    "auc_values",
    "recall_values",
    "recommend",
    "resolution",
    "standard_error",
    "to_base_rate",
    "without_undersampling",
    "without_weight",
]
