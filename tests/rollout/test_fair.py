"""The check `fair`: three answers, and whatever is wrong with the evidence is one of them."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.evaluation.fairness import GapRule
from backstay.rollout import Decision, Verdict
from backstay.rollout.fair import fair

RNG = np.random.default_rng(3)
SEX = np.where(RNG.random(6_000) < 0.5, "f", "m")
LATE = RNG.random(6_000) < 0.4
SCORE = np.clip(0.3 * LATE + 0.7 * RNG.random(6_000), 0, 1)


def test_alike_passes_and_unlike_fails() -> None:
    alike = fair(LATE, SCORE, {"sex": SEX}, "equalized_odds", threshold=0.5, chosen={"entry": 4})
    assert alike.verdict is Verdict.PASS, alike.reason
    assert alike.as_dict()["evidence"]["chosen"] == {"entry": 4}
    unlike = np.where((SEX == "f") & (SCORE < 0.7), SCORE + 0.25, SCORE)
    found = fair(LATE, unlike, {"sex": SEX}, "equalized_odds", threshold=0.5)
    assert found.verdict is Verdict.FAIL
    assert "of f is above that of m by more than 0.1" in found.reason
    assert Decision.of([alike, found]).verdict is Verdict.FAIL


def test_a_group_too_small_to_tell_is_insufficient_until_it_is_said_to_be_put_up_with() -> None:
    some = SEX.astype(object)
    some[:5] = None
    found = fair(LATE, SCORE, {"sex": some}, "equalized_odds", threshold=0.5)
    assert found.verdict is Verdict.INSUFFICIENT
    assert "(missing)" in found.reason
    allowed = fair(LATE, SCORE, {"sex": some}, "equalized_odds", threshold=0.5, rule=GapRule(untold=0.01))
    assert allowed.verdict is Verdict.PASS
    assert "0.1% of rows are in cells that can't be told" in allowed.reason


@pytest.mark.parametrize(
    ("outcome", "score", "attributes", "said"),
    [
        (LATE, SCORE, None, "the protected attributes are missing"),
        (LATE, SCORE * np.nan, {"sex": SEX}, "6000 values are NaN"),
        (LATE, SCORE * 0 + 0.3, {"sex": SEX}, "all 6000 scores are 0.3"),
        (LATE & False, SCORE, {"sex": SEX}, "all 6000 rows have outcome 0"),
        (LATE[:0], SCORE[:0], {"sex": SEX[:0]}, "there are no rows"),
        (LATE, SCORE, {"sex": SEX[:9]}, "9 attributes for 6000 outcomes"),
        (LATE, SCORE / 4, {"sex": SEX}, "no row is selected"),
    ],
)
def test_what_cannot_be_compared_is_insufficient(
    outcome: np.ndarray, score: np.ndarray, attributes: dict[str, np.ndarray] | None, said: str
) -> None:
    found = fair(outcome, score, attributes, "demographic_parity", threshold=0.5)
    assert found.verdict is Verdict.INSUFFICIENT
    assert said in found.reason


def test_crossings_are_looked_at_together() -> None:
    """Alike by each attribute, unlike by both: only the crossing shows it."""
    young = RNG.random(6_000) < 0.5
    score = SCORE + 0.25 * ((SEX == "f") == young)
    found = fair(LATE, score, {"sex": SEX, "young": young}, "demographic_parity", threshold=0.6)
    assert found.verdict is Verdict.FAIL
    assert found.reason.startswith("sex x young: ")
    alone = fair(LATE, score, {"sex": SEX, "young": young}, "demographic_parity", threshold=0.6, order=1)
    assert alone.verdict is Verdict.PASS
