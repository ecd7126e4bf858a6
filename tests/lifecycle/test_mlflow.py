"""The bridge, against MLflow's own server: the mirror adds and doubles nothing; models come in with what is known."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from backstay.cli import main
from backstay.core.clock import ReplayClock
from backstay.core.errors import AccessError, BackstayError, ConflictError, InputError, IntegrityError, NotFoundError
from backstay.core.identity import sha256
from backstay.core.times import instant
from backstay.lifecycle.mlflow import Mirrored, Server
from backstay.lifecycle.mlflow.arrival import DESCRIPTION
from backstay.project import Project
from backstay.registry.manifest import ORIGIN, missing_lineage
from backstay.rollout import Verdict
from tests.lifecycle.mlflow_server import CLIENTS, MlflowServer
from tests.serving import environments, shop

CLOCK = ReplayClock(instant(shop.SECOND))
MISSING = [
    "dataset.digest", "dataset.rows", "dataset.sources", "estimator", "parameters", "code.commit", "code.lock",
    "scorer.rows",
]  # fmt: skip
"""What MLflow knows of no model."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as one:
        yield one


@pytest.fixture(scope="module")
def client(server: MlflowServer) -> Any:
    Server(server.uri)  # it imports MLflow quietly
    import mlflow

    return mlflow.MlflowClient(server.uri)


@pytest.fixture(scope="module")
def registered(server: MlflowServer, base: Path, tmp_path_factory: pytest.TempPathFactory) -> MlflowServer:
    """With models that others logged."""
    project, folder = Project(base), tmp_path_factory.mktemp("theirs")
    version = project.versions("late")[0]
    for name in ("model.onnx", "model.txt"):
        (folder / name).write_bytes(project.records.registry.file(version, name))
    names = ",".join(version.manifest.feature_set.vector)
    project.close()
    files = (str(folder / "model.onnx"), str(folder / "model.txt"))
    environments.run("mlflow", "mlflow_log.py", server.uri, *files, names, clients=CLIENTS, behind=True)
    return server


