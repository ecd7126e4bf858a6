"""The contract of a model: which tensors it takes and gives.

It takes its feature vector, in one of two forms:

    features         [n, k], the k features of the vector in their order
    one tensor each  [n] or [n, 1], named as the feature

of any numeric datatype or BOOL; they are cast to float32 once, as features are in training. NaN, and null in JSON, is
a missing value; what is infinite, or becomes so in its datatype or as float32, is refused. Beside either form there may
be tensors named as the model's keys, [n] or [n, 1]: they are written into the prediction's record, so that its label is
found when it comes. It gives, a row each:

    score          FP64   the probability of the positive class
    decision       BOOL   whether the score reaches the threshold
    prediction_id  BYTES  what the record is found by
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError
from backstay.definitions import Model
from backstay.serving.job import Scored
from backstay.serving.parse import key_readers
from backstay.serving.v2.tensors import BYTES, NUMBERS, Tensor, plain

MATRIX = "features"
OUTPUTS = {"score": "FP64", "decision": "BOOL", "prediction_id": BYTES}
_PLATFORMS = {"onnx": "onnxruntime_onnx"}  # as Triton calls it; others by the name of their runtime


@dataclass(frozen=True, slots=True)
class Given:
    """The model's inputs of some rows, and the keys of each, if they were given."""

    vector: npt.NDArray[np.float32]
    keys: Sequence[Mapping[str, Any]]


class Contract:
    """What one model takes and gives. A request brings at most `limit` rows."""

    def __init__(self, model: Model, limit: int) -> None:
        self.name, self._limit = model.name, limit
        self._vector = model.features.vector
        self._width = len(self._vector)
        self._keys = {name: one for name, one in key_readers(model).items() if name not in self._vector}

    def metadata(self, version: int, runtime: str) -> dict[str, Any]:
        """The model's metadata, as the protocol has it; `parameters` tell the order of the vector."""
        return {
            "name": self.name,
            "versions": [str(version)],
            "platform": _PLATFORMS.get(runtime, runtime),
            "inputs": [{"name": MATRIX, "datatype": "FP32", "shape": [-1, self._width]}],
            "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in OUTPUTS.items()],
            "parameters": {"features": list(self._vector)},
        }

    def matrix(self, shape: Sequence[int]) -> int:
        """The rows of a matrix of this shape."""
        if len(shape) != 2 or shape[1] != self._width:
            raise InputError(
                f"the shape of {MATRIX!r} is {list(shape)}",
                where=f"inputs.{MATRIX}.shape",
                expected=f"[rows, {self._width}]",
                fix=f"send the features in this order: {', '.join(self._vector)}",
            )
        return self._rows(shape[0])

    def read(self, tensors: Sequence[Tensor]) -> Given:
        """The rows that these tensors bring."""
        named: dict[str, Tensor] = {}
        for tensor in tensors:
            if tensor.name in named:
                raise InputError(f"{tensor.name!r} is given twice", where=f"inputs.{tensor.name}", fix="send it once")
            named[tensor.name] = tensor
        keys = {name: named.pop(name) for name in self._keys if name in named}
        whole = MATRIX in named and MATRIX not in self._vector
        vector = self._whole(named) if whole else self._columns(named)
        if 1 in np.isinf(vector).tobytes():  # of all the ways to ask this, the fastest for a row
            raise self._infinite(vector, whole)
        return Given(vector, self._key_rows(keys, len(vector)))

    def _whole(self, named: dict[str, Tensor]) -> npt.NDArray[np.float32]:
        whole = named.pop(MATRIX)
        self._known(named, ())
        self.matrix(whole.shape)
        return _float32(whole).reshape(whole.shape)

    def _infinite(self, vector: npt.NDArray[np.float32], whole: bool) -> InputError:
        row, column = (int(place) for place in np.argwhere(np.isinf(vector))[0])
        name = self._vector[column]
        place = f"{MATRIX}.data[{row * self._width + column}]" if whole else f"{name}.data[{row}]"
        return InputError(
            f"the value of {name!r} in row {row} is infinite, or too large",
            where=f"inputs.{place}",
            expected="a finite number that the datatype holds, and float32 (3.4e38)",
            fix="send null, or NaN in raw bytes, where there is none",
        )

    def _columns(self, named: dict[str, Tensor]) -> npt.NDArray[np.float32]:
        self._known(named, self._vector)
        missing = next((name for name in self._vector if name not in named), None)
        if missing is not None:
            raise InputError(
                f"there is no tensor {missing!r}" if named else "there is no tensor of features",
                where=f"inputs.{missing}" if named else "inputs",
                expected=f"{MATRIX!r} of shape [rows, {self._width}], or a tensor for each of the features",
                fix=f"the features are: {', '.join(self._vector)}",
            )
        rows = self._rows(_length(named[self._vector[0]]))
        out = np.empty((rows, self._width), np.float32)
        for place, name in enumerate(self._vector):
            _agree(named[name], rows)
            out[:, place] = _float32(named[name])
        return out

    def _key_rows(self, keys: Mapping[str, Tensor], rows: int) -> list[dict[str, Any]]:
        if not keys:
            return []
        columns: list[list[Any]] = []
        for name, tensor in keys.items():
            _agree(tensor, rows)
            read = self._keys[name]
            columns.append([read(value, f"inputs.{name}.data[{place}]") for place, value in enumerate(plain(tensor))])
        return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]

    def _known(self, named: Mapping[str, Tensor], allowed: Sequence[str]) -> None:
        for name in named:
            if name not in allowed:
                raise InputError(
                    f"there is no input {name!r}",
                    where=f"inputs.{name}",
                    expected=f"{MATRIX!r}, or the features by name, and of the keys {', '.join(self._keys) or 'none'}",
                    fix="see the model's metadata",
                )

    def _rows(self, rows: int) -> int:
        if not 0 < rows <= self._limit:
            many = "send several requests, or raise serving.rows_limit"
            raise InputError(
                f"the request has {rows} rows",
                where="inputs",
                expected=f"1 to {self._limit} rows",
                fix=many if rows else "send no request where there is nothing to score",
            )
        return rows

    def wanted(self, names: Sequence[str]) -> Sequence[str]:
        """The outputs that are asked for: all, if none is named."""
        for name in names:
            if name not in OUTPUTS:
                raise InputError(f"there is no output {name!r}", where="outputs", expected=f"of {', '.join(OUTPUTS)}")
        return names or tuple(OUTPUTS)


