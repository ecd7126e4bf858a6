"""Admission: the limit follows the rate; deadlines and refusals."""

from __future__ import annotations

from math import inf
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.serving.admission import Limiter, deadline
from backstay.serving.refusal import Late, Overloaded


def test_the_limit_is_what_is_answered_in_two_fifths_of_the_objective() -> None:
    limiter = Limiter(0.1, 10_000)
    for _ in range(200):
        limiter.served(32, 32 * 0.000_1, 0.0)
    assert limiter.limit == pytest.approx(400, rel=0.01)
    for _ in range(200):
        limiter.served(32, 32 * 0.001, 0.0)
    assert limiter.limit == pytest.approx(40, rel=0.01)


@pytest.mark.parametrize(
    ("refusing", "limit"), [(0.0, 400), (0.01, 300), (0.029, 110), (0.036, 120), (0.09, 300), (0.9, 400)], ids=str
)
def test_what_refusing_takes_is_not_left_for_answers_but_a_third_of_it_is(refusing: float, limit: int) -> None:
    limiter = Limiter(0.1, 10_000)
    for _ in range(50):
        limiter.served(100, 100 * 0.000_1, refusing)
    assert limiter.limit == pytest.approx(limit, rel=0.01)


def test_a_crowd_that_was_refused_is_remembered_for_some_turns() -> None:
    """Short turns come among the long ones, and after each of them too much would be let in."""
    limiter = Limiter(0.1, 10_000)
    for _ in range(50):
        limiter.served(100, 100 * 0.000_1, 0.02)
    limiter.served(100, 100 * 0.000_1, 0.0)
    assert limiter.limit == pytest.approx(250, rel=0.01)
    for _ in range(20):
        limiter.served(100, 100 * 0.000_1, 0.0)
    assert limiter.limit == pytest.approx(400, rel=0.01)


def test_what_a_refusal_takes_is_measured_where_there_were_some() -> None:
    limiter = Limiter(0.1, 10_000)
    before = limiter.refusal
    limiter.served(100, 100 * 0.000_1, 0.5)
    assert limiter.refusal == before
    for _ in range(50):
        limiter.refused += 900
        limiter.served(100, 100 * 0.000_1, 0.01)
    assert limiter.refusal == pytest.approx(10e-6, rel=0.01)
    limiter.refused += 900
    limiter.served(100, 100 * 0.000_1, 0.0)  # a worker computed: the loop was free, and what it did is not known
    assert limiter.refusal == pytest.approx(10e-6, rel=0.01)
    limiter.refused += 10
    limiter.served(10, 10 * 0.000_1, 3.0)
    assert limiter.refusal < 20e-6  # the machine stood still, for 3 s; a refusal takes no longer than an answer


def test_the_limit_is_bounded_on_both_sides() -> None:
    limiter = Limiter(0.1, 100)
    limiter.served(10_000, 0.0001, 0.0)
    assert limiter.limit == 100
    limiter.served(10_000, 10_000.0, 0.0)
    assert limiter.limit == 4


def test_one_stall_hardly_moves_it() -> None:
    limiter = Limiter(0.1, 10_000)
    for _ in range(200):
        limiter.served(8, 8 * 0.000_2, 0.0)
    before = limiter.limit
    limiter.served(8, 0.03, 0.0)
    assert limiter.limit > 0.6 * before


@pytest.mark.parametrize("stall", [1.0, 60.0])
def test_a_lone_request_that_stalls_is_no_measure(stall: float) -> None:
    limiter = Limiter(0.1, 10_000)
    for _ in range(5_000):
        limiter.served(1, 0.000_4, 0.0)
    limiter.served(1, stall, 0.0)
    assert limiter.limit > 250
    for _ in range(1_000):
        limiter.served(1, stall, 0.0)
    assert limiter.limit == pytest.approx(4, rel=0.1)


def test_lone_requests_say_little_of_what_many_take() -> None:
    limiter = Limiter(0.1, 10_000)
    for _ in range(5_000):
        limiter.served(1, 0.000_4, 0.0)
    assert limiter.limit == pytest.approx(400, rel=0.01)


def test_what_was_answered_counts_until_the_loop_comes_round() -> None:
    limiter = Limiter(0.1, 10)
    limiter.enter(8, inf)
    limiter.leave(8)
    limiter.spent = 8
    assert not limiter.full
    with pytest.raises(Overloaded):
        limiter.enter(3, inf)
    limiter.enter(2, inf)
    assert limiter.full
    with pytest.raises(Overloaded):
        limiter.admit()
    limiter.spent = 0
    limiter.admit()


def test_what_is_over_the_limit_is_refused_until_something_leaves() -> None:
    limiter = Limiter(0.1, 10)
    for _ in range(10):
        limiter.admit()
        limiter.enter(1, inf)
    with pytest.raises(Overloaded):
        limiter.admit()
    with pytest.raises(Overloaded) as caught:
        limiter.enter(1, inf)
    assert (caught.value.status, caught.value.retry_after) == (429, 1)
    limiter.leave(1)
    limiter.admit()


def test_a_request_larger_than_the_limit_is_let_in_alone() -> None:
    limiter = Limiter(0.1, 10)
    limiter.enter(500, inf)
    with pytest.raises(Overloaded):
        limiter.enter(1, inf)
    limiter.leave(500)
    limiter.enter(1, inf)
    with pytest.raises(Overloaded):
        limiter.enter(500, inf)


def test_a_deadline_that_those_before_it_use_up_is_late() -> None:
    limiter = Limiter(100.0, 10_000)
    limiter.served(10_000, 100.0, 0.0)  # 10 ms a row
    limiter.enter(100, inf)  # a second's work
    limiter.enter(1, monotonic() + 60)
    with pytest.raises(Late) as caught:
        limiter.enter(1, monotonic() + 0.5)
    assert caught.value.status == 504
    assert limiter.rows == 101


@pytest.mark.parametrize(
    ("text", "wait"), [(b"250", 0.25), (b"0.5", 0.0005), (b"0", 0.0), (b"-5", -0.005), (b"-inf", -inf)]
)
def test_a_deadline_is_read_from_its_header(text: bytes, wait: float) -> None:
    assert deadline(text, 1_000.0) - 1_000.0 == pytest.approx(wait)


@given(st.binary(max_size=12))
def test_a_header_that_is_no_number_is_no_deadline(text: bytes) -> None:
    try:
        float(text)
    except ValueError:
        assert deadline(text, 1.0) == inf
    else:
        deadline(text, 1.0)


def test_no_header_is_no_deadline() -> None:
    assert deadline(None, 1.0) == deadline(b"nan", 1.0) == deadline(b"soon", 1.0) == deadline(b"inf", 1.0) == inf
