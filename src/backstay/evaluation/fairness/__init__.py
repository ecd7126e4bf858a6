"""Fairness: whether a model's decisions treat groups alike, in which sense, and how sure of that we may be.

cells         the groups that attributes make of rows, alone and crossed; missing is a group
rates         each cell's rates with intervals that count clusters
pooled        what small cells borrow from the others
gaps          the largest difference between cells, beside what chance alone would make of it
calibration   whether the same score means the same in each group
conflict      which criteria can hold together here, and what holding two costs the rest
frontier      how small a gap thresholds for each group could make, and at what price
reweighing    sample weights with which group and outcome are independent
guide         from four questions to the criterion that is primary
report        all of it, for one model

ok       a gap of 0.29 over 24 groups, beside a noise floor of 0.35         INSUFFICIENT
not ok   a gap of 0.29, above 0.1: unfair                                    so is every fair model
ok       "there are no rows with outcome 1", of a group without any
not ok   a TPR of 0, of a group without any                                  a perfect model is then unfair
"""

from backstay.evaluation.fairness.cells import MISSING, Partition, partitions, states, tally
from backstay.evaluation.fairness.conflict import Conflict, Identity, Together, conflict, identities
from backstay.evaluation.fairness.frontier import Frontier, Point, frontier, place
from backstay.evaluation.fairness.gaps import CRITERIA, Finding, Gap, GapRule, adjusted, gap
from backstay.evaluation.fairness.guide import QUESTIONS, Answers, Proposal, given_up, propose
from backstay.evaluation.fairness.look import gaps_of
from backstay.evaluation.fairness.report import Cell, FairnessReport, Group, fairness_report, fitting_half
from backstay.evaluation.fairness.reweighing import reweighing

__all__ = [
    "CRITERIA",
    "MISSING",
    "QUESTIONS",
    "Answers",
    "Cell",
    "Conflict",
    "FairnessReport",
    "Finding",
    "Frontier",
    "Gap",
    "GapRule",
    "Group",
    "Identity",
    "Partition",
    "Point",
    "Proposal",
    "Together",
    "adjusted",
    "conflict",
    "fairness_report",
    "fitting_half",
    "frontier",
    "gap",
    "gaps_of",
    "given_up",
    "identities",
    "partitions",
    "place",
    "propose",
    "reweighing",
    "states",
    "tally",
]