@pytest.fixture
def project(path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project of its own name: all share one server."""
    name = request.node.name.removeprefix("test_")[:40].strip("_")
    toml = path / "backstay.toml"
    toml.write_text(toml.read_text().replace('name = "shop"', f'name = "{name}"'))
    with_clock = Project(path, clock=CLOCK, actor="test")
    yield with_clock
    with_clock.close()


def opened(path: Path, **changes: str) -> Project:
    """The project with texts of its models.py replaced."""
    models = path / "models.py"
    text = models.read_text()
    for old, new in changes.items():
        text = text.replace(f'    "{old}",\n', f'    "{old}",\n    {new},\n', 1)
    models.write_text(text)
    return Project(path, clock=CLOCK, actor="test")


def done(found: Mirrored) -> list[tuple[str, str]]:
    return [(one.kind, one.what) for one in found.written]


def runs_of(client: Any, name: str) -> list[Any]:
    experiment = client.get_experiment_by_name(name)
    return list(client.search_runs([experiment.experiment_id]))


def vectors(project: Project, rows: int = 200) -> npt.NDArray[np.float32]:
    width = len(project.model("late").features.vector)
    return np.random.default_rng(5).normal(10, 20, (rows, width)).astype(np.float32)


def ours(project: Project, number: int, rows: npt.NDArray[np.float32]) -> list[float]:
    version = project.records.registry.get("late", number)
    scorer = project.records.scorer(project.model("late"), version)
    scores: list[float] = scorer.score(rows).tolist()
    scorer.close()
    return scores


def test_what_was_exported_or_mirrored_is_loaded_and_scores_the_same(
    project: Project, server: MlflowServer, tmp_path: Path
) -> None:
    project.papers.export(1, "mlflow", tmp_path / "out", "late")
    project.papers.mlflow.mirror(server.uri)
    rows, name = vectors(project), f"{project.name}.late"
    np.save(tmp_path / "rows.npy", rows)
    models = [str(tmp_path / "out"), f"models:/{name}@champion", f"models:/{name}/2"]
    told = environments.run(
        "mlflow", "mlflow_scores.py", str(tmp_path / "rows.npy"), server.uri, *models, clients=CLIENTS, behind=True
    )
    for one, number in zip(told, (1, 1, 2), strict=True):
        scores = ours(project, number, rows)
        assert [row[1] for row in one["outputs"]["probabilities"]] == scores  # the same bits
        assert one["outputs"]["label"] == [int(score > 0.5) for score in scores]
        assert (one["width"], one["refused"]) == (rows.shape[1], "MlflowException")
        assert one["metadata"]["backstay"]["columns"] == list(project.model("late").features.vector)
        assert one["metadata"]["backstay"]["manifest"] == project.versions("late")[number - 1].digest
        assert one["nodes"] > 0


def test_all_of_it_is_there(project: Project, server: MlflowServer, client: Any, tmp_path: Path) -> None:
    parameters, tags = {"depth": 4, "odd!": [1, 2]}, {"stage": "x", "mlflow.a": "b"}
    with project.run("sweep", parameters=parameters, tags=tags) as run:
        for step in range(3):
            run.log("auc", 0.5 + step / 8, step)
        run.log_many({"loss": math.nan, "most": math.inf}, step=7)
        run.attach("words/a.txt", b"hello")
        run.note("it looked well")
    with pytest.raises(ZeroDivisionError), project.run("sweep"):
        _ = 1 / 0
    found = project.papers.mlflow.mirror(server.uri)
    assert done(found) == [("run", "new")] * 4 + [("version", "new")] * 2 + [("alias", "new")]
    by_run = {one.data.tags["backstay.run"]: one for one in runs_of(client, f"{project.name}/sweep")}
    first = by_run.pop(run.id)
    (second,) = by_run.values()
    assert (first.info.status, second.info.status) == ("FINISHED", "FAILED")
    assert second.data.tags["backstay.error"] == "ZeroDivisionError: division by zero"
    record = project.runs.get(run.id)
    end = record.begun + round((record.seconds or 0) * 1_000_000)
    assert (first.info.start_time, first.info.end_time) == (record.begun // 1_000, end // 1_000)
    assert first.data.params == {"depth": "4", f"odd_-{sha256(b'odd!')[:8]}": "[1, 2]"}
    tags = {"stage": "x", "tags.mlflow.a": "b", "mlflow.note.content": "it looked well"}
    assert tags.items() <= first.data.tags.items()
    history = client.get_metric_history(first.info.run_id, "auc")
    kept = project.runs.metrics(run.id).filter(name="auc")
    assert [(one.step, one.value) for one in history] == list(kept.select("step", "value").iter_rows())
    assert [one.timestamp for one in history] == kept["at"].dt.epoch("ms").to_list()
    assert math.isnan(client.get_metric_history(first.info.run_id, "loss")[0].value)
    assert client.get_metric_history(first.info.run_id, "most")[0].value > 1e308
    place = client.download_artifacts(first.info.run_id, "files", str(tmp_path))
    assert (Path(place) / f"{sha256(b'words/a.txt')[:8]}-words_a.txt").read_bytes() == b"hello"
    versions = project.versions("late")
    for version in versions:
        (there,) = client.search_model_versions(f"name = '{project.name}.late' and tag.`backstay.version` = "
                                                f"'{version.number}'")  # fmt: skip
        assert there.tags["backstay.manifest"] == version.digest
        assert there.tags["backstay.dataset"] == version.manifest.dataset.digest
        assert there.tags["backstay.features"] == version.manifest.feature_set.hash
        trained = client.get_run(there.run_id)
        assert trained.data.tags["backstay.version"] == str(version.number)
    assert client.get_model_version_by_alias(f"{project.name}.late", "champion").tags["backstay.version"] == "1"


def test_again_it_adds_what_came_since(project: Project, server: MlflowServer, client: Any) -> None:
    bridge, name = project.papers.mlflow, project.name
    bridge.mirror(server.uri)
    again = bridge.mirror(server.uri)
    assert (done(again), len(again.things)) == ([], 5)
    with project.run("sweep") as run:
        run.log("auc", 0.5)
        assert done(bridge.mirror(server.uri)) == [("run", "new")]
        (there,) = runs_of(client, f"{name}/sweep")
        assert there.info.status == "RUNNING"
        run.log("auc", 0.6)
        assert done(bridge.mirror(server.uri)) == [("run", "updated")]
        assert done(bridge.mirror(server.uri)) == []
        run.tag("stage", "late")
    shop.move_champion(project, 2)
    assert done(bridge.mirror(server.uri)) == [("run", "updated"), ("alias", "moved")]
    assert done(bridge.mirror(server.uri, "late")) == []
    (there,) = runs_of(client, f"{name}/sweep")
    assert (there.info.status, there.data.tags["stage"]) == ("FINISHED", "late")
    assert [one.value for one in client.get_metric_history(there.info.run_id, "auc")] == [0.5, 0.6]
    assert len(client.search_model_versions(f"name = '{name}.late'")) == 2
    client.set_registered_model_alias(f"{name}.late", "theirs", "1")
    client.set_registered_model_tag(f"{name}.late", "backstay.aliases", "champion,challenger")
    client.set_registered_model_alias(f"{name}.late", "challenger", "1")
    assert done(bridge.mirror(server.uri)) == [("alias", "removed")]  # what this mirror set, and nothing else
    assert client.get_registered_model(f"{name}.late").aliases.keys() == {"champion", "theirs"}


def test_interrupted_anywhere_it_goes_on(
    project: Project, server: MlflowServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with project.run("sweep", parameters={f"p{place}": place for place in range(130)}) as run:
        for step in range(1_200):  # two batches
            run.log("auc", step / 7, step)
    ask, left = Server.ask, [0]

    def until(self: Server, call: str, *arguments: Any, **named: Any) -> Any:
        if not call.startswith(("search", "get")):
            left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        answer = ask(self, call, *arguments, **named)
        if left[0] == 0 and not call.startswith(("search", "get")):
            raise KeyboardInterrupt  # it was done, and nobody heard
        return answer

    monkeypatch.setattr(Server, "ask", until)
    for times in range(60):
        left[0] = 3 + times % 3
        try:
            project.papers.mlflow.mirror(server.uri)
            break
        except KeyboardInterrupt:
            continue
    assert 5 < times < 59
    monkeypatch.undo()
    assert done(project.papers.mlflow.mirror(server.uri)) == []
    (there,) = runs_of(client, f"{project.name}/sweep")
    assert len(runs_of(client, f"{project.name}/late")) == 2
    history = client.get_metric_history(there.info.run_id, "auc")
    assert [(one.step, one.value) for one in history] == [(step, step / 7) for step in range(1_200)]
    assert len(there.data.params) == 130
    assert len(client.search_model_versions(f"name = '{project.name}.late'")) == 2


def test_what_was_changed_there_is_named(project: Project, server: MlflowServer, client: Any) -> None:
    bridge, name = project.papers.mlflow, f"{project.name}.late"
    bridge.mirror(server.uri)
    digest = project.versions("late")[1].digest
    client.set_model_version_tag(name, "2", "backstay.manifest", "0" * 64)
    project.run("more").end()
    with pytest.raises(IntegrityError, match=rf"{name}/2 in MLflow says .* version 2 with the manifest 0{{12}}"):
        bridge.mirror(server.uri)
    assert client.get_experiment_by_name(f"{project.name}/more") is None  # nothing was written
    client.set_model_version_tag(name, "2", "backstay.manifest", digest)
    client.set_model_version_tag(name, "2", "backstay.version", "9")
    with pytest.raises(IntegrityError, match="version 9 does not exist here"):
        bridge.mirror(server.uri)
    client.set_registered_model_tag(name, "backstay.project", "another")
    with pytest.raises(ConflictError, match="this mirror did not make"):
        bridge.mirror(server.uri)


def test_other_runtimes_and_what_was_retired(
    project: Project, server: MlflowServer, client: Any, tmp_path: Path
) -> None:
    project.close()
    with_text = opened(project.path, late='runtime="lightgbm"')
    with_text.train("late", as_of=shop.SECOND)
    with_text.archive.retire(2, "late", why="superseded")
    with_text.papers.mlflow.mirror(server.uri)
    found = client.search_model_versions(f"name = '{with_text.name}.late'")
    by_number = {one.tags["backstay.version"]: one for one in found}
    assert "lightgbm" in by_number["3"].description
    place = Path(client.download_artifacts(by_number["3"].run_id, "model", str(tmp_path)))
    assert (place / "model.txt").is_file()
    assert not (place / "reference.npy").exists()  # rows of the training set stay here
    assert "backstay.retired" in by_number["2"].tags
    with_text.close()


def test_nobody_there_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(BackstayError, match="MLflow cannot be reached") as caught:
        project.papers.mlflow.mirror("http://ann:secret@127.0.0.1:1")
    assert caught.value.where == "http://127.0.0.1:1"
    assert "secret" not in str(caught.value)


def test_the_verbs(project: Project, registered: MlflowServer, capsys: pytest.CaptureFixture[str]) -> None:
    project.close()
    words = ["--model", "late", "--project", str(project.path)]
    assert main(["mirror", "--to", registered.uri, *words]) == 0
    told = capsys.readouterr()
    assert [line.split()[:3] for line in told.out.splitlines()[4:]] == [
        ["version", "late/1", "new"], ["version", "late/2", "new"], ["alias", "late/champion", "new"]
    ]  # fmt: skip
    assert f"5 written, 0 as they were: {registered.uri}" in told.err
    assert main(["mirror", "--to", registered.uri, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"to": registered.uri, "written": [], "as_it_was": 5}
    assert main(["import", "models:/theirs_onnx/1", "--from", registered.uri, *words, "--base-rate", "0.3"]) == 0
    told = capsys.readouterr()
    assert "dataset.digest, dataset.rows" in told.out
    assert "backstay judge 3 --model late" in told.err
    assert main(["import", "models:/theirs_onnx/1", "--from", registered.uri, *words, "--base-rate", "7"]) == 2
    assert main(["import", "models:/theirs_onnx@best", "--from", registered.uri, *words, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["number"], made["missing"]) == (4, MISSING)  # without the claim it is another


def test_it_takes_a_role(project: Project, server: MlflowServer) -> None:
    project.access.grant("scoring", "read_online", "order")
    other = Project(project.path, clock=CLOCK, actor="scoring")
    for call in (lambda: other.papers.mlflow.mirror(server.uri), lambda: other.papers.mlflow.mirror(server.uri, "late"),
                 lambda: other.papers.mlflow.bring("models:/a/1", server.uri, "late")):  # fmt: skip
        with pytest.raises(AccessError):
            call()
    other.close()


def test_a_model_comes_in_with_what_is_known_of_it(project: Project, registered: MlflowServer, client: Any) -> None:
    made = project.papers.mlflow.bring("models:/theirs_onnx/1", registered.uri, "late")
    assert project.papers.mlflow.bring("models:/theirs_onnx@best", registered.uri, "late").number == made.number == 3
    trained = project.versions("late")[0].manifest
    manifest = made.manifest
    assert missing_lineage(manifest) == MISSING
    assert manifest.files["model.onnx"] == trained.files["model.onnx"]
    assert manifest.files.keys() == {"model.onnx", DESCRIPTION, ORIGIN}
    assert (manifest.feature_set, manifest.label, manifest.signature) == (
        trained.feature_set, trained.label, trained.signature
    )  # fmt: skip
    there = client.get_model_version("theirs_onnx", "1")
    (data,) = client.get_run(there.run_id).inputs.dataset_inputs
    assert manifest.note == (
        f"imported from models:/theirs_onnx/1 at {registered.uri}, run {there.run_id}; dataset by MLflow's digest, "
        f"which covers a part of it: orders {data.dataset.digest}"
    )
    assert manifest.cutoff == there.creation_timestamp * 1_000
    assert manifest.code.packages["onnxruntime"] == "1.20.0"  # as it was pinned there
    rows = vectors(project)
    assert ours(project, 3, rows) == ours(project, 1, rows)
    card = project.papers.card(3, "late")
    assert "lineage is incomplete" in " ".join(card.about.limits)
    text = card.sheet.markdown()
    assert f"| came from | MLflow: models:/theirs_onnx/1 at {registered.uri} |" in text
    for unknown in ("base rate", "rows", "seed", "scores from the estimator's", "scores alone and in batches", "as of"):
        assert f"| {unknown} | not recorded |" in text
    assert ", when it was registered in MLflow |" in text
    properties = {one["name"] for one in project.papers.bom(3, "late")["metadata"]["component"]["properties"]}
    assert not properties & {"backstay:seed", "backstay:base_rate", "backstay:runtime.max_difference"}
    for to in ("mlflow", "sagemaker", "vertex", "openlineage"):
        project.papers.export(3, to, project.path / f"out-{to}", "late")
    project.papers.mlflow.mirror(registered.uri, "late")
    assert project.reproduce(3, "late").outcome == "different"


@pytest.mark.parametrize(("name", "runtime"), [("deep", "onnx"), ("trees", "xgboost"), ("booster", "lightgbm")])
def test_its_data_is_served_by_our_runtime(project: Project, registered: MlflowServer, name: str, runtime: str) -> None:
    made = project.papers.mlflow.bring(f"models:/theirs_{name}/1", registered.uri, "late")
    assert made.manifest.scorer.format == runtime
    scores = ours(project, made.number, vectors(project))
    assert len(set(scores)) > 1
    assert all(0 <= one <= 1 for one in scores)


def test_its_gate_is_asked_like_any_other_s(project: Project, registered: MlflowServer, tmp_path: Path) -> None:
    bridge = project.papers.mlflow
    bare = bridge.bring("models:/theirs_booster/1", registered.uri, "late", cutoff=shop.FIRST)
    assert (bare.manifest.scorer.format, bare.manifest.estimator) == ("lightgbm", "lightgbm.basic.Booster")
    checks = {one.name: one for one in project.judge(bare.number, "late", as_of=shop.SECOND).decision.checks}
    assert checks["trained_as_served"].verdict is Verdict.INSUFFICIENT
    assert checks["better_than_champion"].verdict is not Verdict.PASS  # it is the champion's own trees
    rows = pl.DataFrame(vectors(project), schema=list(project.model("late").features.vector))
    rows.with_columns(more=1).write_parquet(tmp_path / "rows.parquet")
    claimed = {"cutoff": shop.FIRST, "base_rate": 0.4, "sample": tmp_path / "rows.parquet"}
    told = bridge.bring("models:/theirs_booster/1", registered.uri, "late", **claimed)
    assert told.number == bare.number + 1
    assert (told.manifest.base_rate, told.manifest.cutoff) == (0.4, instant(shop.FIRST))
    assert missing_lineage(told.manifest) == [one for one in MISSING if one != "estimator"]
    checks = {one.name: one for one in project.judge(told.number, "late", as_of=shop.SECOND).decision.checks}
    assert "no sample" not in checks["trained_as_served"].reason
    text = project.papers.card(told.number, "late").sheet.markdown()
    assert "| base rate | 0.4000 of the training rows, as was claimed when it was imported |" in text
    assert f"| known by | {shop.FIRST}T00:00:00Z, as was claimed when it was imported |" in text
    rows.drop("size").write_parquet(tmp_path / "short.parquet")
    with pytest.raises(InputError, match="no column 'size'"):
        bridge.bring("models:/theirs_booster/1", registered.uri, "late", sample=tmp_path / "short.parquet")
    with pytest.raises(InputError, match="after the model was registered"):
        bridge.bring("models:/theirs_booster/1", registered.uri, "late", cutoff="2999-01-01")


@pytest.mark.parametrize(
    ("uri", "error", "said"),
    [
        ("models:/theirs_reversed/1", InputError, "its signature has the inputs size_ratio, web"),
        ("models:/theirs_tensor/1", InputError, r"shape \(-1, 3\)"),
        ("models:/theirs_narrow/1", InputError, "takes 3 features"),
        ("models:/theirs_code/1", InputError, "python_function"),
        ("models:/theirs_pickle/1", InputError, "a pickle: code"),
        ("models:/theirs_onnx/7", NotFoundError, "MLflow has no models:/theirs_onnx/7"),
        ("models:/theirs_onnx@none", NotFoundError, "MLflow has no"),
        ("runs:/abc/model", InputError, "names no version"),
    ],
)
def test_what_does_not_fit_is_refused(
    base: Path, registered: MlflowServer, uri: str, error: type[Exception], said: str
) -> None:
    project = Project(base, clock=CLOCK, actor="test")
    with pytest.raises(error, match=said):
        project.papers.mlflow.bring(uri, registered.uri, "late")
    assert len(project.versions("late")) == 2
    project.close()


def test_a_pickle_only_where_it_is_trusted(project: Project, registered: MlflowServer) -> None:
    uri = "models:/theirs_pickle/1"
    project.close()
    half = opened(project.path, late="trust_code=True")
    with pytest.raises(InputError, match="a pickle"):
        half.papers.mlflow.bring(uri, registered.uri, "late")
    half.close()
    whole = opened(project.path, late='runtime="sklearn-pickle"')
    made = whole.papers.mlflow.bring(uri, registered.uri, "late")
    assert made.manifest.scorer.code
    assert made.manifest.scorer.batch_tolerance == 1e-6
    assert len(ours(whole, made.number, vectors(whole))) == 200
    whole.close()


def test_a_strict_project_takes_none(project: Project, registered: MlflowServer) -> None:
    toml = project.path / "backstay.toml"
    toml.write_text(toml.read_text().replace("[project]\n", "[project]\nstrict = true\n"))
    project.close()
    strict = Project(project.path, clock=CLOCK, actor="test")
    with pytest.raises(InputError, match=r"does not know what made it: dataset\.digest, dataset\.rows"):
        strict.papers.mlflow.bring("models:/theirs_onnx/1", registered.uri, "late")
    strict.close()


def test_a_mirror_of_ours_does_not_come_back(project: Project, server: MlflowServer) -> None:
    project.papers.mlflow.mirror(server.uri, "late")
    with pytest.raises(ConflictError, match="is a mirror of late/1"):
        project.papers.mlflow.bring(f"models:/{project.name}.late@champion", server.uri, "late")
