import msgspec
import numpy as np
import pytest

from backstay.core.errors import InputError, IntegrityError
from backstay.core.identity import sha256
from backstay.registry import Code, Manifest, missing_lineage
from backstay.registry.manifest import read_manifest
from tests.registry.records import make_manifest

# Of the manifest in `records`. If it changes, versions registered before have another digest than their entry says.
PINNED = "4dbbc5ef07f4"


def test_the_digest_is_of_the_canonical_text_and_is_pinned():
    manifest = make_manifest(signature=None)
    assert manifest.digest == sha256(manifest.canonical())
    assert manifest.digest.startswith(PINNED)


def test_it_reads_back_as_it_was():
    manifest = make_manifest(note="ümlaut", metrics={"a": {"estimate": 1.0, "n": 3}})
    back = read_manifest(manifest.canonical())
    assert back == manifest
    assert back.digest == manifest.digest


def test_a_whole_number_for_a_float_is_the_same_manifest():
    whole = make_manifest(threshold=1, base_rate=0)
    assert whole.digest == make_manifest(threshold=1.0, base_rate=0.0).digest
    assert read_manifest(whole.canonical()).digest == whole.digest


def test_the_order_of_names_does_not_matter():
    parameters = make_manifest().parameters
    assert make_manifest(parameters=dict(reversed(parameters.items()))).digest == make_manifest().digest


def test_sets_are_written_in_order():
    names = {f"name{i}" for i in range(50)}
    assert (
        make_manifest(parameters={"names": names}).digest == make_manifest(parameters={"names": sorted(names)}).digest
    )


def test_every_field_counts():
    changes = {
        "model": "other", "cutoff": 1_001, "estimator": "x.Y", "seed": 1, "base_rate": 0.26, "threshold": 0.51,
        "note": "n", "label": {}, "parameters": {}, "metrics": {}, "files": {}, "signature": None, "tuned": {"a": 1},
        "dataset": msgspec.structs.replace(make_manifest().dataset, rows=91),
        "feature_set": msgspec.structs.replace(make_manifest().feature_set, vector=["b", "a"]),
        "code": msgspec.structs.replace(make_manifest().code, lock=None),
        "scorer": msgspec.structs.replace(make_manifest().scorer, rows=91),
    }  # fmt: skip
    assert changes.keys() == set(Manifest.__struct_fields__)
    digests = {make_manifest(**{name: value}).digest for name, value in changes.items()} | {make_manifest().digest}
    assert len(digests) == len(changes) + 1


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), np.float32(0.5), object()], ids=lambda v: type(v).__name__
)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(InputError, match=r"the manifest is not JSON.*manifest of model 'trips_late'"):
        make_manifest(metrics={"auc": value}).canonical()


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"model": 1}'], ids=repr)
def test_bytes_that_are_no_manifest_are_refused(data):
    with pytest.raises(IntegrityError, match="the manifest cannot be read"):
        read_manifest(data, where="trips_late/1")


def test_complete_lineage():
    assert missing_lineage(make_manifest()) == []
    dirty = Code("c", "d1", "l", "i", {"numpy": "2"})
    assert missing_lineage(make_manifest(code=dirty)) == ["code.dirty"]
    files = {**make_manifest().files, "code.diff": "d1"}
    assert missing_lineage(make_manifest(code=dirty, files=files)) == []


def test_missing_lineage_names_every_field():
    dataset = msgspec.structs.replace(make_manifest().dataset, digest="", sources={})
    code = Code(None, None, None, "", {})
    missing = missing_lineage(make_manifest(code=code, dataset=dataset, files={}, estimator=""))
    assert missing == [
        "files", "dataset.digest", "dataset.sources", "estimator",
        "code.commit", "code.lock", "code.interpreter", "code.packages",
    ]  # fmt: skip
