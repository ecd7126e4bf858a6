"""Backstay: the production half of machine learning in one package.

    from backstay import Project
    Project("examples/flights").status()

Names are loaded when they are first used, so `import backstay` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.core.errors import BackstayError as BackstayError
    from backstay.definitions import Ask as Ask
    from backstay.definitions import Breakers as Breakers
    from backstay.definitions import Calibrated as Calibrated
    from backstay.definitions import Canary as Canary
    from backstay.definitions import Choice as Choice
    from backstay.definitions import Contract as Contract
    from backstay.definitions import Count as Count
    from backstay.definitions import CsvFiles as CsvFiles
    from backstay.definitions import DataPolicy as DataPolicy
    from backstay.definitions import DataRules as DataRules
    from backstay.definitions import DeltaTable as DeltaTable
    from backstay.definitions import Derived as Derived
    from backstay.definitions import Distinct as Distinct
    from backstay.definitions import Entity as Entity
    from backstay.definitions import EventSource as EventSource
    from backstay.definitions import Expect as Expect
    from backstay.definitions import Fairness as Fairness
    from backstay.definitions import FeatureSet as FeatureSet
    from backstay.definitions import First as First
    from backstay.definitions import FloatRange as FloatRange
    from backstay.definitions import GatePolicy as GatePolicy
    from backstay.definitions import Guard as Guard
    from backstay.definitions import IncidentPolicy as IncidentPolicy
    from backstay.definitions import IntRange as IntRange
    from backstay.definitions import Label as Label
    from backstay.definitions import Last as Last
    from backstay.definitions import Latest as Latest
    from backstay.definitions import Max as Max
    from backstay.definitions import Mean as Mean
    from backstay.definitions import Metric as Metric
    from backstay.definitions import Min as Min
    from backstay.definitions import Model as Model
    from backstay.definitions import Monitor as Monitor
    from backstay.definitions import Objective as Objective
    from backstay.definitions import Parity as Parity
    from backstay.definitions import ParquetFiles as ParquetFiles
    from backstay.definitions import Request as Request
    from backstay.definitions import RetrainPolicy as RetrainPolicy
    from backstay.definitions import Rollout as Rollout
    from backstay.definitions import ServingBudget as ServingBudget
    from backstay.definitions import Shadow as Shadow
    from backstay.definitions import Share as Share
    from backstay.definitions import Slice as Slice
    from backstay.definitions import SqlQuery as SqlQuery
    from backstay.definitions import Std as Std
    from backstay.definitions import Sum as Sum
    from backstay.definitions import Tuning as Tuning
    from backstay.definitions import Windowed as Windowed
    from backstay.project import Project as Project

__version__ = "0.1.0"

_DEFINITIONS = (
    "Ask", "Breakers", "Calibrated", "Canary", "Choice", "Contract", "Count", "CsvFiles", "DataPolicy", "DataRules",
    "DeltaTable", "Derived", "Distinct", "Entity", "EventSource", "Expect", "Fairness", "FeatureSet", "First",
    "FloatRange", "GatePolicy", "Guard", "IncidentPolicy", "IntRange", "Label", "Last", "Latest", "Max", "Mean",
    "Metric", "Min", "Model", "Monitor", "Objective", "ParquetFiles", "Parity", "Request", "RetrainPolicy", "Rollout",
    "ServingBudget", "Shadow", "Share", "Slice", "SqlQuery", "Std", "Sum", "Tuning", "Windowed",
)  # fmt: skip
_HOMES = dict.fromkeys(_DEFINITIONS, "backstay.definitions")
_HOMES |= {"Project": "backstay.project", "BackstayError": "backstay.core.errors"}
__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'backstay' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
