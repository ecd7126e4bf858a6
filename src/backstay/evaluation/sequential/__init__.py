"""Tests that may be looked at at any time: **anytime-valid** ones.

A canary is watched while it runs, and stopped at the first sign of harm. A test of fixed size is not made for that: of
a hundred looks at 1% each, one or another errs far more often than 1%. What is here keeps its level over all looks
together, whenever and for whatever reason one stops:

    HarmTest            is the candidate's rate of errors, or of any loss in [0, 1], above the champion's?
    MeanDifference      how far apart are the means of two arms: a confidence sequence
    PairedDifference    the same of differences on the same rows, such as a shadow's
    AssignmentTest      do the arms get the shares that they were meant to get?
    log_excess          is one rate above what is put up with? An e-value, of all there is

Each class is a state of a few plain numbers: `update` gives the next one, `as_dict` is what a record keeps of it, and
`from_dict` goes on where that left off. Rows are taken in blocks, and are independent given the blocks before: rows of
one entity lean on each other and count as one value.

What is not shown is not shown not to be: an e-value of 1 is no evidence, and neither is a long time without any.
"""

from backstay.evaluation.sequential.assignment import AssignmentTest
from backstay.evaluation.sequential.excess import log_excess
from backstay.evaluation.sequential.means import MeanDifference, PairedDifference, Reading
from backstay.evaluation.sequential.moments import Moments
from backstay.evaluation.sequential.rates import Counts, HarmTest

__all__ = [
    "AssignmentTest",
    "Counts",
    "HarmTest",
    "MeanDifference",
    "Moments",
    "PairedDifference",
    "Reading",
    "log_excess",
]