def unclassified(name: str, classes: Any) -> None:
    """Raise `InputError` if an output is wanted as so many of its classes, by an extension of Triton's."""
    if classes:
        raise InputError(
            f"classification of {name!r} is asked for", where="outputs", expected="no classification",
            fix="read the score and the decision",
        )  # fmt: skip


def answered(answer: Scored, names: Sequence[str]) -> list[Tensor]:
    """The outputs of these names."""
    shape = (len(answer.ids),)
    return [Tensor(name, OUTPUTS[name], shape, _DATA[name](answer)) for name in names]


_DATA: dict[str, Callable[[Scored], Any]] = {
    "score": lambda answer: np.array(answer.scores, np.float64),
    "decision": lambda answer: np.array(answer.decisions, np.bool_),
    "prediction_id": lambda answer: list(answer.ids),
}


def _float32(tensor: Tensor) -> npt.NDArray[np.float32]:
    if isinstance(tensor.data, list):
        raise InputError(
            f"the datatype of {tensor.name!r} is {BYTES}",
            where=f"inputs.{tensor.name}.datatype",
            expected=f"one of {', '.join(NUMBERS)}",
        )
    if tensor.data.dtype == np.float32:
        return tensor.data
    with np.errstate(over="ignore"):
        return tensor.data.astype(np.float32)


def _length(tensor: Tensor) -> int:
    if len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1):
        return tensor.shape[0]
    raise InputError(
        f"the shape of {tensor.name!r} is {list(tensor.shape)}",
        where=f"inputs.{tensor.name}.shape",
        expected="[rows] or [rows, 1]",
    )


def _agree(tensor: Tensor, rows: int) -> None:
    if (length := _length(tensor)) != rows:
        raise InputError(f"{tensor.name!r} has {length} rows", where=f"inputs.{tensor.name}.shape", expected=str(rows))
