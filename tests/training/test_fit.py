import subprocess
import sys

import numpy as np
import pytest
from lightgbm import Booster, LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
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
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from backstay.core.errors import BackstayError, DefinitionError, InputError
from backstay.core.identity import canonical_json
from backstay.runtimes import OnnxScorer
from backstay.training import fit
from tests.training.synthetic import NAMES, make_data, make_model, make_vector


@pytest.fixture(scope="module")
def fitted():
    return fit(make_model(), make_data(), seed=3)


def test_the_file_scores_as_the_estimator(fitted):
    data = make_data()
    assert fitted.scoring.max_difference < 4e-7
    assert fitted.scoring.rows == data.rows
    assert fitted.base_rate == data.outcome.mean()
    trained = Booster(model_str=fitted.files["model.txt"].decode()).predict(data.vector)
    served = OnnxScorer(fitted.files["model.onnx"], len(NAMES)).score(data.vector)
    assert np.abs(served - trained).max() == fitted.scoring.max_difference
    assert np.corrcoef(served, data.outcome)[0, 1] > 0.5


def test_names_and_parameters_are_kept(fitted):
    assert Booster(model_str=fitted.files["model.txt"].decode()).feature_name() == list(NAMES)
    assert fitted.estimator == "lightgbm.sklearn.LGBMClassifier"
    assert fitted.parameters["random_state"] == 3
    assert fitted.parameters["num_leaves"] == 15
    assert fitted.parameters["n_jobs"] == 1
    assert fitted.parameters["deterministic"] is True
    assert fitted.parameters["force_row_wise"] is True
    assert canonical_json(fitted.parameters)


def test_two_threads_unless_set():
    assert fit(make_model(lambda: LGBMClassifier(n_estimators=2)), make_data(100)).parameters["n_jobs"] == 2


def bagged() -> LGBMClassifier:
    return LGBMClassifier(n_estimators=20, subsample=0.5, subsample_freq=1, n_jobs=1)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    model, data = make_model(bagged), make_data()
    first, second, other = fit(model, data, seed=1), fit(model, data, seed=1), fit(model, data, seed=2)
    assert first == second
    assert first.files["model.onnx"] != other.files["model.onnx"]


def test_the_threads_do_not_change_the_file():
    data = make_data()
    one, two = (fit(make_model(lambda n=n: LGBMClassifier(n_estimators=5, n_jobs=n)), data) for n in (1, 2))
    assert one.parameters["n_jobs"] == 1
    assert one.files["model.onnx"] == two.files["model.onnx"]


@pytest.mark.parametrize(
    "options", [{"seed": 5}, {"verbose": 1}, {"force_col_wise": True}, {"num_threads": 1}], ids=str
)
def test_other_names_of_the_same_settings(options, capfd):
    data = make_data()
    fits = [fit(make_model(lambda: LGBMClassifier(n_estimators=5, **options)), data, seed=9) for _ in range(2)]
    assert fits[0] == fits[1]
    assert capfd.readouterr() == ("", "")
    if "seed" in options:
        assert fits[0].parameters["seed"] == 9


def test_an_estimator_made_once_is_left_as_it_is():
    shared = LGBMClassifier(n_estimators=5)
    fit(make_model(lambda: shared), make_data(), seed=4)
    assert not hasattr(shared, "fitted_") or not shared.fitted_
    assert shared.get_params()["random_state"] is None


@pytest.mark.parametrize(
    "estimator",
    [
        lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        lambda: make_pipeline(SimpleImputer(), RandomForestClassifier(n_estimators=10, max_depth=6)),
    ],
    ids=["logistic", "forest"],
)
def test_scikit_learn(estimator):
    model, data = make_model(estimator), make_data()
    first, second = fit(model, data, seed=7), fit(model, data, seed=7)
    assert first == second
    assert list(first.files) == ["model.onnx"]
    assert first.scoring.max_difference < 1e-6
    seeds = [value for name, value in first.parameters.items() if name.endswith("random_state")]
    assert seeds
    assert set(seeds) == {7}
    assert canonical_json(first.parameters)


def test_an_estimator_without_an_onnx_form_is_refused():
    unknown = make_model(lambda: make_pipeline(SimpleImputer(), FunctionTransformer(np.sin), LogisticRegression()))
    with pytest.raises(
        BackstayError, match=r"because of step functiontransformer \(FunctionTransformer\).*Derived feature"
    ):
        fit(unknown, make_data())


@pytest.mark.parametrize("estimator", [LGBMRegressor, KernelDensity, dict], ids=lambda e: e.__name__)
def test_what_is_not_a_classifier_is_refused(estimator):
    with pytest.raises(DefinitionError, match="scikit-learn-compatible classifier"):
        fit(make_model(estimator), make_data())


