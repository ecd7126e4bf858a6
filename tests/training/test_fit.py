import subprocess
import sys

import numpy as np
import pytest
from lightgbm import Booster, LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from backstay.core.errors import BackstayError, DefinitionError, InputError
from backstay.core.identity import canonical_json
from backstay.runtimes import OnnxScorer
from backstay.training import fit
from tests.training.synthetic import NAMES, make_data, make_model


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


def stacked(final=None):
    parts = [("linear", LogisticRegression()), ("boosted", HistGradientBoostingClassifier(max_iter=5))]
    return StackingClassifier(parts, final)


@pytest.mark.parametrize("runtime", ["onnx", "sklearn-pickle"])
def test_a_stack_tells_chances_once_it_is_fitted(runtime):
    for estimator in (stacked(), stacked(stacked()), make_pipeline(SimpleImputer(), stacked())):
        model = make_model(lambda chosen=estimator: chosen, runtime=runtime, trust_code=True)
        assert fit(model, make_data(500, missing=0.0)).scoring.max_difference < 1e-6


def test_a_stack_that_tells_no_chances_is_refused_before_it_is_fitted():
    for estimator in (stacked(RidgeClassifier()), make_pipeline(SimpleImputer(), RidgeClassifier())):
        with pytest.raises(DefinitionError, match="fit and predict_proba"):
            fit(make_model(lambda chosen=estimator: chosen), make_data(100))


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
