"""Exports: what other registries take, by the definitions of those who made them; verified, and the same each time."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import AccessError, InputError, IntegrityError
from backstay.core.identity import sha256
from backstay.core.times import instant
from backstay.lifecycle.exports import Exported
from backstay.project import Project
from backstay.registry.manifest import read_manifest
from tests.serving import environments, shop

CLIENTS = Path(__file__).with_name("clients")
CLOCK = ReplayClock(instant(shop.SECOND))
SERVED = {"model.onnx", "model.txt", "backstay/manifest.json"}


def export(path: Path, to: str, out: Path, number: int = 1, **given: str) -> Exported:
    project = Project(path, clock=CLOCK, actor="test")
    try:
        return project.papers.export(number, to, out, "late", **given)
    finally:
        project.close()


def checked(environment: str, script: str, file: Path) -> Any:
    return environments.run(environment, script, str(file), clients=CLIENTS)


def written(folder: Path) -> dict[str, str]:
    return {one.relative_to(folder).as_posix(): sha256(one.read_bytes()) for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize("to", ["mlflow", "sagemaker", "vertex"])
def test_the_same_record_gives_the_same_bytes(base: Path, tmp_path: Path, to: str) -> None:
    one, two = export(base, to, tmp_path / "a"), export(shop.copied(base, tmp_path), to, tmp_path / "b")
    assert one.files == two.files == written(tmp_path / "a") == written(tmp_path / "b")


@pytest.mark.parametrize("to", ["mlflow", "sagemaker", "vertex"])
def test_a_file_that_was_changed_is_not_exported(path: Path, tmp_path: Path, to: str) -> None:
    shop.tamper(shop.model_file(path, 1))
    with pytest.raises(IntegrityError):
        export(path, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mlflow(base: Path, tmp_path: Path) -> None:
    """The form; that MLflow's own client loads it, and gives our scores, is in `test_mlflow.py`."""
    made = export(base, "mlflow", tmp_path / "out")
    version = Project(base).versions("late")[0]
    assert made.files.keys() == SERVED | {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    assert made.files["model.onnx"] == version.manifest.files["model.onnx"]
    assert read_manifest((tmp_path / "out" / "backstay" / "manifest.json").read_bytes()) == version.manifest
    lines = (tmp_path / "out" / "MLmodel").read_text().splitlines()
    (inputs,) = [line.partition(": ")[2] for line in lines if line.startswith("  inputs:")]
    (outputs,) = [line.partition(": ")[2] for line in lines if line.startswith("  outputs:")]
    width = len(version.manifest.feature_set.vector)
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, width]}}
    assert json.loads(json.loads(inputs)) == [tensor]
    specs = {one["name"]: one["tensor-spec"] for one in json.loads(json.loads(outputs))}
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    rows = np.zeros((3, width), np.float32)
    values = session.run(None, {session.get_inputs()[0].name: rows})
    for output, value in zip(session.get_outputs(), values, strict=True):
        spec = specs[output.name]
        assert spec["dtype"] == str(value.dtype)
        assert spec["shape"] == [-1, *value.shape[1:]]
    assert f"onnxruntime=={onnxruntime.__version__}" in (tmp_path / "out" / "requirements.txt").read_text().split()