@pytest.mark.parametrize(
    "options",
    [{"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}, {"linear_tree": True}, {"sigmoid": 2.0}],
    ids=str,
)
def test_what_the_converter_gets_wrong_is_refused(options):
    with pytest.raises(BackstayError, match=r"scores training row \d+ as"):
        fit(make_model(lambda: LGBMClassifier(n_estimators=10, n_jobs=1, **options)), make_data(500))


def test_a_file_that_scores_differently_is_refused(monkeypatch):
    """Half the trees are lost on the way: the kind of fault that a converter has."""
    module = sys.modules["backstay.runtimes.convert"]
    convert = module.lightgbm_to_onnx

    def lossy(text: str, width: int) -> bytes:
        return convert(Booster(model_str=text).model_to_string(num_iteration=15), width)

    monkeypatch.setattr(module, "lightgbm_to_onnx", lossy)
    with pytest.raises(BackstayError, match=r"scores training row \d+ as .* a difference of 0\.\d+"):
        fit(make_model(), make_data())


def test_a_score_that_is_not_a_number_is_refused(monkeypatch):
    monkeypatch.setattr(OnnxScorer, "score", lambda self, vector: np.full(len(vector), np.nan))
    with pytest.raises(BackstayError, match="a difference of nan"):
        fit(make_model(), make_data())


@pytest.mark.parametrize("outcomes", [[0], [1], [0, 2]], ids=str)
def test_data_without_both_classes_is_refused(outcomes):
    data = make_data(60)
    data.outcome = np.resize(np.array(outcomes, dtype=np.int8), 60)
    with pytest.raises(InputError, match="expected both 0 and 1"):
        fit(make_model(), data)


def test_a_vector_of_another_shape_or_type_is_refused():
    data = make_data(60)
    for vector in (data.vector[:, :3], data.vector[:50], data.vector.astype(np.float64)):
        data.vector = vector
        with pytest.raises(InputError, match=r"float32 of shape \(60, 4\)"):
            fit(make_model(), data)


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxmltools", None)
    with pytest.raises(BackstayError, match=r"onnxmltools.* Fix: pip install 'backstay\[train\]'"):
        fit(make_model(), make_data())


def test_an_estimator_whose_package_is_missing_says_so():
    def estimator():
        import a_package_that_nobody_has

        return a_package_that_nobody_has.Classifier()

    with pytest.raises(BackstayError, match="a_package_that_nobody_has"):
        fit(make_model(estimator), make_data())


def test_training_libraries_are_imported_only_to_train():
    code = (
        "import sys, backstay.training\n"
        "print([name for name in ('lightgbm', 'sklearn', 'onnx', 'onnxmltools', 'skl2onnx', 'onnxruntime')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_is_converted_is_what_a_float_vector_needs():
    """One-hot by column, scaling and imputing, calibration, ensembles: all of scikit-learn's parts that are usual."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [("numbers", numbers, [1, 2, 3]), ("kinds", OneHotEncoder(handle_unknown="ignore"), [0])]
    )
    data = make_data(1_000)
    data.vector[:, 0] = np.round(data.vector[:, 0])
    for estimator in (
        make_pipeline(columns, LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=20),
        make_pipeline(SimpleImputer(), CalibratedClassifierCV(LogisticRegression(), cv=3)),
        make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=10)),
    ):
        fitted = fit(make_model(lambda chosen=estimator: chosen), data)
        assert fitted.scoring.max_difference < 1e-6, estimator
        assert fitted.scoring.batch_difference == 0.0, estimator


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


def test_scores_of_rows_unlike_those_of_training_are_compared(fitted):
    assert fitted.scoring.unlike_rows == 4 + 1 + 4 * 7
    assert fitted.scoring.unlike_difference < 4e-7


@pytest.mark.parametrize(
    ("wrong", "row"),
    [(np.isnan, "nan"), (lambda rows: rows > 9, r"\d\d?\.\d+"), (lambda rows: rows == 0.0375, "0.0375")],
)
def test_a_file_that_scores_other_rows_differently_is_refused(monkeypatch, wrong, row):
    score = OnnxScorer.score

    def other(self, vector):
        return np.where(wrong(vector).any(axis=1), 0.5, score(self, vector))

    monkeypatch.setattr(OnnxScorer, "score", other)
    data = make_data(missing=0.0)
    data.vector[:, 0] = np.float32(0.1) * (np.arange(data.rows) % 2)
    with pytest.raises(BackstayError, match=f"a row unlike those of training, .*{row}.*gets 0.5 from the files, and 0"):
        fit(make_model(), data)


def test_a_score_of_what_the_estimator_refuses_is_refused(monkeypatch):
    monkeypatch.setattr(sys.modules["backstay.training.fit"], "refused_inputs", lambda *_: [])
    with pytest.raises(BackstayError, match="from the files, and no score from the estimator"):
        fit(make_model(lambda: GradientBoostingClassifier(n_estimators=5)), make_data(300, missing=0.0))


@pytest.mark.parametrize(
    ("estimator", "step"),
    [
        (lambda: make_pipeline(SimpleImputer(), LGBMClassifier(n_estimators=2)), r"step lgbmclassifier \(LGBM.*alone"),
        (
            lambda: make_pipeline(SimpleImputer(), ColumnTransformer([("sin", FunctionTransformer(np.sin), [0, 1])])
                                  , LogisticRegression()),
            r"step columntransformer\.sin \(FunctionTransformer\).*Derived feature.*runtime='sklearn-pickle'",
        ),
        (lambda: HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]), "splits by category"),
    ],
    ids=["boosted", "column", "category"],
)  # fmt: skip
def test_the_step_that_does_not_convert_is_named(estimator, step):
    data = make_data(300)
    data.vector[:, 0] = np.arange(300) % 5
    with pytest.raises(BackstayError, match=step):
        fit(make_model(estimator), data)
