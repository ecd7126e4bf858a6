"""Slices: rows that have something in common, and for which a model is worse than for others.

A **slice** is declared (somebody knows which rows matter), pinned (it was found once and is watched since) or *found*.
Whoever looks at enough slices finds one that looks bad by luck alone; of a model that is equally good everywhere, the
worst of a thousand slices always looks terrible. So what was found on one half of the rows counts only if the other
half confirms it, all that were found being counted:

    ok       found on one half of the days, confirmed on the other, Holm over all that were tested
    not ok   the worst ten of a thousand slices, with their losses       they are the worst by construction
    not ok   halves of rows                                              both hold half of the same bad day

What was not looked at is said: columns without bins, words that are looked at together, slices with too few rows.
"""

from backstay.evaluation.slices.confirm import Compared, Least, Losses
from backstay.evaluation.slices.find import Found, FoundSlice, find_slices
from backstay.evaluation.slices.predicates import Condition, Predicate

__all__ = ["Compared", "Condition", "Found", "FoundSlice", "Least", "Losses", "Predicate", "find_slices"]
