"""Every runtime keeps the same promises: one suite over all of them."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits
from xgboost import XGBClassifier

from backstay.core.errors import BackstayError, InputError
from backstay.runtimes import load, runtime, runtimes, trusted
from backstay.runtimes.pickled import PickleScorer
from backstay.training import fit
from tests.training.synthetic import make_data, make_model, make_vector


def linear():
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


CASES = {
    "onnx-trees": ("onnx", lambda: LGBMClassifier(n_estimators=30, n_jobs=1)),
    "onnx-linear": ("onnx", linear),
    "onnx-histogram": ("onnx", lambda: HistGradientBoostingClassifier(max_iter=20)),
    "lightgbm": ("lightgbm", lambda: LGBMClassifier(n_estimators=30, n_jobs=1)),
    "lightgbm-linear-trees": ("lightgbm", lambda: LGBMClassifier(n_estimators=10, n_jobs=1, linear_tree=True)),
    "lightgbm-forest": (
        "lightgbm",
        lambda: LGBMClassifier(n_estimators=10, n_jobs=1, boosting_type="rf", subsample=0.5, subsample_freq=1),
    ),
    "xgboost": ("xgboost", lambda: XGBClassifier(n_estimators=30, n_jobs=1)),
    "sklearn-pickle": ("sklearn-pickle", linear),
    "sklearn-pickle-forest": (
        "sklearn-pickle",
        lambda: make_pipeline(SimpleImputer(), RandomForestClassifier(n_estimators=10, n_jobs=2)),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def threads():
    """Two in OpenBLAS, where other tests have one: scores may not depend on how a product is shared out."""
    with threadpool_limits(2, user_api="blas"):
        yield


@pytest.fixture(scope="module", params=CASES, ids=str)
def trained(request):
    name, estimator = CASES[request.param]
    model = make_model(estimator, runtime=name, trust_code=True)
    return model, fit(model, make_data(3_000), seed=1)


@pytest.fixture
def scorer(trained):
    model, fitted = trained
    return load(model, model.runtime, fitted.files.__getitem__)


def bits(scores):
    return scores.view(np.int64)


def test_scores_do_not_depend_on_the_rows_beside_them(trained, scorer):
    model, fitted = trained
    tolerance = runtime(model.runtime).tolerance
    vector = make_vector(2_000, seed=5, missing=0.1)
    whole = scorer.score(vector)
    assert whole.dtype == np.float64
    assert ((whole >= 0) & (whole <= 1)).all()
    assert len(np.unique(whole)) > 5
    for size in (1, 2, 3, 7, 31, 32, 33, 64, 1_999):
        some = vector[:300] if size < 7 else vector
        parts = np.concatenate([scorer.score(some[i : i + size]) for i in range(0, len(some), size)])
        if tolerance:
            assert np.abs(parts - whole[: len(some)]).max() <= tolerance, size
        else:
            assert np.array_equal(bits(parts), bits(whole[: len(some)])), size
    assert fitted.scoring.batch_rows == 256
    assert fitted.scoring.batch_difference <= fitted.scoring.batch_tolerance == tolerance


def test_what_the_files_score_is_what_was_trained(trained):
    model, fitted = trained
    scoring = fitted.scoring
    assert (scoring.format, scoring.rows, scoring.tolerance) == (model.runtime, 3_000, 1e-5)
    assert scoring.max_difference <= (1e-6 if scoring.format == "onnx" else 0.0)
    assert scoring.code == (model.runtime == "sklearn-pickle")


def test_the_same_seed_gives_the_same_files(trained):
    model, fitted = trained
    assert fit(model, make_data(3_000), seed=1) == fitted


def test_the_layout_in_memory_does_not_matter(scorer):
    vector = make_vector(200)
    expected = scorer.score(vector)
    assert np.array_equal(scorer.score(np.asfortranarray(vector)), expected)
    assert np.array_equal(scorer.score(np.repeat(vector, 2, axis=0)[::2]), expected)


def test_no_rows_give_no_scores(scorer):
    scores = scorer.score(np.empty((0, 4), dtype=np.float32))
    assert (scores.shape, scores.dtype) == ((0,), np.float64)


@pytest.mark.parametrize(
    "vector", [np.zeros((1, 4)), np.zeros((1, 3), np.float32), np.zeros(4, np.float32)], ids=lambda v: str(v.shape)
)
def test_another_type_or_width_is_refused(scorer, vector):
    with pytest.raises(InputError, match=r"float32 of shape \(rows, 4\)"):
        scorer.score(vector)


def test_a_closed_scorer_says_so(scorer):
    scorer.close()
    scorer.close()
    with pytest.raises(BackstayError, match="the scorer is closed"):
        scorer.score(make_vector(1))


def test_threads_share_a_scorer_that_is_closed_under_them(scorer):
    vector = make_vector(400)
    expected = scorer.score(vector)
    wrong: list[object] = []
    ready = threading.Barrier(5)

    def work(place: int) -> None:
        ready.wait()
        try:
            for row in range(place, 400, 4):
                score = scorer.score(vector[row : row + 1])[0]
                if abs(score - expected[row]) > 1e-6:
                    wrong.append((row, score))
        except BackstayError:
            pass

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    ready.wait()
    scorer.close()
    for thread in threads:
        thread.join()
    assert not wrong


def test_files_of_another_width_are_refused(trained):
    model, fitted = trained
    with pytest.raises(InputError, match="feature"):
        runtime(model.runtime).load(fitted.files.__getitem__, 5)


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_damaged_files_are_refused(trained, cut):
    model, fitted = trained
    with pytest.raises(InputError):
        runtime(model.runtime).load(lambda name: fitted.files[name][:cut], 4)


def test_the_built_in_runtimes_enter_by_the_entry_points():
    assert {"onnx", "lightgbm", "xgboost", "sklearn-pickle"} <= set(runtimes())


def test_a_runtime_that_there_is_not_is_refused():
    with pytest.raises(InputError, match=r"no runtime 'tensorrt'.*lightgbm, onnx, sklearn-pickle, xgboost"):
        fit(make_model(runtime="tensorrt"), make_data(100))


def test_code_is_loaded_only_for_a_model_that_trusts_it(trained):
    model, fitted = trained
    careful = make_model(runtime=model.runtime)
    if model.runtime != "sklearn-pickle":
        load(careful, model.runtime, fitted.files.__getitem__).close()
        return
    for attempt in (
        lambda: load(careful, model.runtime, fitted.files.__getitem__, where="trips_late/3"),
        lambda: trusted(careful, model.runtime, "trips_late/3"),
    ):
        with pytest.raises(InputError, match=r"are code.*at trips_late/3.*Model\(\.\.\., trust_code=True\)"):
            attempt()
    with pytest.raises(InputError, match="trust_code=True"):
        fit(careful, make_data(100))


def test_a_file_that_is_code_is_not_even_read_without_trust():
    def read(name: str) -> bytes:
        raise AssertionError(f"{name} was read")

    with pytest.raises(InputError, match="are code"):
        load(make_model(), "sklearn-pickle", read)


def test_an_estimator_of_another_kind_is_refused():
    for name, expected in (("lightgbm", "LGBMClassifier"), ("xgboost", "XGBClassifier")):
        with pytest.raises(BackstayError, match=f"expected {expected}, as the model's runtime is"):
            fit(make_model(linear, runtime=name), make_data(200))


def test_another_missing_value_than_nan_is_refused_by_xgboost():
    """No training row need have it: it may be asked for later, and its trees would take it for a number."""
    with pytest.raises(BackstayError, match=r"missing=-1\).*expected missing=nan.*leave missing out.*be null, not -1"):
        fit(make_model(lambda: XGBClassifier(n_estimators=2, missing=-1.0), runtime="xgboost"), make_data(200))


def kinds():
    """Refuses what is not among the categories it was trained on: zeros, missing values, and nearly any random row."""
    columns = ColumnTransformer([("kinds", OneHotEncoder(), [0])], remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=5))


def test_a_model_that_refuses_zeros_is_trained_and_loaded(caplog):
    model = make_model(kinds, runtime="sklearn-pickle", trust_code=True)
    data = make_data(300)
    data.vector[:, 0] = 5 + np.arange(300) % 3
    fitted = fit(model, data)
    assert not caplog.records
    scorer = load(model, model.runtime, fitted.files.__getitem__)  # no sample lies beside the files
    assert "raises on zeros and on missing values" in caplog.text
    assert np.isfinite(scorer.score(data.vector)).all()


def test_a_model_that_is_only_sound_where_it_was_trained_is_refused(monkeypatch):
    model = make_model(kinds, runtime="sklearn-pickle", trust_code=True)
    data = make_data(300)
    data.vector[:, 0] = 5 + np.arange(300) % 3

    def lost(self, vector):
        raise ValueError("a category was lost")

    monkeypatch.setattr(PickleScorer, "score", lost)
    with pytest.raises(InputError, match="raises on a row that it was trained on: ValueError: a category was lost"):
        fit(model, data)


def test_a_pickle_of_another_version_is_refused(monkeypatch):
    import sklearn

    model = make_model(linear, runtime="sklearn-pickle", trust_code=True)
    fitted = fit(model, make_data(200))
    file = fitted.files["model.pkl"].replace(sklearn.__version__.encode(), b"0.0.1"[: len(sklearn.__version__)])
    assert file != fitted.files["model.pkl"]
    with pytest.raises(InputError, match=r"InconsistentVersionWarning.*installed here"):
        load(model, "sklearn-pickle", lambda name: file)


def test_a_booster_that_stopped_early_scores_with_its_best_rounds():
    vector, outcome = make_vector(2_000), make_data(2_000, missing=0.0).outcome
    estimator = XGBClassifier(n_estimators=200, n_jobs=1, early_stopping_rounds=3)
    estimator.fit(vector[:1_000], outcome[:1_000], eval_set=[(vector[1_000:], outcome[1_000:])], verbose=False)
    assert estimator.best_iteration < 150
    files = runtime("xgboost").write(estimator, ("a", "b", "c", "d"))
    scores = runtime("xgboost").load(files.__getitem__, 4).score(vector)
    assert np.array_equal(scores, estimator.predict_proba(vector)[:, 1].astype(np.float64))


_SCORES = """
import sys
from pathlib import Path
import numpy as np
from backstay.runtimes import runtime
name, folder = sys.argv[1:]
scorer = runtime(name).load(lambda file: (Path(folder) / file).read_bytes(), 4)
print(scorer.score(np.zeros((2, 4), np.float32)).tolist())
training = {"sklearn", "lightgbm", "xgboost", "scipy", "onnx", "pandas"}
print(sorted(training & {name.partition(".")[0] for name in sys.modules}))
"""


def test_scoring_imports_no_training_library_but_to_load_a_pickle(trained, scorer, tmp_path):
    model, fitted = trained
    for name, content in fitted.files.items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", _SCORES, model.runtime, str(tmp_path)], capture_output=True, text=True, check=True
    )
    scores, packages = done.stdout.splitlines()
    assert scores == str(scorer.score(np.zeros((2, 4), np.float32)).tolist())
    assert packages == "[]" if model.runtime != "sklearn-pickle" else "sklearn" in packages  # it is what scores
