"""What a user declares: entities, sources, features, labels, models, policies. Pure data: nothing here reads or writes.

A *definition* says what a thing is, never how it is computed: `Windowed(landings, by=carrier, over=["3h"],
delay=Mean("arr_delay"))` is turned into numbers by `backstay.features`, in training and in serving by the same code.
"""

from backstay.definitions.entities import Entity
from backstay.definitions.features import (
    Aggregate,
    Count,
    Derived,
    Feature,
    FeatureSet,
    Latest,
    Mean,
    Request,
    Share,
    Sum,
    View,
    Windowed,
)
from backstay.definitions.labels import Label
from backstay.definitions.models import Ask, Model
from backstay.definitions.policies import GatePolicy, RetrainPolicy
from backstay.definitions.sources import EventSource

__all__ = [
    "Aggregate",
    "Ask",
    "Count",
    "Derived",
    "Entity",
    "EventSource",
    "Feature",
    "FeatureSet",
    "GatePolicy",
    "Label",
    "Latest",
    "Mean",
    "Model",
    "Request",
    "RetrainPolicy",
    "Share",
    "Sum",
    "View",
    "Windowed",
]
