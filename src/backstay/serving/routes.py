"""A *route* says which version of a model answers a request. It is asked once a request, before anything is computed.

Today the champion answers everything; the choice carries its name and its propensity into the prediction's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from backstay.definitions import Model
from backstay.features.lookup import OnlineLookup
from backstay.registry.versions import ModelVersion
from backstay.runtimes.scorer import Scorer
from backstay.serving.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Cost:
    """What scoring takes, in seconds: `fixed` a batch and `each` a row, measured when the model was loaded."""

    fixed: float
    each: float

    def of(self, rows: int) -> float:
        return self.fixed + self.each * rows

    @classmethod
    def measured(cls, scorer: Scorer, width: int, rows: int = 64) -> Cost:
        """The best of a few runs, of one row and of many; the rows vary, or a tree's branches would be foretold."""
        matrix = np.random.default_rng(0).normal(0, 100, (rows, width)).astype(np.float32)
        one, many = (min(_timed(scorer, matrix[:count]) for _ in range(3)) for count in (1, rows))
        each = max(many - one, 0.0) / (rows - 1)
        return cls(max(one - each, 0.0), each)


def _timed(scorer: Scorer, matrix: np.ndarray) -> float:
    begin = perf_counter()
    scorer.score(matrix)
    return perf_counter() - begin


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A loaded version of a model: everything that a request needs, immutable."""

    model: Model
    version: ModelVersion
    scorer: Scorer
    lookup: OnlineLookup
    threshold: float
    cost: Cost


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that answers a request, on which route, and with which probability it was chosen."""

    served: ServedModel
    route: str
    propensity: float


class Route:
    """The versions that answer for one model. What serves is replaced in one assignment, never changed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.unloaded = False
        """Whether an operator took the model out of service."""
        self._champion: Choice | None = None

    @property
    def served(self) -> ServedModel | None:
        """The champion that is loaded."""
        return None if self._champion is None else self._champion.served

    @served.setter
    def served(self, served: ServedModel | None) -> None:
        self._champion = None if served is None else Choice(served, "champion", 1.0)

    def choose(self) -> Choice:
        """Who answers the next request. Raises `Refusal` (503) if nobody can."""
        choice = self._champion
        if choice is None:
            raise self.missing()
        return choice

    def missing(self) -> Refusal:
        """Why nobody answers."""
        name = self.model.name
        if self.unloaded:
            return Refusal(
                503, f"model {name!r} was unloaded", field="model", fix=f"POST /v2/repository/models/{name}/load"
            )
        return Refusal(
            503, f"model {name!r} has no champion", field="model", fix=f"backstay promote NUMBER --model {name}"
        )

    def version(self, number: str) -> None:
        """Raise `Refusal` (404) unless this version, as a URL names it, is served; "" is whichever is."""
        served = self.choose().served
        if number and number != str(served.version.number):
            raise Refusal(
                404,
                f"version {number!r} of model {self.model.name!r} is not served",
                field="version",
                expected=f"{served.version.number}, or none",
                fix="leave the version out: the route decides",
            )


def found(routes: Mapping[str, Route], name: str) -> Route:
    """The route of a model. Raises `Refusal` (404) if there is none of this name."""
    route = routes.get(name)
    if route is None:
        raise Refusal(404, f"there is no model {name!r}", field="model", expected=f"one of {sorted(routes)}")
    return route
