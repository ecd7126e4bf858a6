"""Why a model is worse online than it was offline: twelve causes, each priced in the metric's unit.

Everything here is a pure function of a `Case`: rows of both sides with their labels, scores and features, and what the
features would have been had one thing been otherwise. `lifecycle.why` gathers it from the records.
"""

from backstay.investigation.report import Investigation, Quality, Step
from backstay.investigation.verdicts import FIXES, Cause, State, Verdict, cannot_tell

__all__ = ["FIXES", "Cause", "Investigation", "Quality", "State", "Step", "Verdict", "cannot_tell"]
