"""Tensors of the protocol: a name, a datatype, a shape, and elements in row-major order.

In JSON they are lists, flat or nested as the shape is; as raw bytes they are little-endian, booleans a byte each, and
texts (BYTES) each behind its length in four bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError

NUMBERS: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"{sign}INT{bits}": np.dtype(f"<{kind}{bits // 8}")
       for sign, kind in (("", "i"), ("U", "u")) for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}  # fmt: skip
BYTES = "BYTES"
_SIDES = 32
"""How many sizes a shape may have."""


@dataclass(slots=True)
class Tensor:
    """One tensor. `data` is flat: an array of the datatype, or for BYTES a list of texts."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: npt.NDArray[Any] | list[str]


def checked(name: str, datatype: str, shape: Sequence[int]) -> int:
    """How many elements such a tensor has, or an `InputError` that says what of it cannot be."""
    if datatype not in NUMBERS and datatype != BYTES:
        raise InputError(
            f"the datatype of {name!r} is {datatype!r}",
            where=f"inputs.{name}.datatype",
            expected=f"one of {', '.join((*NUMBERS, BYTES))}",
        )
    # Their number first: the product of as many as fit into a body would take seconds.
    if len(shape) > _SIDES or min(shape, default=0) < 0 or (count := math.prod(shape)) >= 2**63:
        raise InputError(
            f"the shape of {name!r} is {_shown(list(shape[:_SIDES]))}", where=f"inputs.{name}.shape",
            expected=f"at most {_SIDES} sizes from 0 on, and fewer than 2^63 elements",
        )  # fmt: skip
    return count


def from_list(name: str, datatype: str, shape: Sequence[int], data: Any) -> Tensor:
    """From JSON's lists, or from the typed contents of a message; null is NaN, where the datatype has it."""
    count = checked(name, datatype, shape)
    if not isinstance(data, list):
        raise InputError(f"the data of {name!r} is no list", where=f"inputs.{name}.data", expected="a list")
    flat = _unnested(name, shape, data) if data and isinstance(data[0], list) else data
    _same(name, shape, count, len(flat))
    if datatype == BYTES:
        return Tensor(name, datatype, tuple(shape), [_text(name, value) for value in flat])
    return Tensor(name, datatype, tuple(shape), _array(name, datatype, flat))


def from_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes | memoryview) -> Tensor:
    """From raw bytes."""
    count = checked(name, datatype, shape)
    if datatype == BYTES:
        texts = _texts(name, raw)
        _same(name, shape, count, len(texts))
        return Tensor(name, datatype, tuple(shape), texts)
    kind = NUMBERS[datatype]
    if len(raw) != count * kind.itemsize:
        raise InputError(
            f"{name!r} has {len(raw)} bytes",
            where=f"inputs.{name}",
            expected=f"{count * kind.itemsize} bytes for {datatype} of shape {list(shape)}",
        )
    if datatype == "BOOL":
        return Tensor(name, datatype, tuple(shape), np.frombuffer(raw, np.uint8) != 0)
    return Tensor(name, datatype, tuple(shape), np.frombuffer(raw, kind))


def raw(tensor: Tensor) -> bytes:
    """The elements as raw bytes."""
    if isinstance(tensor.data, list):
        parts = []
        for text in tensor.data:
            encoded = text.encode()
            parts += [struct.pack("<I", len(encoded)), encoded]
        return b"".join(parts)
    return np.ascontiguousarray(tensor.data, NUMBERS[tensor.datatype]).tobytes()


def plain(tensor: Tensor) -> list[Any]:
    """The elements as a flat list of plain values."""
    return tensor.data if isinstance(tensor.data, list) else tensor.data.tolist()


def _same(name: str, shape: Sequence[int], expected: int, came: int) -> None:
    if expected != came:
        raise InputError(
            f"{name!r} has {came} elements",
            where=f"inputs.{name}.data",
            expected=f"{expected}, as its shape is {list(shape)}",
        )


def _unnested(name: str, shape: Sequence[int], data: list[Any]) -> list[Any]:
    """Row-major order of nested lists. They must be as the shape is: those of its transpose have as many elements."""
    sides = [len(data)]
    while data and isinstance(data[0], list):
        side = len(data[0])
        if not all(isinstance(part, list) and len(part) == side for part in data):
            raise _not_as_its_shape(name, shape, f"unevenly, within {_shown(sides)}")
        sides.append(side)
        data = list(chain.from_iterable(data))
    if sides != list(shape):
        raise _not_as_its_shape(name, shape, f"as {_shown(sides)}")
    return data


def _not_as_its_shape(name: str, shape: Sequence[int], nested: str) -> InputError:
    return InputError(
        f"the data of {name!r} is nested {nested}",
        where=f"inputs.{name}.data",
        expected=f"a flat list, or one nested as the shape is, {list(shape)}",
        fix="send the rows one behind the other, or a list of rows; a transposed matrix is another one",
    )


def _array(name: str, datatype: str, flat: list[Any]) -> npt.NDArray[Any]:
    kinds = {"b": (bool,), "f": (int, float, type(None))}.get(NUMBERS[datatype].kind, (int,))
    for place, value in enumerate(flat):
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InputError(
                f"element {place} of {name!r} is {_shown(value)}", where=f"inputs.{name}.data[{place}]",
                expected=f"a {'boolean' if bool in kinds else 'number'} that {datatype} holds",
            )  # fmt: skip
    values = [math.nan if value is None else value for value in flat] if float in kinds else flat
    try:
        with np.errstate(over="ignore"):
            return np.array(values, NUMBERS[datatype])
    except (OverflowError, ValueError):
        raise InputError(
            f"an element of {name!r} is too large",
            where=f"inputs.{name}.data",
            expected=f"numbers that {datatype} holds",
        ) from None


def _text(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        return _decoded(name, value)
    if not isinstance(value, str):
        raise InputError(f"an element of {name!r} is {_shown(value)}", where=f"inputs.{name}.data", expected="texts")
    return value


def _texts(name: str, raw: bytes | memoryview) -> list[str]:
    out, at = [], 0
    while at < len(raw):
        if at + 4 > len(raw) or at + 4 + (size := struct.unpack_from("<I", raw, at)[0]) > len(raw):
            raise InputError(
                f"{name!r} ends in the middle of a text", where=f"inputs.{name}",
                expected="texts, each behind its length in four bytes, little-endian",
            )  # fmt: skip
        out.append(_decoded(name, bytes(raw[at + 4 : at + 4 + size])))
        at += 4 + size
    return out


def _decoded(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InputError(f"a text of {name!r} is not UTF-8", where=f"inputs.{name}", expected="UTF-8") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
