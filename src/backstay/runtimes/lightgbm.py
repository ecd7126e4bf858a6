"""LightGBM's own trees, scored by its library in C: the same bits as the trained booster.

The file is LightGBM's text form. It says what ONNX does not: categorical splits, linear trees, random forests, zeros
that stand for missing values.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from backstay.core.errors import BackstayError, InputError
from backstay.runtimes.scorer import Read, Scorer, Scores, Vector, checked
from backstay.runtimes.shared import shared_library

FILE = "model.txt"
_FLOAT32, _ROW_MAJOR, _PROBABILITY, _ALL = 0, 1, 0, -1
_PARAMETERS = b"num_threads=1 verbosity=-1"


class LightGbmRuntime:
    """`Runtime` of LightGBM's text form."""

    code = False
    tolerance = 0.0

    def write(self, estimator: Any, names: Sequence[str]) -> dict[str, bytes]:
        booster = getattr(estimator, "booster_", None)
        if booster is None or len(names) != booster.num_feature():
            raise BackstayError(
                f"{type(estimator).__qualname__} is no booster of LightGBM",
                where="estimator",
                expected="LGBMClassifier, as the model's runtime is 'lightgbm'",
                fix="choose runtime='onnx', or return an LGBMClassifier from estimator()",
            )
        return {FILE: booster.model_to_string().encode()}

    def load(self, read: Read, inputs: int) -> Scorer:
        return LightGbmScorer(read(FILE), inputs)


class _Booster:
    """What the library made of the file, until nobody holds it: a scorer may be closed under a request."""

    def __init__(self, text: bytes, inputs: int) -> None:
        self.library = shared_library("lightgbm", "lib_lightgbm", "train")
        self.library.LGBM_GetLastError.restype = ctypes.c_char_p
        self.handle, self.fast = ctypes.c_void_p(), ctypes.c_void_p()
        if not text.startswith(b"tree") or b"\nend of trees" not in text:  # of some, the process would end
            raise self.failed("it is cut off, or none at all")
        rounds, features, classes = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self.call("LGBM_BoosterLoadModelFromString", text, ctypes.byref(rounds), ctypes.byref(self.handle))
        self.call("LGBM_BoosterGetNumFeature", self.handle, ctypes.byref(features))
        self.call("LGBM_BoosterGetNumClasses", self.handle, ctypes.byref(classes))
        if (features.value, classes.value) != (inputs, 1):
            raise InputError(
                f"the model takes {features.value} features and makes {classes.value} numbers a row",
                where=FILE,
                expected=f"a booster of two classes over {inputs} features",
                fix="load it with the feature set that it was trained on",
            )
        self.call(
            "LGBM_BoosterPredictForMatSingleRowFastInit", self.handle, _PROBABILITY, 0, _ALL, _FLOAT32,
            ctypes.c_int32(inputs), _PARAMETERS, ctypes.byref(self.fast),
        )  # fmt: skip
        self.one = self.library.LGBM_BoosterPredictForMatSingleRowFast
        self.one.argtypes = [ctypes.c_void_p] * 4

    def call(self, name: str, *arguments: Any) -> None:
        if getattr(self.library, name)(*arguments):
            raise self.failed()

    def failed(self, why: str = "") -> InputError:
        said = self.library.LGBM_GetLastError().decode(errors="replace").splitlines() or ["an unknown error"]
        return InputError(
            f"LightGBM cannot score with the model: {why or said[0]}",
            where=FILE,
            expected="a LightGBM model in its text form",
            fix="train the model again, or load a version from the registry",
        )

    def __del__(self) -> None:
        for name, handle in (("LGBM_FastConfigFree", self.fast), ("LGBM_BoosterFree", self.handle)):
            if handle:
                getattr(self.library, name)(handle)


class LightGbmScorer:
    """`Scorer` of a LightGBM model's text, for `inputs` features a row."""

    def __init__(self, text: bytes, inputs: int) -> None:
        self._inputs = inputs
        self._booster: _Booster | None = _Booster(text, inputs)
        self._turn = threading.Lock()  # the library keeps the place of one row a booster

    def score(self, vector: Vector) -> Scores:
        booster = self._booster
        rows = checked(vector, self._inputs, booster)
        assert booster is not None
        out, made = np.empty(len(rows)), ctypes.c_int64()
        if len(rows) == 1:
            with self._turn:
                if booster.one(booster.fast, rows.ctypes.data, ctypes.addressof(made), out.ctypes.data):
                    raise booster.failed()
        elif len(rows):
            booster.call(
                "LGBM_BoosterPredictForMat", booster.handle, ctypes.c_void_p(rows.ctypes.data), _FLOAT32,
                ctypes.c_int32(len(rows)), ctypes.c_int32(self._inputs), _ROW_MAJOR, _PROBABILITY, 0, _ALL, _PARAMETERS,
                ctypes.byref(made), ctypes.c_void_p(out.ctypes.data),
            )  # fmt: skip
        return out

    def close(self) -> None:
        self._booster = None
