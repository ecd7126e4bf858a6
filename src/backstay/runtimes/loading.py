"""Finds runtimes by their names, and loads versions of models with them.

A runtime enters by the entry-point group `backstay.runtimes`, the built-in ones too. In a package of one's own:

    [project.entry-points."backstay.runtimes"]
    mine = "my_package.runtime:MyRuntime"

A model then says `runtime="mine"`. The manifest of each version records which one wrote its files; that one loads them.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from typing import cast

import numpy as np

from backstay.core.errors import BackstayError, InputError
from backstay.definitions import Model
from backstay.runtimes.scorer import Read, Runtime, Scorer, Vector
from backstay.runtimes.trying import remember, rows_to_try

GROUP = "backstay.runtimes"
_WARM = (1, 32)
_logger = logging.getLogger("backstay.runtimes")


@cache
def runtime(name: str) -> Runtime:
    """The runtime of this name; `InputError` names those there are."""
    point = _own(name) or next(iter(entry_points(group=GROUP, name=name)), None)
    if point is None:
        raise InputError(
            f"there is no runtime {name!r}",
            where="runtime",
            expected=f"one of {', '.join(runtimes())}",
            fix=f"install the package that has it under the entry points {GROUP!r}; after an update, install again",
        )
    return cast("Runtime", point.load()())


def runtimes() -> list[str]:
    """The names of all runtimes there are."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def _own(name: str) -> EntryPoint | None:
    """The entry point of our own distribution: to look at all there are takes a tenth of a second."""
    try:
        found = distribution("backstay").entry_points.select(group=GROUP, name=name)
    except PackageNotFoundError:
        return None
    return next(iter(found), None)


def load(model: Model, format: str, read: Read, *, where: str = "") -> Scorer:
    """A version's files, loaded by the runtime that its manifest records, and run: a first request need not wait.

    A model that refuses every row it is tried with is loaded all the same, with a warning: it may score others.

    `InputError` if they can hold code and the model's definition, here, doesn't trust them (`trust_code`).
    """
    chosen = trusted(model, format, where)
    inputs = len(model.features.vector)
    scorer = chosen.load(read, inputs)
    where = where or f"model {model.name!r}"
    refused: Exception | None = None
    for row, must in rows_to_try(read, inputs):
        try:
            _run(scorer, row, format, where)
        except BackstayError:
            raise
        except Exception as error:  # the model's own, of any type: it may refuse this row, and score others
            refused = error
            if must:
                raise InputError(
                    f"the model raises on a row that it was trained on: {type(error).__name__}: {error}"[:400],
                    where=where,
                    expected="a model that scores what it was trained on, in any number of rows",
                    fix="train it again with the packages that are installed here",
                ) from error
        else:
            remember(scorer, row)
            return scorer
    _logger.warning("%s raises on zeros and on missing values, and was not tried with others: %s", where, refused)
    return scorer


def _run(scorer: Scorer, row: Vector, format: str, where: str) -> None:
    """One row and several are scored; refused if that gives no scores."""
    for rows in _WARM:
        found = scorer.score(np.repeat(row, rows, axis=0))
        if found.shape != (rows,) or found.dtype != np.float64:
            raise InputError(
                f"{rows} rows give scores of shape {found.shape} and type {found.dtype}",
                where=where,
                expected=f"float64 of shape ({rows},), as every runtime's scores",
                fix=f"mend the runtime {format!r}",
            )


def trusted(model: Model, format: str, where: str = "") -> Runtime:
    """The runtime, if this model may use it."""
    chosen = runtime(format)
    if chosen.code and not model.trust_code:
        raise InputError(
            f"files of the runtime {format!r} are code, which runs when they are loaded, and model {model.name!r} does "
            "not trust them",
            where=where or f"model {model.name!r}",
            expected="runtime='onnx', or a native one; their files are data",
            fix="if every version of it is yours, say Model(..., trust_code=True)",
        )
    return chosen
