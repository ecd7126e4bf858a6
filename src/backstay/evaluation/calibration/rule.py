"""A rule: what makes an answer of a version's score. A calibrator, if there is one, and a threshold.

>>> rule = Rule(threshold=0.2, calibrator=Calibrator("platt", (0.5, 0.0)), name="c1 t2")
>>> scores, decisions = rule([0.01, 0.9])
>>> scores.round(4).tolist(), decisions.tolist()
([0.0913, 0.75], [False, True])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.evaluation.calibration.calibrator import Calibrator


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold, and the calibrator before it.

    name: which calibration and threshold of the version these are, such as "c1 t2"; "" is the version's own threshold
    """

    threshold: float
    calibrator: Calibrator | None = None
    name: str = ""

    @classmethod
    def of(cls, threshold: float, calibrator: Mapping[str, Any] | None = None, name: str = "") -> Self:
        """The rule of what a record holds of it."""
        return cls(threshold, None if calibrator is None else Calibrator.from_dict(calibrator), name)

    def scores(self, raw: ArrayLike) -> NDArray[np.float64]:
        """The probability that is answered for each score of the version's files."""
        given = np.asarray(raw, np.float64)
        return given if self.calibrator is None else self.calibrator(given)

    def __call__(self, raw: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The probabilities, and what is decided on each: true from the threshold on. NaN is never true."""
        scores = self.scores(raw)
        return scores, np.asarray(scores >= self.threshold, np.bool_)
