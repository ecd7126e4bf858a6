"""The seam between a model and whatever asks it: two methods."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Scorer(Protocol):
    """A loaded model."""

    def score(self, vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The probability of the positive class for each row of a float32 matrix (rows, inputs).

        The score of a row has the same bits whatever rows stand beside it. No rows give no scores. Another type or
        width is an `InputError`: nothing is cast behind the caller's back. Safe to call from several threads.
        """
        ...

    def close(self) -> None:
        """Let go of the model; `score` then raises."""
        ...
