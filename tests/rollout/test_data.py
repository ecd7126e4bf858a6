"""The data gates: each fault it is for, and nothing where nothing is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.definitions import DataPolicy
from backstay.rollout import Verdict
from backstay.rollout.data import (
    Accepted,
    inputs_hold,
    label_rate_holds,
    no_leak,
    nothing_missing,
    rows_suffice,
    separation,
)

RULE = DataPolicy()
RANDOM = np.random.default_rng(4)


def column(size: int = 5_000, mean: float = 0.0, missing: float = 0.0) -> np.ndarray:
    values = RANDOM.normal(mean, 1, size).astype(np.float32)
    values[RANDOM.random(size) < missing] = np.nan
    return values


def before(**changes: object) -> Accepted:
    told = {"name": "version 3", "rows": 10_000, "label_rate": 0.2, "sample": {"a": column(), "b": column()}}
    return Accepted(**{**told, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "last", "verdict", "said"),
    [
        (99, None, "FAIL", "99 rows, and the policy wants 100"),
        (100, None, "PASS", "none before to compare"),
        (4_999, before(), "FAIL", "4,999 rows, 10,000 in version 3"),
        (5_000, before(), "PASS", "5,000 rows, 10,000 in version 3"),
    ],
)
def test_rows(rows: int, last: Accepted | None, verdict: str, said: str) -> None:
    check = rows_suffice(rows, last, RULE)
    assert (check.verdict.value, said in check.reason) == (verdict, True), check.reason


@pytest.mark.parametrize(
    ("positives", "rows", "verdict"),
    [
        (2_000, 10_000, "PASS"),
        (3_400, 10_000, "PASS"),  # odds 0.515 of 0.25: beyond a factor of two, but not by more than chance
        (3_800, 10_000, "FAIL"),
        (1_000, 10_000, "FAIL"),  # 0.111 of 0.25
        (3_333, 10_000, "PASS"),  # just at the factor: not shown to be beyond
        (40, 100, "PASS"),  # 0.667 of 0.25, of a hundred rows: chance may do that
        (70, 100, "FAIL"),
        (0, 10_000, "FAIL"),
    ],
)
def test_the_rate_of_the_label(positives: int, rows: int, verdict: str) -> None:
    assert label_rate_holds(positives, rows, before(), RULE).verdict.value == verdict
    assert label_rate_holds(positives, rows, None, RULE).verdict is Verdict.PASS


def test_inputs() -> None:
    last = before()
    assert inputs_hold({"a": column(), "b": column()}, last, RULE).verdict is Verdict.PASS
    moved = inputs_hold({"a": column(), "b": column(mean=1.0)}, last, RULE)
    assert (moved.verdict, "b is far from version 3" in moved.reason) == (Verdict.FAIL, True)
    assert inputs_hold({"a": column(), "b": column(30, mean=0.3)}, last, RULE).verdict is Verdict.PASS
    other = inputs_hold({"a": column(), "c": column(mean=9)}, last, RULE)
    assert (other.verdict, "has other inputs" in other.reason) == (Verdict.PASS, True)
    assert inputs_hold({"a": column()}, None, RULE).verdict is Verdict.PASS


def test_chance_alone_is_rarely_refused() -> None:
    """Forty pairs of samples of one distribution, of two hundred rows: none beyond the policy."""
    for _ in range(40):
        last = before(sample={name: column(200) for name in "abcdefgh"})
        assert inputs_hold({name: column(200) for name in "abcdefgh"}, last, RULE).verdict is Verdict.PASS


def test_missing_values() -> None:
    last = before(sample={"a": column(missing=0.1), "b": column()})
    assert nothing_missing({"a": column(missing=0.25), "b": column()}, last, RULE).verdict is Verdict.PASS
    grown = nothing_missing({"a": column(missing=0.1), "b": column(missing=0.5)}, last, RULE)
    assert (grown.verdict, grown.reason[:2]) == (Verdict.FAIL, "b:")
    empty = nothing_missing({"a": np.full(50, np.nan, np.float32), "b": column()}, None, RULE)
    assert (empty.verdict, empty.reason) == (Verdict.FAIL, "a: no row has a value")


def test_a_leak() -> None:
    outcome = (RANDOM.random(2_000) < 0.1).astype(np.int8)
    fine = {"a": column(2_000), "b": (outcome + 2 * column(2_000)).astype(np.float32)}
    assert no_leak(fine, outcome, RULE).verdict is Verdict.PASS
    for leak in (
        outcome,
        -outcome,
        np.where(outcome == 1, np.nan, column(2_000)),
        np.where(outcome, column(2_000), np.nan),
    ):
        found = no_leak({**fine, "c": leak.astype(np.float32)}, outcome, RULE)
        assert (found.verdict, "c alone tells the outcome" in found.reason) == (Verdict.FAIL, True)
    constant = {"a": np.ones(2_000, np.float32), "b": np.full(2_000, np.nan, np.float32)}
    assert no_leak(constant, outcome, RULE).verdict is Verdict.PASS


def test_separation_of_one_class_is_not_known() -> None:
    assert separation(np.array([1, 2], np.float32), np.array([1, 1], np.int8)) is None
    assert separation(np.array([], np.float32), np.array([], np.int8)) is None
