import numpy as np
import pytest

from backstay.core.identity import sha256
from backstay.registry import Code, Environment, missing_lineage
from backstay.runtimes import OnnxScorer
from backstay.storage.digest import frame_digest
from backstay.training import train
from tests.training.synthetic import NAMES, make_data, make_model

CLEAN = Environment(Code("c0ffee", None, "10cc", "CPython 3.11.7 (linux x86_64)", {"numpy": "2.4.6"}), None)
DIFF = b"diff --git a/model.py b/model.py\n"
DIRTY = Environment(Code("c0ffee", sha256(DIFF), "10cc", "CPython 3.11.7 (linux x86_64)", {"numpy": "2.4.6"}), DIFF)


def trained(seed=0, rows=1_000, environment=CLEAN, **options):
    return train(make_model(), make_data(rows), environment=environment, as_of=5_000, seed=seed, **options)


def test_the_manifest_says_what_went_in_and_what_came_out():
    model, data = make_model(), make_data(1_000)
    manifest, files = trained(since=10, until=4_000, metrics={"log_loss": 0.4}, note="first")
    assert missing_lineage(manifest) == []
    assert manifest.model == "trips_late"
    assert manifest.files == {"model.onnx": sha256(files["model.onnx"]), "model.txt": sha256(files["model.txt"])}
    dataset = manifest.dataset
    assert dataset.digest == frame_digest(data.frame)
    assert (dataset.rows, dataset.asked, dataset.void, dataset.immature, dataset.unlabelled) == (1_000, 1_006, 1, 2, 3)
    assert (dataset.as_of, dataset.since, dataset.until) == (5_000, 10, 4_000)
    assert dataset.sources == {"trips": 3, "results": 7}
    assert manifest.cutoff == 5_000
    assert manifest.feature_set.hash == model.features.hash
    assert manifest.feature_set.vector == list(NAMES)
    assert manifest.label["name"] == "late"
    assert manifest.estimator == "lightgbm.sklearn.LGBMClassifier"
    assert manifest.metrics == {"log_loss": 0.4}
    assert manifest.scorer.format == "onnx"
    assert (manifest.scorer.rows, manifest.scorer.max_difference < 4e-7) == (1_000, True)
    assert (manifest.base_rate, manifest.threshold, manifest.note) == (data.outcome.mean(), 0.4, "first")


def test_training_twice_gives_the_same_version():
    (first, files), (second, again) = trained(), trained()
    assert first.digest == second.digest
    assert files == again


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"rows": 999}, {"environment": DIRTY}, {"note": "x"}, {"until": 9}], ids=str
)
def test_whatever_differs_is_another_version(change):
    assert trained()[0].digest != trained(**change)[0].digest


def test_what_was_not_committed_is_a_file_of_the_version():
    manifest, files = trained(environment=DIRTY)
    assert files["code.diff"] == DIFF
    assert manifest.files["code.diff"] == manifest.code.dirty
    assert missing_lineage(manifest) == []


def test_rows_held_out_move_the_cutoff_and_attached_files_are_named():
    manifest, files = trained(cutoff=4_000, attach={"sample.npy": b"rows"})
    assert (manifest.cutoff, manifest.dataset.as_of) == (4_000, 5_000)
    assert files["sample.npy"] == b"rows"
    assert manifest.files["sample.npy"] == sha256(b"rows")


def test_the_file_is_the_model():
    manifest, files = trained()
    data = make_data(1_000)
    scores = OnnxScorer(files["model.onnx"], len(manifest.feature_set.vector)).score(data.vector)
    assert np.corrcoef(scores, data.outcome)[0, 1] > 0.5
