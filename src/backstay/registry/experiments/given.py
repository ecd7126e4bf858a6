"""What a run is given: names, parameters and values, checked and made plain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from operator import index
from typing import Any

import numpy as np

from backstay.core.errors import InputError

_LONGEST = 250
_WHOLE = 1 << 63


def name_of(what: str, name: object) -> str:
    """The name, if it can be one: a text that is neither empty nor longer than a line."""
    if isinstance(name, str) and 0 < len(name) <= _LONGEST and name.isprintable():
        return name
    shown = repr(name) if len(repr(name)) < 80 else f"{repr(name)[:77]}..."
    raise InputError(f"{shown} cannot name a {what}", expected=f"a text of 1 to {_LONGEST} printable characters")


def text_of(what: str, value: object) -> str:
    """The value, if it is a text."""
    if isinstance(value, str):
        return value
    raise InputError(f"it is {value!r}", where=what, expected="a text", fix="say str(...) around it")


def real(name: str, value: object) -> float:
    """A metric's value as a float: any real number, a scalar of NumPy or a tensor of one element too."""
    if not isinstance(value, str | bytes | None) and hasattr(value, "__float__"):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise InputError(f"it is {value!r}", where=f"metric {name!r}", expected="a number", fix="log one value at a time")


def step_of(name: str, step: object) -> int:
    """A step as an integer of 64 bits."""
    try:
        number = index(step)  # type: ignore[arg-type]
    except TypeError:
        number = _WHOLE
    if not -_WHOLE <= number < _WHOLE:
        raise InputError(f"step {step!r}", where=f"metric {name!r}", expected="an integer of 64 bits")
    return number


def flat(parameters: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters as plain JSON values under plain names; what is nested gets a dotted one.

    >>> dict(flat({"depth": 6, "model": {"rate": np.float64(0.1), "steps": (1, 2)}}))
    {'depth': 6, 'model.rate': 0.1, 'model.steps': [1, 2]}
    """
    for name, value in parameters.items():
        full = before + (name if isinstance(name, str) else repr(name))
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{full}.")
        else:
            yield name_of("parameter", full), _plain(full, value)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case None | bool() | str():
            return value
        case int() if -_WHOLE <= value < _WHOLE:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case list() | tuple():
            return [_plain(name, one) for one in value]
        case Mapping():
            return {str(inner): _plain(name, one) for inner, one in value.items()}
    raise InputError(
        f"it is {value!r}",
        where=f"parameter {name!r}",
        expected="a JSON value: a text, a finite number, true or false, nothing, or a list of them",
        fix=f"say str({name}), or log it as a metric",
    )
