"""Tuning: which parameters of an estimator are searched, and how a trial is scored. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.places import declared_at, located


@dataclass(frozen=True, slots=True)
class IntRange:
    """Whole numbers from `low` to `high`, both included; with `log`, as likely in each order of magnitude."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class FloatRange:
    """Numbers from `low` to `high`; with `log`, as likely in each order of magnitude."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """One of some values: texts, numbers, booleans or None."""

    options: tuple[Any, ...]

    def __init__(self, *options: Any) -> None:
        object.__setattr__(self, "options", options)


Space = IntRange | FloatRange | Choice


class Tuning:
    """How a model's estimator is tuned.

        Tuning({"num_leaves": IntRange(7, 127, log=True), "learning_rate": FloatRange(0.02, 0.3, log=True)})

    space:   by parameter of the estimator ("clf__alpha" inside a pipeline), the values that are tried
    folds:   how often a trial is scored: each time on a later part of the rows, trained on what was known before it
    embargo: how long before such a part the last label that is trained on must have been known
    group:   an entity key: rows of an entity that is scored are not trained on, for models that will meet new entities
    prune:   give a trial up whose first folds are worse than the median of those before

    The metric is that of the model's gate.
    """

    def __init__(
        self,
        space: Mapping[str, Space],
        *,
        folds: int = 3,
        embargo: str = "0s",
        group: str | None = None,
        prune: bool = True,
    ) -> None:
        self.place = declared_at()
        self.space, self.folds, self.group, self.prune = dict(space), folds, group, prune
        self.embargo = duration(embargo, where="Tuning.embargo")
        if not self.space:
            raise DefinitionError("there is nothing to tune", where=self.where, expected="a parameter and its values")
        for name, one in self.space.items():
            _check(name, one, self.where)
        if not 1 <= folds <= 20:
            raise DefinitionError(f"folds={folds}", where=self.where, expected="from 1 to 20")

    @property
    def where(self) -> str:
        """Its file and line, as errors name it."""
        return located("Tuning", self.place)

    def canonical(self) -> Sequence[Any]:
        """What makes two searches the same one."""
        space = [[name, type(one).__name__, *_told(one)] for name, one in sorted(self.space.items())]
        return [space, self.folds, self.embargo, self.group, self.prune]


def _told(one: Space) -> list[Any]:
    return list(one.options) if isinstance(one, Choice) else [one.low, one.high, one.log]


def _check(name: str, one: object, where: str) -> None:
    at = f"{where}, {name!r}"
    match one:
        case Choice():
            if len(one.options) < 2:
                raise DefinitionError("there is nothing to choose from", where=at, expected="two values or more")
            if not all(value is None or isinstance(value, str | int | float | bool) for value in one.options):
                raise DefinitionError("a choice is no plain value", where=at, expected="texts, numbers, booleans, None")
        case IntRange() | FloatRange():
            if not one.low < one.high or (one.log and one.low <= 0):
                expected = "low below high" + (", and above 0 with log" if one.log else "")
                raise DefinitionError(f"from {one.low} to {one.high}", where=at, expected=expected)
        case _:
            raise DefinitionError(f"{one!r}", where=at, expected="IntRange, FloatRange or Choice")
