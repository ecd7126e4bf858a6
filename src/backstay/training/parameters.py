"""An estimator's parameters as plain values, for the manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

SEEDS = ("random_state", "seed", "random_seed")
"""What estimators call the parameter that is their seed."""


def qualified_name(value: Any) -> str:
    """The name of an object's class, or of a function or class itself, with its module.

    >>> qualified_name({}), qualified_name(math.floor)
    ('builtins.dict', 'math.floor')
    """
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def plain_parameters(estimator: Any) -> dict[str, Any]:
    """Every parameter of an estimator, the nested ones too, as JSON values: the same for the same estimator.

    An object stands as the name of its class; its own parameters follow under its name ("clf__alpha").
    """
    return {str(name): _plain(value) for name, value in estimator.get_params().items()}


def _plain(value: Any) -> Any:
    """A JSON value. What JSON does not know is named, never shown with an address that changes.

    >>> _plain({"a": (1, np.float64(0.5)), "b": float("nan"), "c": object()})
    {'a': [1, 0.5], 'b': 'nan', 'c': 'builtins.object'}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return qualified_name(value)
