"""Converters of ours, as they are trained with: what skl2onnx writes otherwise than the estimator scores."""

import sys

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from backstay.core.errors import BackstayError
from backstay.core.packages import need
from backstay.runtimes import OnnxScorer
from backstay.training import fit
from tests.training.synthetic import NAMES, make_data, make_model, make_vector


def served(estimator, data, vector):
    """What the files score, and what the estimator does."""
    fitted = fit(make_model(estimator), data)
    trained = estimator().fit(data.vector, data.outcome)
    return OnnxScorer(fitted.files["model.onnx"], len(NAMES)).score(vector), trained


@pytest.mark.parametrize(
    "forest",
    [RandomForestClassifier, ExtraTreesClassifier, lambda n_estimators, random_state: BaggingClassifier(
        DecisionTreeClassifier(), n_estimators, random_state=random_state)],
    ids=["random", "extra", "bagged"],
)  # fmt: skip
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_a_forest_sends_missing_values_where_it_sent_them_when_it_was_trained(forest, missing):
    vector = make_vector(2_000, seed=7)
    vector[np.random.default_rng(8).random(vector.shape) < 0.3] = np.nan
    scores, trained = served(lambda: forest(n_estimators=10, random_state=0), make_data(1_000, missing=missing), vector)
    assert np.abs(scores - trained.predict_proba(vector)[:, 1]).max() < 1e-6


def encoded(**options):
    return make_pipeline(
        ColumnTransformer([("kinds", OneHotEncoder(**options), [0])], remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=10, random_state=0),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"handle_unknown": "ignore"},
        {"handle_unknown": "ignore", "drop": "first"},
        {"handle_unknown": "infrequent_if_exist", "min_frequency": 200},
        {"handle_unknown": "ignore", "min_frequency": 200, "dtype": np.int32},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_a_category_is_a_value_that_equals_it(options):
    """Cut to whole numbers, 1.5 would be 1, and -0.5 would be 0."""
    data, vector = make_data(2_000, missing=0.0), make_vector(200, seed=7)
    data.vector[:, 0] = np.round(data.vector[:, 0]) + 0.0
    data.vector[::50, 0], data.vector[::70, 0] = np.nan, 0.5
    vector[:, 0] = np.resize([0.0, 0.5, 1.0, 1.5, -0.5, 99.0, 3e38, np.nan], 200)
    scores, trained = served(lambda: encoded(**options), data, vector)
    assert np.abs(scores - trained.predict_proba(vector)[:, 1]).max() < 1e-6


def test_a_category_that_the_encoder_refuses_has_no_score_and_the_rows_beside_it_have():
    data = make_data(1_000, missing=0.0)
    data.vector[:, 0] = np.round(data.vector[:, 0]) + 5
    vector = data.vector[:7].copy()
    vector[1:6, 0] = [99, 5.5, 0, np.nan, 3e38]
    scores, trained = served(encoded, data, vector)
    assert np.isnan(scores[1:6]).all()
    assert np.abs(scores[[0, 6]] - trained.predict_proba(vector[[0, 6]])[:, 1]).max() < 1e-6


def test_what_an_estimator_takes_no_missing_value_in_has_no_score_without_it():
    def estimator():
        numbers = ColumnTransformer([("some", SimpleImputer(), [0, 1]), ("rest", "passthrough", [2, 3])])
        return make_pipeline(numbers, GradientBoostingClassifier(n_estimators=10, random_state=0))

    data = make_data(1_000, missing=0.0)
    vector = np.repeat(data.vector[:1], 6, axis=0)
    vector[np.arange(4), np.arange(4)] = np.nan
    scores, trained = served(estimator, data, vector)
    assert np.isnan(scores).tolist() == [False, False, True, True, False, False]
    taken = [0, 1, 4, 5]
    assert np.abs(scores[taken] - trained.predict_proba(vector[taken])[:, 1]).max() < 1e-6


def by_column(*columns):
    return ColumnTransformer(
        [("kinds", OneHotEncoder(handle_unknown="ignore"), list(columns))], remainder=StandardScaler()
    )


@pytest.mark.parametrize(
    "before",
    [
        [SimpleImputer(strategy="most_frequent")],
        [SimpleImputer(), StandardScaler()],
        [SimpleImputer(), ColumnTransformer([("scaled", StandardScaler(), [1, 3])], remainder="passthrough")],
    ],
    ids=["imputed", "scaled", "by column"],
)
def test_columns_are_told_apart_behind_other_steps(before):
    data = make_data(500)
    data.vector[:, 0] = np.round(np.nan_to_num(data.vector[:, 0]))
    kinds = [] if len(before) > 1 else [0]
    fitted = fit(make_model(lambda: make_pipeline(*before, by_column(*kinds), LogisticRegression())), data)
    assert fitted.scoring.max_difference < 1e-6


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        RobustScaler(),
        RobustScaler(with_scaling=False),
        MaxAbsScaler(),
    ],
    ids=["standard", "standard, not centred", "robust", "robust, not scaled", "largest"],
)
def test_a_scaled_value_goes_to_the_side_of_a_split_that_it_went_to_when_it_was_trained(scaler):
    data = make_data(20_000)
    data.vector[:] = np.exp(data.vector) * 37.0  # values that stand close together, as amounts do
    scores, trained = served(
        lambda: make_pipeline(scaler, HistGradientBoostingClassifier(max_iter=40, random_state=0)), data, data.vector
    )
    assert np.abs(scores - trained.predict_proba(data.vector)[:, 1]).max() < 1e-6


def test_a_scaler_that_cuts_off_what_lies_beyond_is_refused_in_words():
    clipping = make_model(lambda: make_pipeline(MaxAbsScaler(clip=True), HistGradientBoostingClassifier(max_iter=5)))
    with pytest.raises(BackstayError, match=r"step maxabsscaler \(MaxAbsScaler\): clip=True cannot be said"):
        fit(clipping, make_data(500))


def test_a_step_that_does_not_convert_behind_others_is_named(monkeypatch):
    def only_alone(scope, operator, container):
        if operator.inputs[0].raw_name != "x":
            raise NotImplementedError("it stands behind another")
        return need("skl2onnx.operator_converters.scaler_op").convert_sklearn_scaler(scope, operator, container)

    module = sys.modules["backstay.runtimes.convert"]
    known = module.registered

    def registered():
        there = known()
        shapes = need("skl2onnx.shape_calculators.scaler").calculate_sklearn_scaler_output_shapes
        there["custom_conversion_functions"][StandardScaler] = only_alone
        there["custom_shape_calculators"][StandardScaler] = shapes
        return there

    monkeypatch.setattr(module, "registered", registered)
    pipeline = make_model(lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()))
    with pytest.raises(BackstayError, match=r"step standardscaler \(StandardScaler\) after those before it: it stands"):
        fit(pipeline, make_data(100))