def test_sagemaker(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = export(base, "sagemaker", out)
    assert (made.files.keys(), made.missing) == ({"model.tar.gz", "create_model_package.json"}, ["image", "store"])
    assert checked("formats", "sagemaker_valid.py", out / "create_model_package.json") == {"report": "", "faults": []}
    request = json.loads((out / "create_model_package.json").read_text())
    wrong = {**request, "ModelPackageGroupName": "a_b", "ModelApprovalStatus": "Yes", "Colour": "red"}
    (out / "wrong.json").write_text(json.dumps(wrong))
    seen = checked("formats", "sagemaker_valid.py", out / "wrong.json")  # the check sees what is wrong
    assert "Colour" in seen["report"]
    assert [one.split(":")[0] for one in seen["faults"]] == [
        "request.ModelPackageGroupName", "request.ModelApprovalStatus"
    ]  # fmt: skip
    version = Project(base).versions("late")[0]
    assert request["CustomerMetadataProperties"]["backstay.manifest"] == version.digest
    assert request["ModelApprovalStatus"] == "Approved"
    assert request["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == "s3://BUCKET/PREFIX/model.tar.gz"
    with tarfile.open(fileobj=io.BytesIO((out / "model.tar.gz").read_bytes())) as tar:
        members = {one.name: one for one in tar.getmembers()}
        assert members.keys() == SERVED
        file = tar.extractfile("model.onnx")
        assert file is not None
        assert sha256(file.read()) == version.manifest.files["model.onnx"]
    assert {(one.mtime, one.uid, one.gid, one.uname) for one in members.values()} == {(0, 0, 0, "")}


def test_what_was_decided_goes_along(path: Path, tmp_path: Path) -> None:
    def status(name: str) -> str:
        export(path, "sagemaker", tmp_path / name, 2, image="i", store="s3://b/late/")
        file = tmp_path / name / "create_model_package.json"
        assert checked("formats", "sagemaker_valid.py", file) == {"report": "", "faults": []}
        request = json.loads(file.read_text())
        container = request["InferenceSpecification"]["Containers"][0]
        assert container == {"Image": "i", "ModelDataUrl": "s3://b/late/model.tar.gz"}
        return str(request["ModelApprovalStatus"])

    assert status("before") == "PendingManualApproval"
    project = Project(path, clock=CLOCK, actor="eve")
    project.judge(2, "late", as_of=shop.SECOND)
    project.decide(2, "reject", "late", why="(worse), at night")
    project.close()
    assert status("after") == "Rejected"


def test_vertex(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = export(base, "vertex", out, store="gs://bucket/late")
    assert made.files.keys() == {f"artifacts/{name}" for name in SERVED} | {"upload_model.json"}
    assert made.missing == ["image"]
    assert checked("discovery", "vertex_valid.py", out / "upload_model.json") == []
    body = json.loads((out / "upload_model.json").read_text())
    version = Project(base).versions("late")[0]
    assert version.digest in body["model"]["description"]
    assert body["model"]["artifactUri"] == "gs://bucket/late/artifacts"
    assert body["model"]["versionAliases"] == ["v1", "champion"]
    for name, value in body["model"]["labels"].items():
        assert len(name) <= 63
        assert len(value) <= 63
    body["model"]["colour"] = "red"  # the check would see it
    (out / "wrong.json").write_text(json.dumps(body))
    assert checked("discovery", "vertex_valid.py", out / "wrong.json") == ["body.model: there is no 'colour'"]


def test_openlineage(base: Path, tmp_path: Path) -> None:
    made = export(base, "openlineage", tmp_path / "events.ndjson")
    assert made.files.keys() == {"events.ndjson"}
    assert checked("formats", "openlineage_valid.py", tmp_path / "events.ndjson") == []
    start, end = (json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines())
    version = Project(base).versions("late")[0]
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"] == end["run"]
    (orders,) = end["inputs"]
    assert orders["facets"]["version"]["datasetVersion"] == str(version.manifest.dataset.sources["orders"])
    assert orders["facets"]["backstay_seal"]["sha256"] == version.manifest.dataset.seals["orders"]
    assert {one["name"] for one in orders["facets"]["schema"]["fields"]} >= {"shop", "size", "late"}
    data, model = end["outputs"]
    assert data["facets"]["version"]["datasetVersion"] == version.manifest.dataset.digest
    assert data["outputFacets"]["outputStatistics"]["rowCount"] == version.manifest.dataset.rows
    assert model["facets"]["version"]["datasetVersion"] == "1"
    columns = data["facets"]["columnLineage"]["fields"]

    def read(name: str) -> set[tuple[str, str]]:
        return {(one["field"], one["transformations"][0]["type"]) for one in columns[name]["inputFields"]}

    assert read("shop_late_1d") == {("shop", "INDIRECT"), ("late", "DIRECT")}
    assert read("size_ratio") == {("shop", "INDIRECT"), ("size", "DIRECT")}
    assert read("label") == {("order", "INDIRECT"), ("late", "DIRECT")}
    assert "hour" not in columns  # of the request alone
    assert columns.keys() < {one["name"] for one in data["facets"]["schema"]["fields"]}


def test_columns_of_other_definitions_are_not_told(path: Path, tmp_path: Path) -> None:
    models = path / "models.py"
    text = models.read_text().replace('over=["1d", "7d"]', 'over=["1d", "6d"]').replace('horizon="2h"', 'horizon="3h"')
    models.write_text(text)
    export(path, "openlineage", tmp_path / "e.ndjson")
    assert checked("formats", "openlineage_valid.py", tmp_path / "e.ndjson") == []
    event = json.loads((tmp_path / "e.ndjson").read_text().splitlines()[0])
    assert event["outputs"][0]["facets"].keys() == {"schema", "version"}


def test_what_is_there_is_not_written_over(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(InputError, match="something already"):
        export(base, "mlflow", tmp_path / "out")
    with pytest.raises(InputError, match="an export to mlflow names no store"):
        export(base, "mlflow", tmp_path / "new", store="s3://b")
    with pytest.raises(InputError, match="no export to 'azure'"):
        export(base, "azure", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_another_runtime_is_no_onnx(path: Path, tmp_path: Path) -> None:
    models = path / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    runtime="lightgbm",\n', 1))
    project = Project(path, clock=CLOCK, actor="test")
    number = project.train("late", as_of=shop.SECOND).number
    project.close()
    with pytest.raises(InputError, match="runtime 'lightgbm'"):
        export(path, "mlflow", tmp_path / "a", number)
    assert "artifacts/backstay/manifest.json" in export(path, "vertex", tmp_path / "b", number).files


def test_it_takes_a_role(path: Path, tmp_path: Path) -> None:
    project = Project(path, clock=CLOCK, actor="ann")
    project.access.grant("scoring", "read_online", "order")
    project.close()
    other = Project(path, clock=CLOCK, actor="scoring")
    for call in (lambda: other.papers.card(1, "late"), lambda: other.papers.bom(1, "late"),
                 lambda: other.papers.export(1, "vertex", tmp_path / "x", "late")):  # fmt: skip
        with pytest.raises(AccessError):
            call()
    other.close()
