"""The protocol in JSON, with the extension for binary tensors: JSON first, raw bytes of the tensors behind it.

The header `Inference-Header-Content-Length` says how long the JSON is. A tensor in raw bytes says how many with the
parameter `binary_data_size`; an output is answered in raw bytes if it is asked for with `binary_data`, or all of them
with the request's `binary_data_output`.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec
import numpy as np

from backstay.core.errors import InputError
from backstay.serving.job import Scored
from backstay.serving.parse import body, decoded
from backstay.serving.v2.contract import MATRIX, OUTPUTS, Contract, Given, answered, unclassified
from backstay.serving.v2.tensors import BYTES, Tensor, checked, from_list, from_raw, plain, raw


class _Input(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct, gc=False):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct, gc=False):
    inputs: list[_Input]
    id: str = ""
    outputs: list[_Output] = []
    parameters: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Request).decode
_decode_floats = msgspec.json.Decoder(list[float]).decode
_encode = msgspec.json.Encoder().encode
_PLACE = re.compile(r"^(.*?)(?: - at `\$\.?(.*)`)?$", re.DOTALL)


@dataclass(slots=True)
class Inference:
    """A request as it was read: the rows, and the form its answer is wanted in.

    wait: seconds that the client waits, by Triton's parameter `timeout` (microseconds)
    """

    given: Given
    id: str
    outputs: Sequence[str]
    binary: frozenset[str]
    wait: float


def read(data: bytes, json_length: int | None, contract: Contract) -> Inference:
    """The request in a body. Raises `InputError`, which names the place."""
    if json_length is not None and not 0 <= json_length <= len(data):
        raise InputError(
            f"the JSON is said to have {json_length} bytes",
            where="inference-header-content-length",
            expected=f"at most {len(data)}, the body's length",
        )
    text = data if json_length is None else data[:json_length]
    try:
        request = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_a_request(text, error) from None
    given = contract.read(_tensors(request.inputs, memoryview(data)[len(text) :]))
    outputs = contract.wanted([one.name for one in request.outputs]) if request.outputs else tuple(OUTPUTS)
    parameters = request.parameters
    binary = set(outputs) if parameters and parameters.get("binary_data_output") is True else set()
    for one in request.outputs:
        if one.parameters.get("binary_data") is True:
            binary.add(one.name)
        elif one.parameters.get("binary_data") is False:
            binary.discard(one.name)
        unclassified(one.name, one.parameters.get("classification"))
    return Inference(given, request.id, outputs, frozenset(binary), waits(parameters.get("timeout")))


def waits(timeout: Any) -> float:
    """Seconds of Triton's parameter `timeout`: microseconds, 0 or none for no end."""
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout <= 0:
        return inf
    if timeout >= 2**64:
        raise InputError(
            "the timeout is too large", where="parameters.timeout", expected="microseconds that 64 bits hold",
            fix="leave it out to wait without end",
        )  # fmt: skip
    return timeout / 1e6


def _tensors(inputs: Sequence[_Input], binary: memoryview) -> list[Tensor]:
    out = []
    for one in inputs:
        size = one.parameters.get("binary_data_size") if one.parameters else None
        if size is None:
            out.append(_from_json(one))
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary):
            raise InputError(
                f"{one.name!r} is said to have {size!r} bytes", where=f"inputs.{one.name}.parameters.binary_data_size",
                expected=f"at most the {len(binary)} that are left of the body",
            )  # fmt: skip
        out.append(from_raw(one.name, one.datatype, one.shape, binary[:size]))
        binary = binary[size:]
    if binary:
        raise InputError(
            f"{len(binary)} bytes of the body belong to no tensor", where="body",
            expected="as many as the tensors' binary_data_size", fix="set binary_data_size of each tensor in raw bytes",
        )  # fmt: skip
    return out


def _from_json(one: _Input) -> Tensor:
    if not one.data:
        raise InputError(
            f"{one.name!r} has neither data nor binary_data_size", where=f"inputs.{one.name}", expected="one of them"
        )
    if one.datatype in ("FP32", "FP64"):
        try:
            values = _decode_floats(one.data)
        except msgspec.DecodeError:
            pass  # nested, or with nulls; or wrong, which the general way tells
        else:
            if checked(one.name, one.datatype, one.shape) == len(values):
                kind = "f" if one.datatype == "FP32" else "d"
                return Tensor(one.name, one.datatype, tuple(one.shape), np.frombuffer(array(kind, values), kind))
    return from_list(one.name, one.datatype, one.shape, decoded(one.data, f"inputs.{one.name}.data"))


def _not_a_request(text: bytes, error: Exception) -> InputError:
    """What is wrong with a body, and where."""
    body(text)  # what is no JSON object says so by itself
    found = _PLACE.match(str(error))
    assert found is not None
    return InputError(
        f"the request is not as the protocol has it: {found[1]}",
        where=found[2] or "body",
        expected='{"inputs": [{"name": ..., "shape": [...], "datatype": ..., "data": [...]}]}',
    )


def written(name: str, version: int | None, asked: Inference, answer: Scored) -> tuple[bytes, int | None]:
    """The answer's body, and the length of its JSON if raw bytes follow. No version: several versions answered."""
    told: dict[str, Any] = {"model_name": name, "model_version": "" if version is None else str(version)}
    if asked.id:
        told["id"] = asked.id
    if not asked.binary:
        rows = [len(answer.ids)]
        told["outputs"] = [
            {"name": one, "datatype": OUTPUTS[one], "shape": rows, "data": getattr(answer, _COLUMN[one])}
            for one in asked.outputs
        ]
        return _encode(told), None
    outputs, parts = [], []
    for tensor in answered(answer, asked.outputs):
        one: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if tensor.name in asked.binary:
            parts.append(raw(tensor))
            one["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            one["data"] = plain(tensor)
        outputs.append(one)
    text = _encode({**told, "outputs": outputs})
    return b"".join([text, *parts]), len(text)


_COLUMN = {"score": "scores", "decision": "decisions", "prediction_id": "ids"}
__all__ = ["BYTES", "MATRIX", "Inference", "read", "waits", "written"]
