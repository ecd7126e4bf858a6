"""Arms against imbalance: each learns from a fold of rows in time, and answers the rows that come after it."""

from backstay.training.imbalance.arms import ARMS, Arm
from backstay.training.imbalance.task import Answer, NotApplicable, Task

__all__ = ["ARMS", "Answer", "Arm", "NotApplicable", "Task"]
