"""Whether a new model may take over: gates that read evidence and answer PASS, FAIL or INSUFFICIENT.

A **gate** asks one question of the evidence and gives a `Check`: the answer, a sentence with the numbers behind it, and
the numbers. A `Decision` joins the checks of one promotion. There are three answers, because "not shown to be worse" is
not "shown to be better", and because a check that could not be made has not been passed:

    PASS           the evidence shows it, by the margin the policy asks for
    FAIL           the evidence shows the opposite
    INSUFFICIENT   it can't tell: too few rows or days, one class only, evidence missing, stale or in error

Gates are pure functions of the evidence. They read no store and no clock, so a decision can be repeated from the ledger
years later, on the evidence that it names.
"""

from backstay.rollout.gate import (
    ComparisonPolicy,
    GateRule,
    better_than_champion,
    better_than_constant,
    complete,
    trained_as_served,
)
from backstay.rollout.slices import SlicePolicy, holds_on_slices
from backstay.rollout.verdict import Check, Decision, Verdict

__all__ = [
    "Check",
    "ComparisonPolicy",
    "Decision",
    "GateRule",
    "SlicePolicy",
    "Verdict",
    "better_than_champion",
    "better_than_constant",
    "complete",
    "holds_on_slices",
    "trained_as_served",
]
