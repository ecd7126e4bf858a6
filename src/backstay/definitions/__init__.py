"""What a user declares: entities, sources, features, labels, models, policies. Pure data: nothing here reads or writes.

A *definition* says what a thing is, never how it is computed: `Windowed(landings, by=carrier, over=["3h"],
delay=Mean("arr_delay"))` is turned into numbers by `backstay.features`, in training and in serving by the same code.
"""

from backstay.definitions.aggregates import (
    Aggregate,
    Count,
    Distinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Share,
    Std,
    Sum,
)
from backstay.definitions.blocks import Derived, Latest, Request, Windowed
from backstay.definitions.contracts import Contract, Expect
from backstay.definitions.entities import GLOBAL, Entity
from backstay.definitions.experiments import Metric
from backstay.definitions.fairness import Fairness
from backstay.definitions.feature import Feature
from backstay.definitions.features import FeatureSet
from backstay.definitions.gates import Calibrated, Parity, ServingBudget
from backstay.definitions.incidents import IncidentPolicy
from backstay.definitions.labels import Label
from backstay.definitions.models import Ask, Model
from backstay.definitions.monitors import DataRules, Monitor
from backstay.definitions.objectives import Objective
from backstay.definitions.policies import DataPolicy, GatePolicy
from backstay.definitions.readers import CsvFiles, DeltaTable, ParquetFiles, Reader, SqlQuery
from backstay.definitions.retraining import RetrainPolicy
from backstay.definitions.rollout import Breakers, Canary, Guard, Rollout, Shadow
from backstay.definitions.slices import Slice
from backstay.definitions.sources import EventSource
from backstay.definitions.tuning import Choice, FloatRange, IntRange, Tuning
from backstay.definitions.views import Value, View

__all__ = [
    "GLOBAL",
    "Aggregate",
    "Ask",
    "Breakers",
    "Calibrated",
    "Canary",
    "Choice",
    "Contract",
    "Count",
    "CsvFiles",
    "DataPolicy",
    "DataRules",
    "DeltaTable",
    "Derived",
    "Distinct",
    "Entity",
    "EventSource",
    "Expect",
    "Fairness",
    "Feature",
    "FeatureSet",
    "First",
    "FloatRange",
    "GatePolicy",
    "Guard",
    "IncidentPolicy",
    "IntRange",
    "Label",
    "Last",
    "Latest",
    "Max",
    "Mean",
    "Metric",
    "Min",
    "Model",
    "Monitor",
    "Objective",
    "Parity",
    "ParquetFiles",
    "Reader",
    "Request",
    "RetrainPolicy",
    "Rollout",
    "ServingBudget",
    "Shadow",
    "Share",
    "Slice",
    "SqlQuery",
    "Std",
    "Sum",
    "Tuning",
    "Value",
    "View",
    "Windowed",
]
