"""Tensors, from lists and from raw bytes, and back: whatever comes is read, or is an error that names the place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import InputError
from backstay.serving.v2.tensors import BYTES, NUMBERS, Tensor, from_list, from_raw, plain, raw

SOME: dict[str, st.SearchStrategy[Any]] = {
    "BOOL": st.booleans(),
    **{name: st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
       for name, kind in NUMBERS.items() if kind.kind in "iu"},
    **{f"FP{width}": st.floats(width=width, allow_nan=False) for width in (16, 32, 64)},
    BYTES: st.text(st.characters(exclude_categories=["Cs"])),
}  # fmt: skip


@pytest.mark.parametrize("datatype", SOME)
@given(data=st.data())
def test_either_form_gives_the_elements_back(datatype: str, data: st.DataObject) -> None:
    elements = data.draw(st.lists(SOME[datatype], max_size=8))
    tensor = from_list("x", datatype, [len(elements)], elements)
    assert plain(tensor) == elements
    again = from_raw("x", datatype, [len(elements)], raw(tensor))
    assert plain(again) == elements


def test_lists_may_be_nested() -> None:
    tensor = from_list("x", "INT64", [2, 2, 1], [[[1], [2]], [[3], [4]]])
    assert (plain(tensor), tensor.shape) == ([1, 2, 3, 4], (2, 2, 1))


@pytest.mark.parametrize(
    ("shape", "data", "nested"),
    [
        ([2, 3], [[1, 2], [3, 4], [5, 6]], "as [3, 2]"),  # transposed
        ([1, 3], [[1, 2], [3]], "unevenly, within [2]"),
        ([1, 2], [[], [1, 2]], "unevenly, within [2]"),
        ([2, 1], [[1, 2]], "as [1, 2]"),
        ([2], [[1], [2]], "as [2, 1]"),
        ([2, 1], [[1], 2], "unevenly, within [2]"),
        ([2, 2, 1], [[[1], [2]], [[3], 4]], "unevenly, within [2, 2]"),
        ([0, 3], [[]], "as [1, 0]"),
    ],
)
@pytest.mark.parametrize("datatype", ["INT64", BYTES])
def test_lists_that_are_nested_otherwise_are_refused(
    datatype: str, shape: list[int], data: list[Any], nested: str
) -> None:
    with pytest.raises(InputError) as caught:
        from_list("x", datatype, shape, data)
    assert caught.value.what == f"the data of 'x' is nested {nested}"
    assert caught.value.expected == f"a flat list, or one nested as the shape is, {shape}"
    assert caught.value.where == "inputs.x.data"


def test_null_is_missing_where_the_datatype_has_it() -> None:
    assert math.isnan(plain(from_list("x", "FP32", [1], [None]))[0])
    with pytest.raises(InputError, match="element 0 of 'x' is None"):
        from_list("x", "INT64", [1], [None])


def test_raw_bytes_are_little_endian() -> None:
    assert raw(Tensor("x", "INT32", (1,), np.array([1]))) == b"\x01\0\0\0"
    assert raw(Tensor("x", BYTES, (2,), ["ab", ""])) == b"\x02\0\0\0ab\0\0\0\0"
    assert plain(from_raw("x", "BOOL", [3], b"\0\x01\x02")) == [False, True, True]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "where"),
    [
        ("FP8", [1], [1.0], "inputs.x.datatype"),
        ("FP32", [-1], [1.0], "inputs.x.shape"),
        ("FP32", [2], [1.0], "inputs.x.data"),
        ("FP32", [10**9, 10**9], [1.0], "inputs.x.data"),
        ("FP32", [1], 1.0, "inputs.x.data"),
        ("FP32", [1], ["1"], "inputs.x.data[0]"),
        ("FP32", [1], [True], "inputs.x.data[0]"),
        ("FP32", [3], [1.0, [2.0], 3.0], "inputs.x.data[1]"),
        ("FP32", [2], [[1.0], 2.0], "inputs.x.data"),
        ("FP32", [1] * 33, [1.0], "inputs.x.shape"),
        ("FP32", [2**32, 2**32], [1.0], "inputs.x.shape"),
        ("FP32", [9] * 500_000, [1.0], "inputs.x.shape"),
        ("INT64", [1], [1.5], "inputs.x.data[0]"),
        ("INT64", [1], [2**63], "inputs.x.data"),
        ("UINT8", [1], [-1], "inputs.x.data"),
        ("BOOL", [1], [1], "inputs.x.data[0]"),
        (BYTES, [1], [1], "inputs.x.data"),
        (BYTES, [1], [b"\xff"], "inputs.x"),
    ],
)
def test_a_bad_list_names_the_place(datatype: str, shape: list[int], data: Any, where: str) -> None:
    with pytest.raises(InputError) as caught:
        from_list("x", datatype, shape, data)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [2], b"\0\0\0\0"),
        ("FP32", [10**9, 10**9], b"\0\0\0\0"),
        ("BOOL", [1], b""),
        (BYTES, [1], b"\x05\0\0\0ab"),
        (BYTES, [1], b"\x05\0"),
        (BYTES, [2], b"\x01\0\0\0a"),
        (BYTES, [1], b"\x01\0\0\0\xff"),
    ],
)
def test_bad_bytes_are_refused(datatype: str, shape: list[int], data: bytes) -> None:
    with pytest.raises(InputError, match="'x'"):
        from_raw("x", datatype, shape, data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=4)
)


@given(datatype=st.sampled_from([*SOME, "FP8"]), shape=st.lists(st.integers(-1, 4), max_size=3), data=_JSON)
def test_no_list_does_anything_else(datatype: str, shape: list[int], data: Any) -> None:
    try:
        tensor = from_list("x", datatype, shape, data)
    except InputError:
        return
    assert len(plain(tensor)) == math.prod(shape)


@given(datatype=st.sampled_from([*SOME, "FP8"]), shape=st.lists(st.integers(-1, 4), max_size=3), data=st.binary())
def test_no_bytes_do_anything_else(datatype: str, shape: list[int], data: bytes) -> None:
    try:
        tensor = from_raw("x", datatype, shape, data)
    except InputError:
        return
    assert len(plain(tensor)) == math.prod(shape)
