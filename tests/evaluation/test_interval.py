"""The interval record."""

from __future__ import annotations

import json
import math

import pytest

from backstay.core.errors import InputError
from backstay.evaluation import Interval, NotEnough


def test_reads_as_estimate_and_limits() -> None:
    assert str(Interval(0.0042, 0.0011, 0.0073, 0.95, 100, 9)) == "+0.0042 [+0.0011, +0.0073]"
    assert str(Interval(-1.5, -2.0, -1.0, 0.95, 100, 9)) == "-1.5000 [-2.0000, -1.0000]"


def test_shows_two_digits_of_a_small_width() -> None:
    assert str(Interval(0.000012, 0.000009, 0.000015, 0.95, 100, 9)) == "+0.0000120 [+0.0000090, +0.0000150]"
    assert str(Interval(0.0, 0.0, 0.0, 0.95, 100, 9)) == "+0.0000 [+0.0000, +0.0000]"


def test_survives_json() -> None:
    interval = Interval(0.1, 0.0, 0.2, 0.9, 100, 9)
    assert Interval(**json.loads(json.dumps(interval.as_dict()))) == interval


@pytest.mark.parametrize(
    ("estimate", "low", "high"),
    [(0, 1, 2), (3, 1, 2), (math.nan, 1, 2), (1, math.nan, 2), (1, 0, math.nan), (1, 0, math.inf), (1, -math.inf, 2)],
)
def test_there_is_none_without_sense(estimate: float, low: float, high: float) -> None:
    with pytest.raises(InputError, match="no interval"):
        Interval(estimate, low, high, 0.95, 10, 3)


def test_not_enough_is_an_input_error() -> None:
    assert issubclass(NotEnough, InputError)
