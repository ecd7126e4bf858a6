"""JSON that is not quite JSON: the place of the first number that is none, in time that goes with the body's length."""

from __future__ import annotations

from time import process_time

import pytest

from backstay.core.errors import InputError
from backstay.serving.parse import body, decoded


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": NaN}', "a"),
        ('{"\\ud800": NaN}', "\\ud800"),
        ('{"a": [], "b": {"c": [{}, -Infinity]}, "d": NaN}', "b.c[1]"),
        ('{"a": [[1], [2, 1e999]]}', "a[1][1]"),
        ('{"a": ' + "1" * 5_000 + "}", "a"),
        ('{"": {"": NaN}}', "body"),
        ("[NaN]", "[0]"),
        ("NaN", "body"),
        ('{"a": NaN', "body"),
        ('{"a": "NaN"', "body"),
    ],
)
def test_the_place_is_that_of_the_first(text: str, where: str) -> None:
    with pytest.raises(InputError) as caught:
        body(text.encode())
    assert caught.value.where == where


def test_a_part_of_a_body_stands_somewhere() -> None:
    assert decoded(b"[1]", "inputs.x.data") == [1]
    with pytest.raises(InputError, match=r"^inputs.x.data is not JSON: the value at inputs.x.data\[1\] is NaN"):
        decoded(b"[1, NaN]", "inputs.x.data")
    with pytest.raises(InputError, match=r"^inputs.x.data is not JSON: .*utf-8"):
        decoded(b'["\xff"]', "inputs.x.data")
    with pytest.raises(InputError, match=r"^inputs.x.data is nested too deeply"):
        decoded(b"[" * 5_000, "inputs.x.data")


def test_it_takes_no_longer_where_it_is_nested() -> None:
    def seconds(depth: int) -> float:
        text = b'{"a":' * depth + b"[" + b"0," * 100_000 + b"NaN]" + b"}" * depth
        begin = process_time()
        with pytest.raises(InputError, match=r"\[100000\] is NaN"):
            body(text)
        return process_time() - begin

    assert seconds(200) < 10 * seconds(1)
