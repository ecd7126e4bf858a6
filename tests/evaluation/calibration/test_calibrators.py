"""Calibrators against scikit-learn's and SciPy's, and what they must refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from backstay.core.errors import InputError
from backstay.evaluation.calibration import KINDS, Calibrator, Rule, fit_calibrator
from backstay.evaluation.interval import NotEnough


def drawn(rows: int, seed: int = 0, sharpness: float = 2.0) -> tuple[Any, Any]:
    """Outcomes, and scores that are too sure of themselves."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.5, 1.0, rows)
    happened = rng.random(rows) < 1 / (1 + np.exp(-odds))
    return happened, 1 / (1 + np.exp(-sharpness * odds))


def odds(p: Any) -> Any:
    return np.log(p / (1 - p))


def test_platt_is_the_sigmoid_of_scikit_learn() -> None:
    happened, score = drawn(3_000)
    ours = fit_calibrator(happened, score, "platt")
    theirs = _SigmoidCalibration().fit(odds(score), happened)
    assert ours(score) == pytest.approx(theirs.predict(odds(score)), abs=1e-6)


def test_beta_has_the_greatest_likelihood() -> None:
    happened, score = drawn(3_000, seed=1)
    ours = fit_calibrator(happened, score, "beta")
    cases = happened.sum()
    target = np.where(happened, (cases + 1) / (cases + 2), 1 / (len(happened) - cases + 2))

    def loss(numbers: Any) -> float:
        a, b, c = numbers
        z = a * np.log(score) - b * np.log1p(-score) + c
        return float(np.sum(np.logaddexp(0, z) - target * z))

    theirs = minimize(loss, (1.0, 1.0, 0.0), method="BFGS")
    assert loss(ours.numbers) <= theirs.fun + 1e-9
    assert ours.numbers == pytest.approx(theirs.x, abs=1e-3)


def test_isotonic_is_that_of_scikit_learn_but_never_says_0_or_1() -> None:
    happened, score = drawn(5_000, seed=2)
    score = score.round(3)  # ties, too
    ours = fit_calibrator(happened, score, "isotonic")
    theirs = IsotonicRegression(out_of_bounds="clip").fit(score, happened).predict(score)
    inner = (theirs > theirs.min()) & (theirs < theirs.max())
    low, high = ours.points[1][0], ours.points[-2][0]
    inner &= (score >= low) & (score <= high)
    assert inner.mean() > 0.5
    assert ours(score)[inner] == pytest.approx(theirs[inner], abs=1e-9)
    assert 0 < ours([-5.0])[0] <= ours([5.0])[0] < 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_probabilities_mean_what_they_say(kind: str) -> None:
    happened, score = drawn(40_000, seed=3)
    later, scored = drawn(40_000, seed=4)
    probability = fit_calibrator(happened, score, kind)(scored)
    for part in np.array_split(np.argsort(probability), 10):
        spread = np.sqrt(later[part].mean() * (1 - later[part].mean()) / len(part))
        assert abs(probability[part].mean() - later[part].mean()) < 4 * spread + 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_stay_and_rows_are_taken_one_by_one(kind: str) -> None:
    happened, score = drawn(4_001, seed=5)
    one = fit_calibrator(happened, score, kind)
    whole = one(score)
    assert (np.diff(whole[np.argsort(score)]) >= 0).all()
    assert one(score[:1]).tobytes() + one(score[1:]).tobytes() == whole.tobytes()
    assert one(score[::-1]).tobytes() == whole[::-1].tobytes()
    assert np.isnan(one([np.nan])[0])
    mixed = np.random.default_rng(0).permutation(len(score))
    assert fit_calibrator(happened[mixed], score[mixed], kind) == one
    assert Calibrator.from_dict(one.as_dict()) == one


@pytest.mark.parametrize(("rows", "kind"), [(200, "platt"), (1_500, "beta"), (12_000, "isotonic")])
def test_the_kind_is_what_the_scarcer_class_can_bear(rows: int, kind: str) -> None:
    happened, score = drawn(rows, seed=6)
    assert fit_calibrator(happened, score).kind == kind


def test_raw_scores_are_taken_as_they_are() -> None:
    rng = np.random.default_rng(8)
    score = rng.normal(0, 3, 5_000)
    happened = rng.random(5_000) < 1 / (1 + np.exp(-score))
    one = fit_calibrator(happened, score, "platt")
    assert one.raw
    assert one.numbers == pytest.approx((1.0, 0.0), abs=0.1)
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        fit_calibrator(happened, score, "beta")


def test_classes_that_a_score_parts_give_finite_numbers() -> None:
    score = np.concatenate([np.full(50, 0.2), np.full(50, 0.8)])
    for kind in KINDS:
        one = fit_calibrator(score > 0.5, score, kind)
        low, high = one([0.2, 0.8])
        assert 0 < low < 0.1 < 0.9 < high < 1


def test_what_can_not_be_told_is_not() -> None:
    happened, score = drawn(1_000)
    with pytest.raises(NotEnough, match="there are 3 rows with outcome 1"):
        fit_calibrator([1] * 3 + [0] * 500, score[:503])
    with pytest.raises(NotEnough, match="the same score"):
        fit_calibrator(happened, np.full(1_000, 0.3))
    with pytest.raises(InputError, match="NaN"):
        fit_calibrator(happened, np.where(score > 0.5, np.nan, score))
    with pytest.raises(InputError, match="infinite"):
        fit_calibrator(happened, np.where(score > 0.9, np.inf, score))
    with pytest.raises(InputError, match="no calibrator of kind"):
        fit_calibrator(happened, score, "temperature")
    for kind in KINDS:
        with pytest.raises(NotEnough, match="does not go with"):
            fit_calibrator(~happened, score, kind)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "spline"},
        {"kind": "platt", "numbers": (1.0,)},
        {"kind": "platt", "numbers": (-1.0, 0.0)},
        {"kind": "platt", "numbers": (float("nan"), 0.0)},
        {"kind": "isotonic"},
        {"kind": "isotonic", "points": ((0.0, 0.5), (1.0, 0.2))},
        {"kind": "isotonic", "points": ((0.0, 0.5), (1.0, 1.2))},
    ],
)
def test_what_is_no_calibrator_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="this is no calibrator"):
        Calibrator(**wrong)


def test_a_rule_answers_probabilities_and_decisions() -> None:
    assert Rule(0.5)([0.4, 0.5, np.nan])[1].tolist() == [False, True, False]
    told = Rule.of(0.3, Calibrator("platt", (1.0, 1.0)).as_dict(), "c1")
    scores, decided = told([0.2])
    assert (scores.round(4).tolist(), decided.tolist(), told.name) == ([0.4046], [True], "c1")
