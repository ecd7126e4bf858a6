"""Models in the ONNX format, scored by ONNX Runtime on one thread.

The model has one float32 input of shape (rows, inputs) and among its outputs one float32 matrix of two columns, the
probabilities of the classes 0 and 1; others (the label) are not computed. `backstay.training` writes such files.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import BackstayError, InputError

_FATAL = 4  # ONNX Runtime's severity: it prints nothing, what goes wrong is raised


class OnnxScorer:
    """`Scorer` of an ONNX file's bytes, for `inputs` features a row. ONNX Runtime is imported when one is made."""

    def __init__(self, model: bytes, inputs: int) -> None:
        self._inputs = inputs
        self._session: Any = _session(model)
        self._input, self._output = _signature(self._session, inputs)
        for rows in (1, 2):  # the first run allocates; a first request should not wait for it
            self.score(np.zeros((rows, inputs), dtype=np.float32))

    def score(self, vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        if vector.dtype != np.float32 or vector.ndim != 2 or vector.shape[1] != self._inputs:
            raise InputError(
                f"the model's input is {vector.dtype} of shape {vector.shape}",
                where="vector",
                expected=f"float32 of shape (rows, {self._inputs})",
                fix="score the vector that the model's feature set makes",
            )
        if self._session is None:
            raise BackstayError("the scorer is closed", fix="load the model again")
        if not vector.shape[0]:
            return np.empty(0, dtype=np.float64)
        outputs = self._session.run([self._output], {self._input: np.ascontiguousarray(vector)})
        scores: npt.NDArray[np.float64] = outputs[0][:, 1].astype(np.float64)
        return scores

    def close(self) -> None:
        self._session = None


def _session(model: bytes) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read on import: without it files appear in the user's home
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _FATAL
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises a dozen unrelated types for a bad file
        raise InputError(
            f"ONNX Runtime cannot load the model: {_first_line(error)}",
            where="model",
            expected="the bytes of an ONNX file",
            fix="train the model again, or load a version from the registry",
        ) from error


def _signature(session: Any, inputs: int) -> tuple[str, str]:
    """The names of the input and of the probabilities, or an `InputError` that says what the model has instead."""
    given, made = session.get_inputs(), session.get_outputs()
    width = given[0].shape[-1] if len(given) == 1 and len(given[0].shape) == 2 else None
    if width is None or given[0].type != "tensor(float)" or (isinstance(width, int) and width != inputs):
        raise InputError(
            f"the model takes {_shapes(given)}",
            where="model",
            expected=f"one float32 input of shape (rows, {inputs})",
            fix="load it with the feature set that it was trained on",
        )
    for output in made:
        if output.type == "tensor(float)" and len(output.shape) == 2 and output.shape[1] in (2, None):
            return given[0].name, output.name
    raise InputError(
        f"the model makes {_shapes(made)}",
        where="model",
        expected="float32 probabilities of shape (rows, 2)",
        fix="convert a classifier of two classes, with zipmap=False",
    )


def _shapes(values: Any) -> str:
    return ", ".join(f"{value.name}: {value.type} {value.shape}" for value in values) or "nothing"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
