"""The seams: a `Runtime` writes a trained estimator as files and loads them again; a `Scorer` is what it has loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from backstay.core.errors import BackstayError, InputError

Vector = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Read = Callable[[str], bytes]
"""Gives the content of a version's file by its name, verified."""


class Scorer(Protocol):
    """A loaded model."""

    def score(self, vector: Vector) -> Scores:
        """The probability of the positive class for each row of a float32 matrix (rows, inputs).

        The score of a row has the same bits whatever rows stand beside it, unless its runtime has a `tolerance`. No
        rows give no scores. Another type or width is an `InputError`: nothing is cast behind the caller's back. Safe
        to call from several threads, each of which it uses alone.
        """
        ...

    def close(self) -> None:
        """Let go of the model; `score` then raises."""
        ...


class Runtime(Protocol):
    """A way to keep a trained model in files and to score with them. Its name is that of its entry point.

    code:      loading a file of it may run what is in the file; only a model with `trust_code` may use it
    tolerance: how far a row's score may move with the rows beside it; 0.0: it has the same bits
    """

    code: bool
    tolerance: float

    def write(self, estimator: Any, names: Sequence[str]) -> dict[str, bytes]:
        """The files of a fitted estimator whose inputs have these names; the same estimator gives the same bytes.

        `BackstayError` says what of it these files can't say, and what to do.
        """
        ...

    def load(self, read: Read, inputs: int) -> Scorer:
        """The model of a version's files, on one thread. `InputError` if they are not one of `inputs` inputs."""
        ...


@runtime_checkable
class Refusing(Protocol):
    """A runtime that may write files whose scores an estimator would refuse, and can be told so."""

    def refuse_missing(self, files: Mapping[str, bytes], inputs: Sequence[int]) -> dict[str, bytes]:
        """The files, which give a row no score (NaN) where one of these inputs (by place) is missing."""
        ...


def checked(vector: Vector, inputs: int, model: object) -> Vector:
    """The vector, contiguous, of an open model; raises what `Scorer.score` says."""
    if vector.dtype != np.float32 or vector.ndim != 2 or vector.shape[1] != inputs:
        raise InputError(
            f"the model's input is {vector.dtype} of shape {vector.shape}",
            where="vector",
            expected=f"float32 of shape (rows, {inputs})",
            fix="score the vector that the model's feature set makes",
        )
    if model is None:
        raise BackstayError("the scorer is closed", fix="load the model again")
    return np.ascontiguousarray(vector)
