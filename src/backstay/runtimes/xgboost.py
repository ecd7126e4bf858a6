"""XGBoost's own trees, scored by its library in C: the same bits as the trained booster.

The file is XGBoost's JSON form.
"""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backstay.core.errors import BackstayError, InputError
from backstay.runtimes.scorer import Read, Scorer, Scores, Vector, checked
from backstay.runtimes.shared import shared_library

FILE = "model.json"
_OBJECTIVES = ("binary:logistic",)
_MATRIX = '{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3}'


class XgBoostRuntime:
    """`Runtime` of XGBoost's JSON form."""

    code = False
    tolerance = 0.0

    def write(self, estimator: Any, names: Sequence[str]) -> dict[str, bytes]:
        booster = estimator.get_booster() if hasattr(estimator, "get_booster") else None
        if booster is None or len(names) != booster.num_features():
            raise BackstayError(
                f"{type(estimator).__qualname__} is no booster of XGBoost",
                where="estimator",
                expected="XGBClassifier, as the model's runtime is 'xgboost'",
                fix="choose runtime='onnx', or return an XGBClassifier from estimator()",
            )
        _check_missing(estimator)
        best = getattr(estimator, "best_iteration", None) if estimator.early_stopping_rounds else None
        kept = booster if best is None else booster[: best + 1]
        return {FILE: bytes(kept.save_raw("json"))}

    def load(self, read: Read, inputs: int) -> Scorer:
        return XgBoostScorer(read(FILE), inputs)


def _check_missing(estimator: Any) -> None:
    """The file does not say which value stands for a missing one, and a null arrives as NaN."""
    missing = getattr(estimator, "missing", None)
    if missing is not None and not math.isnan(missing):
        raise BackstayError(
            f"{type(estimator).__qualname__}(missing={missing:g}) takes {missing:g} for a missing value, which its "
            "file does not say",
            where="estimator",
            expected="missing=nan, its default: a null is NaN in training and in serving",
            fix=f"leave missing out, and let features that are missing be null, not {missing:g}",
        )


class _Booster:
    """What the library made of the file, until nobody holds it: a scorer may be closed under a request."""

    def __init__(self, data: bytes, inputs: int) -> None:
        self.library = shared_library("xgboost", "libxgboost", "xgboost")
        self.library.XGBGetLastError.restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p()
        features = ctypes.c_uint64()
        self.call("XGBoosterCreate", None, ctypes.c_uint64(0), ctypes.byref(self.handle))
        if not data.startswith(b"{"):  # of nothing at all, the library would end the process
            raise self.failed("there is no JSON object in it")
        self.call("XGBoosterLoadModelFromBuffer", self.handle, data, ctypes.c_uint64(len(data)))
        self.call("XGBoosterSetParam", self.handle, b"nthread", b"1")
        self.call("XGBoosterGetNumFeature", self.handle, ctypes.byref(features))
        objective = self._objective()
        if features.value != inputs or objective not in _OBJECTIVES:
            raise InputError(
                f"the model takes {features.value} features, and its objective is {objective!r}",
                where=FILE,
                expected=f"{inputs} features, and the objective {_OBJECTIVES[0]!r}",
                fix="train an XGBClassifier on two classes, and load it with the feature set that it was trained on",
            )

    def _objective(self) -> str:
        size, text = ctypes.c_uint64(), ctypes.c_char_p()
        self.call("XGBoosterSaveJsonConfig", self.handle, ctypes.byref(size), ctypes.byref(text))
        return str(json.loads(text.value or b"{}")["learner"]["objective"]["name"])

    def call(self, name: str, *arguments: Any) -> None:
        if getattr(self.library, name)(*arguments):
            said = self.library.XGBGetLastError().decode(errors="replace").splitlines() or ["an unknown error"]
            raise self.failed(said[0])

    def failed(self, why: str) -> InputError:
        return InputError(
            f"XGBoost cannot score with the model: {why}",
            where=FILE,
            expected="an XGBoost model in its JSON form",
            fix="train the model again, or load a version from the registry",
        )

    def __del__(self) -> None:
        if self.handle:
            self.library.XGBoosterFree(self.handle)


class XgBoostScorer:
    """`Scorer` of an XGBoost model's bytes, for `inputs` features a row."""

    def __init__(self, data: bytes, inputs: int) -> None:
        self._inputs = inputs
        self._booster: _Booster | None = _Booster(data, inputs)
        ask = {
            "type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "strict_shape": True,
            "cache_id": 0, "missing": math.nan,
        }  # fmt: skip
        self._ask = json.dumps(ask).encode()

    def score(self, vector: Vector) -> Scores:
        booster = self._booster
        rows = checked(vector, self._inputs, booster)
        assert booster is not None
        if not len(rows):
            return np.empty(0)
        shape, axes = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        found = ctypes.POINTER(ctypes.c_float)()
        matrix = _MATRIX % (rows.ctypes.data, *rows.shape)
        booster.call(
            "XGBoosterPredictFromDense", booster.handle, matrix.encode(), self._ask, None, ctypes.byref(shape),
            ctypes.byref(axes), ctypes.byref(found),
        )  # fmt: skip
        return np.ctypeslib.as_array(found, (len(rows),)).astype(np.float64)  # a copy: the memory is the library's

    def close(self) -> None:
        self._booster = None
