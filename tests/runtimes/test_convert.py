import numpy as np
import pytest
from lightgbm import Booster, LGBMClassifier

from backstay.core.errors import BackstayError
from backstay.runtimes import OnnxScorer
from backstay.runtimes.convert import lightgbm_to_onnx
from backstay.runtimes.floors import float32_floor
from backstay.training.fit import TOLERANCE
from tests.training.synthetic import NAMES, make_data, make_vector

ROUNDING = 4e-7  # of the sum over trees, in float32


@pytest.fixture(scope="module")
def booster() -> Booster:
    """Missing values in the last two features only; thresholds lie between values of a grid of tenths."""
    data = make_data(4_000)
    return fitted(LGBMClassifier(n_estimators=60, verbosity=-1, n_jobs=1, random_state=0), data.vector, data.outcome)


def fitted(estimator, vector, outcome) -> Booster:
    return estimator.fit(vector, outcome).booster_


def scores(booster: Booster, vector):
    return OnnxScorer(lightgbm_to_onnx(booster.model_to_string(), vector.shape[1]), vector.shape[1]).score(vector)


def thresholds(booster: Booster) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}

    def walk(node) -> None:
        if "split_feature" in node:
            found.setdefault(node["split_feature"], []).append(node["threshold"])
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return found


def test_floor_is_the_largest_float32_that_is_not_above():
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(size=1_000), random.normal(size=1_000) * 1e-40, [0.0, 1e300, -1e300, 0.5]])
    floors = float32_floor(values)
    assert floors.dtype == np.float32
    assert (floors.astype(np.float64) <= values).all()
    with np.errstate(over="ignore"):  # above the largest float32 there is infinity
        above = np.nextafter(floors, np.float32(np.inf)).astype(np.float64)
    assert (above > values).all()


def on_thresholds(booster: Booster, rows: int):
    """Each value is a threshold rounded to float32, or its neighbour on either side."""
    random = np.random.default_rng(1)
    vector = make_vector(rows)
    for place, values in thresholds(booster).items():
        nearest = np.array(values).astype(np.float32)
        sides = [np.nextafter(nearest, np.float32(side)) for side in (-np.inf, np.inf)]
        vector[:, place] = random.choice(np.concatenate([nearest, *sides]), rows)
    return vector


def test_values_on_a_threshold_take_the_same_branch(booster):
    vector = on_thresholds(booster, 20_000)
    assert np.abs(scores(booster, vector) - booster.predict(vector)).max() < ROUNDING


def test_without_the_floor_values_on_a_threshold_do_not(booster):
    """The test above can fail: the plain conversion does."""
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    vector = on_thresholds(booster, 20_000)
    types = [("x", FloatTensorType([None, len(NAMES)]))]
    copy = Booster(model_str=booster.model_to_string())
    plain = convert_lightgbm(copy, name="model", initial_types=types, target_opset=15, zipmap=False)
    served = OnnxScorer(plain.SerializeToString(), len(NAMES)).score(vector)
    assert np.abs(served - booster.predict(vector)).max() > TOLERANCE


@pytest.mark.parametrize("edge", [1e-35, 1e-36, 1e-42, 0.0])
def test_values_so_near_zero_that_lightgbm_takes_them_for_zero(booster, edge):
    assert any(abs(value) < 1e-34 for value in thresholds(booster)[0])
    vector = make_vector(2_000)
    edges = np.array([edge, -edge], dtype=np.float32)
    sides = [np.nextafter(edges, np.float32(side)) for side in (-np.inf, np.inf)]
    vector[:, 0] = np.random.default_rng(4).choice(np.concatenate([edges, *sides]), len(vector))
    assert np.abs(scores(booster, vector) - booster.predict(vector)).max() < ROUNDING


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_missing_values_where_training_had_none(booster, share):
    vector = make_vector(5_000)
    vector[np.random.default_rng(2).random(vector.shape) < share] = np.nan
    assert np.abs(scores(booster, vector) - booster.predict(vector)).max() < ROUNDING


def test_infinite_zero_and_huge_values(booster):
    vector = make_vector(5_000)
    random = np.random.default_rng(3)
    for value in (np.inf, -np.inf, 0.0, -0.0, 1e38, -1e38, 1e-42):
        vector[random.random(vector.shape) < 0.05] = value
    assert np.abs(scores(booster, vector) - booster.predict(vector)).max() < ROUNDING


@pytest.mark.parametrize(
    "options",
    [
        {"boosting_type": "dart"},
        {"class_weight": "balanced"},
        {"min_child_samples": 10_000},
        {"use_missing": False},
        {"scale_pos_weight": 5.0},
        {"extra_trees": True, "max_bin": 15},
    ],
    ids=str,
)
def test_other_ways_to_boost_score_alike(options):
    data = make_data(500)
    model = fitted(LGBMClassifier(n_estimators=10, verbosity=-1, n_jobs=1, **options), data.vector, data.outcome)
    expected = model.predict(data.vector)
    assert np.abs(scores(model, data.vector) - expected).max() < ROUNDING


def test_the_same_text_gives_the_same_bytes(booster):
    text = booster.model_to_string()
    assert lightgbm_to_onnx(text, len(NAMES)) == lightgbm_to_onnx(text, len(NAMES))


@pytest.mark.parametrize("options", [{"zero_as_missing": True}, {"objective": "cross_entropy"}], ids=str)
def test_what_a_file_cannot_say_is_refused(options):
    data = make_data(500)
    model = fitted(LGBMClassifier(n_estimators=10, verbosity=-1, n_jobs=1, **options), data.vector, data.outcome)
    with pytest.raises(BackstayError, match="no ONNX file can be written for"):
        lightgbm_to_onnx(model.model_to_string(), len(NAMES))


def test_a_categorical_split_is_refused():
    vector = np.random.default_rng(0).integers(0, 6, size=(1_000, 2)).astype(np.float32)
    outcome = np.isin(vector[:, 0], (1, 4)).astype(np.int8)
    estimator = LGBMClassifier(n_estimators=3, verbosity=-1, n_jobs=1, min_data_per_group=1, max_cat_to_onehot=1)
    model = estimator.fit(vector, outcome, categorical_feature=[0]).booster_
    with pytest.raises(BackstayError, match="categorical split"):
        lightgbm_to_onnx(model.model_to_string(), 2)
