"""Scikit-learn's own objects, pickled. A pickle is code: whoever wrote it runs as whoever loads it.

It is for what has no other form, and for models that trust it by name (`trust_code=True`): every other runtime's files
are data. A pickle is bound to the scikit-learn that wrote it; another one is refused.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from backstay.core.errors import BackstayError, InputError
from backstay.core.packages import need
from backstay.runtimes.scorer import Read, Scorer, Scores, Vector, checked

FILE = "model.pkl"


class PickleRuntime:
    """`Runtime` of pickled scikit-learn estimators."""

    code = True
    tolerance = 1e-6  # linear algebra over one row and over many: another order of the same sum

    def write(self, estimator: Any, names: Sequence[str]) -> dict[str, bytes]:
        try:
            return {FILE: pickle.dumps(estimator, protocol=5)}
        except Exception as error:  # a part that can't be pickled raises what it likes
            raise BackstayError(
                f"{type(estimator).__qualname__} cannot be pickled: {error}",
                where="estimator",
                expected=f"an estimator over {len(names)} features, of importable classes and functions",
                fix="define its functions in a module, not in a lambda or in another function",
            ) from error

    def load(self, read: Read, inputs: int) -> Scorer:
        return PickleScorer(read(FILE), inputs)


class PickleScorer:
    """`Scorer` of a pickled estimator, for `inputs` features a row. Makes one only of bytes that are trusted."""

    def __init__(self, data: bytes, inputs: int) -> None:
        self._inputs = inputs
        need("sklearn")
        self._estimator: Any = _loaded(data)
        if getattr(self._estimator, "n_features_in_", inputs) != inputs:
            raise InputError(
                f"the model takes {self._estimator.n_features_in_} features",
                where=FILE,
                expected=f"{inputs}",
                fix="load it with the feature set that it was trained on",
            )
        self._pools = need("threadpoolctl").ThreadpoolController()  # of the libraries that are loaded by now

    def score(self, vector: Vector) -> Scores:
        estimator = self._estimator
        rows = checked(vector, self._inputs, estimator)
        if not len(rows):
            return np.empty(0)
        with self._pools.limit(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that feature names were given when it was fitted, for one
            scores: Scores = np.asarray(estimator.predict_proba(rows)[:, 1], dtype=np.float64)
        return scores

    def close(self) -> None:
        self._estimator = None


def _loaded(data: bytes) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # InconsistentVersionWarning: another scikit-learn wrote it
            estimator = pickle.loads(data)  # noqa: S301 - only for models that trust it: see `loading`
    except Exception as error:
        raise InputError(
            f"the pickle cannot be loaded: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
            where=FILE,
            expected="a pickle of the scikit-learn and the code that are installed here",
            fix="install the packages that the version's manifest names, or train it again",
        ) from error
    jobs = {name: 1 for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"}
    return estimator.set_params(**jobs)
