"""Models in the ONNX format, scored by ONNX Runtime on one thread.

The model has one float32 input of shape (rows, inputs), any number of rows, and among its outputs one float32 matrix of
two columns, the probabilities of the classes 0 and 1; others (the label) are not computed. `convert` writes such files.

A product of matrices adds up one row by another route than several: of a logistic regression, 40% of the scores had
another last bit alone than in company. So a lone row is scored twice over, unless the model is of trees alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.core.errors import InputError
from backstay.runtimes.scorer import Read, Scorer, Scores, Vector, checked
from backstay.runtimes.trying import rows_to_try

FILE = "model.onnx"
_FATAL = 4  # ONNX Runtime's severity: it prints nothing, what goes wrong is raised
_PRODUCTS = (b"MatMul", b"Gemm", b"Linear", b"SVM", b"Conv", b"Einsum")
"""Operators that add up products. Where such a name stands in a file by chance, its lone rows are doubled, too."""
_TRIED = (1, 2, 3)


def _nothing(name: str) -> bytes:
    raise FileNotFoundError(name)


class OnnxRuntime:
    """`Runtime` of the ONNX format: LightGBM's boosters, and what of scikit-learn skl2onnx converts."""

    code = False
    tolerance = 0.0

    def write(self, estimator: Any, names: Sequence[str]) -> dict[str, bytes]:
        from backstay.runtimes import convert

        if hasattr(estimator, "booster_"):
            text = estimator.booster_.model_to_string()
            return {FILE: convert.lightgbm_to_onnx(text, len(names)), "model.txt": text.encode()}
        return {FILE: convert.sklearn_to_onnx(estimator, len(names))}

    def refuse_missing(self, files: Mapping[str, bytes], inputs: Sequence[int]) -> dict[str, bytes]:
        from backstay.runtimes.refusing import refuse_missing

        return {**files, FILE: refuse_missing(files[FILE], inputs)}

    def load(self, read: Read, inputs: int) -> Scorer:
        return OnnxScorer(read(FILE), inputs, read)


class OnnxScorer:
    """`Scorer` of an ONNX file's bytes, for `inputs` features a row. ONNX Runtime is imported when one is made."""

    def __init__(self, model: bytes, inputs: int, read: Read = _nothing) -> None:
        """read: gives a sample of the rows that it was trained on, if there is one."""
        self._inputs = inputs
        self._session: Any = _session(model)
        self._input, self._output = _signature(self._session, inputs)
        self._doubled = b"TreeEnsemble" not in model or any(one in model for one in _PRODUCTS)
        self._try(read)

    def _try(self, read: Read) -> None:
        """Refuse a file that says that it takes any number of rows, and does not."""
        refused: Exception | None = None
        for row, must in rows_to_try(read, self._inputs):
            raised = [self._raised(np.repeat(row, rows, axis=0)) for rows in _TRIED]
            if not any(raised):
                return
            rows, error = next((rows, error) for rows, error in zip(_TRIED, raised, strict=True) if error)
            refused = refused or error
            if must or not all(raised):
                raise InputError(
                    f"the model cannot score {rows} rows: {_first_line(error)}",
                    where="model",
                    expected="a model of any number of rows",
                    fix="export it with a dynamic first dimension, through and through",
                ) from error
        raise InputError(
            f"the model scores neither zeros nor missing values: {_first_line(refused)}",
            where="model",
            expected="a model of any number of rows, and a row that it scores",
            fix="give rows that it was trained on (sample=) if it takes some values alone, such as known categories; "
            "if it takes a fixed number of rows, export it with a dynamic first dimension",
        ) from refused

    def _raised(self, rows: Vector) -> Exception | None:
        try:
            self._run(self._session, rows)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's own, of several types
            return error
        return None

    def score(self, vector: Vector) -> Scores:
        session = self._session
        rows = checked(vector, self._inputs, session)
        if not len(rows):
            return np.empty(0, dtype=np.float64)
        if len(rows) == 1 and self._doubled:
            return self._run(session, np.concatenate((rows, rows)))[:1]
        return self._run(session, rows)

    def _run(self, session: Any, rows: Vector) -> Scores:
        scores: Scores = session.run([self._output], {self._input: rows})[0][:, 1].astype(np.float64)
        return scores

    def close(self) -> None:
        self._session = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a file: its name, numpy's name of its type, and its shape (-1: any number)."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def tensors(model: bytes) -> tuple[list[Tensor], list[Tensor]]:
    """What an ONNX file takes, and what it makes."""
    session = _session(model)
    return [_tensor(one) for one in session.get_inputs()], [_tensor(one) for one in session.get_outputs()]


def _tensor(value: Any) -> Tensor:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    names = {"float": "float32", "double": "float64", "float16": "float16", "string": "str"}
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return Tensor(value.name, names.get(kind, kind), shape)


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
    if any(one.shape and isinstance(one.shape[0], int) for one in given):
        raise InputError(
            f"the model takes {_shapes(given)}: a fixed number of rows",
            where="model",
            expected=f"one float32 input of shape (rows, {inputs}), where rows is any number",
            fix="export it with a dynamic first dimension, such as FloatTensorType([None, width])",
        )
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


def _first_line(error: Exception | None) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
