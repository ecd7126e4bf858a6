"""Checks, and what they come to."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import InputError
from backstay.evaluation import Interval
from backstay.rollout import Check, Decision, Verdict

PASS, FAIL, INSUFFICIENT = Verdict.PASS, Verdict.FAIL, Verdict.INSUFFICIENT


def check(verdict: Verdict, name: str = "gate") -> Check:
    return Check(name, verdict, f"because {name}")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], INSUFFICIENT),
        ([PASS], PASS),
        ([PASS, PASS], PASS),
        ([PASS, INSUFFICIENT], INSUFFICIENT),
        ([INSUFFICIENT, FAIL], FAIL),
        ([PASS, FAIL, PASS], FAIL),
    ],
)
def test_the_worst_check_decides(verdicts: list[Verdict], expected: Verdict) -> None:
    assert Decision.of(map(check, verdicts)).verdict is expected


@given(st.lists(st.sampled_from(Verdict)))
def test_passes_only_if_every_check_does(verdicts: list[Verdict]) -> None:
    decision = Decision.of(check(verdict) for verdict in verdicts)
    assert (decision.verdict is PASS) == (bool(verdicts) and set(verdicts) == {PASS})


def test_gives_the_reasons_of_the_checks_that_decided() -> None:
    decision = Decision.of([check(PASS, "a"), check(FAIL, "b"), check(INSUFFICIENT, "c"), check(FAIL, "d")])
    assert decision.reason == "b: because b; d: because d"
    assert Decision.of([]).reason == "no check was made"


def test_a_decision_can_not_contradict_its_checks() -> None:
    with pytest.raises(InputError, match="says PASS but its checks come to FAIL"):
        Decision(PASS, "I like it", (check(FAIL),))
    with pytest.raises(InputError, match="INSUFFICIENT"):
        Decision(PASS, "nobody looked", ())


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(InputError, match="'MAYBE'"):
        Check("gate", "MAYBE", "")  # type: ignore[arg-type]
    assert Check("gate", "FAIL", "").verdict is FAIL  # type: ignore[arg-type]


def test_everything_becomes_json() -> None:
    evidence: dict[str, Any] = {
        "interval": Interval(0.1, 0.0, 0.2, 0.95, 10, 3),
        "numpy": np.float32(0.5),
        "array": np.array([1.0, math.nan]),
        "nan": math.nan,
        "verdict": PASS,
        "day": dt.date(2013, 1, 2),
        "set": {"b", "a"},
        "nested": {"tuple": (1, None, True)},
        "error": ValueError("broken"),
    }
    out = Decision.of([Check("gate", PASS, "fine", evidence)]).as_dict()
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    plain = out["checks"][0]["evidence"]
    assert plain["interval"]["high"] == 0.2
    assert plain["array"] == [1.0, None]
    assert (plain["nan"], plain["verdict"], plain["day"]) == (None, "PASS", "2013-01-02")
    assert (plain["set"], plain["nested"], plain["error"]) == (["a", "b"], {"tuple": [1, None, True]}, "broken")
