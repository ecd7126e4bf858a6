"""The arms on a small fold: what they say is probabilities, with a correction or a calibrator on untouched rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from tests.training.synthetic import small_lightgbm

from backstay.training.imbalance import ARMS, Answer, Arm, NotApplicable, Task
from backstay.training.imbalance.learning import learn_weighed, neutral

ROWS, TEST = 4_500, 3_000
BY_NAME: dict[str, Arm] = {one.name: one for one in ARMS}


def logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


def make_task(estimator: Callable[[], Any] = logistic, *, shift: float = -4.2, missing: float = 0.0) -> Task:
    """About one positive in thirty, by a logistic model of two of four numbers; a row a second."""
    rng = np.random.default_rng(1)
    vector = rng.normal(size=(ROWS + TEST, 4)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(shift + 1.2 * vector[:, 0] - vector[:, 1])))
    outcome = (rng.random(ROWS + TEST) < chance).astype(np.int8)
    vector[rng.random(vector.shape) < missing] = np.nan
    task = Task(vector[:ROWS], outcome[:ROWS], np.arange(ROWS), vector[ROWS:], 100, 7, estimator)
    task.__dict__["truth"] = outcome[ROWS:]
    return task


def ran(name: str, task: Task) -> Answer:
    return BY_NAME[name].run(task)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_what_an_arm_says_is_a_probability(name: str) -> None:
    task = make_task()
    found = ran(name, task)
    truth = task.__dict__["truth"]
    assert found.probability.shape == (TEST,)
    assert ((found.probability >= 0) & (found.probability <= 1)).all()
    assert found.probability.sum() / truth.sum() == pytest.approx(1, abs=0.3)
    if name in ("undersample", "smote"):
        assert (ran(name, task).probability == found.probability).all()
    if name in ("weights", "undersample", "bag", "smote"):
        assert found.raw is not None
        assert found.raw.sum() > 1.5 * truth.sum()
    assert found.notes or name == "plain"


@pytest.mark.parametrize("name", list(BY_NAME))
def test_missing_values_and_trees(name: str) -> None:
    task = make_task(small_lightgbm, missing=0.1)
    found = ran(name, task)
    assert np.isfinite(found.probability).all()
    told = any("filled with medians" in one for one in found.notes)
    assert told == (name == "smote")


def test_corrected_weights_say_what_no_weights_say() -> None:
    task = make_task()
    plain, weighed = ran("plain", task).probability, ran("weights", task).probability
    assert np.abs(plain - weighed).mean() < 0.005
    assert np.corrcoef(np.log(plain), np.log(weighed))[0, 1] > 0.98


class Spy(LogisticRegression):
    """Remembers the rows that it has learned from, by their first number."""

    seen: set[float]

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
        Spy.seen = {float(one) for one in X[:, 0]}
        return super().fit(X, y, sample_weight)


def test_a_calibrator_is_fitted_on_rows_that_were_not_learned_from() -> None:
    task = make_task(Spy)
    earlier, later = task.parts
    assert earlier.max() + task.wait <= later.min()
    assert len(later) == ROWS // 3
    ran("smote", task)
    untouched = {float(one) for one in task.vector[later, 0]}
    # rows are divided by their width and multiplied again, so that they are found to about a float32's last place
    near = {round(one, 5) for one in Spy.seen} & {round(one, 5) for one in untouched}
    assert len(near) < len(untouched) * 0.05


def test_few_positives_set_half_aside_and_fewer_still_bear_no_calibrator() -> None:
    task = make_task(shift=-7.0)
    assert len(task.positives) < 60
    assert len(task.parts[1]) in (ROWS // 3, ROWS // 2)
    for name in ("smote", "anomaly"):
        with pytest.raises(NotApplicable, match=r"no calibrator can be fitted|one outcome only|none can be made up"):
            ran(name, make_task(shift=-8.5))


def test_an_estimator_without_weights_is_told_not_left_out() -> None:
    task = make_task(lambda: KNeighborsClassifier())
    with pytest.raises(NotApplicable, match="KNeighborsClassifier takes neither sample_weight nor class_weight"):
        ran("weights", task)
    assert np.isfinite(ran("undersample", task).probability).all()


def test_weights_are_scikit_learns_balanced_ones_whichever_way_they_are_given() -> None:
    task = make_task()
    weight = len(task.negatives) / len(task.positives)
    theirs = compute_class_weight("balanced", classes=np.array([0, 1]), y=task.outcome)
    balanced = make_pipeline(StandardScaler(), LogisticRegression(class_weight=dict(enumerate(theirs))))
    balanced.fit(task.vector, task.outcome)
    by_step, by_parameter = logistic(), make_pipeline(StandardScaler(), _OnlyByParameter())
    for one in (by_step, by_parameter):
        learn_weighed(one, task.vector, task.outcome, weight)
        np.testing.assert_allclose(one.predict_proba(task.test), balanced.predict_proba(task.test), atol=1e-6)


class _OnlyByParameter(LogisticRegression):
    def fit(self, X: Any, y: Any) -> Any:  # noqa: N803
        return super().fit(X, y)


def test_the_weights_of_a_definition_are_set_aside() -> None:
    given = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    assert neutral(given) == ("logisticregression__class_weight='balanced' of its definition is set aside",)
    assert given[-1].class_weight is None
    assert neutral(small_lightgbm().set_params(is_unbalance=True)) == (
        "is_unbalance=True of its definition is set aside",
    )
    assert neutral(small_lightgbm()) == ()


def test_without_imbalanced_learn_the_arm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imblearn.over_sampling", None)
    with pytest.raises(NotApplicable, match=r"pip install 'backstay\[imbalance\]'"):
        ran("smote", make_task())


def test_more_positives_than_negatives_leave_nothing_to_spare() -> None:
    task = make_task(shift=2.0)
    for name in ("undersample", "bag"):
        with pytest.raises(NotApplicable, match="none to spare"):
            ran(name, task)
    with pytest.raises(NotApplicable, match="none can be made up"):
        ran("smote", task)
