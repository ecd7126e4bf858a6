"""`serve` as a process: one line when it is ready, predictions over HTTP, a clean end; `predictions` and `trace`."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.cli.conftest import AS_OF, Life, Run, Server, write_project

Cli = Callable[..., Run]


def test_the_ready_line(life: Life) -> None:
    told = life.server.told
    assert told.keys() == {"url", "pid", "replay", "token", "workers"}
    assert told["url"].startswith("http://127.0.0.1:")
    assert (told["pid"], told["replay"]) == (life.server.pid, True)
    assert stat.S_IMODE(Path(told["token"]).stat().st_mode) == 0o600


def test_predictions_are_answered(life: Life) -> None:
    assert len({answer["prediction_id"] for answer in life.answers}) == 100
    assert all(answer["version"] == 1 and 0 < answer["score"] < 1 for answer in life.answers)


def test_in_production_the_record_is_caught_up_and_sigterm_ends_well(cli: Cli, life: Life, tmp_path: Path) -> None:
    project = tmp_path / "shop"
    shutil.copytree(life.project, project)
    with Server(project) as server:
        body = {"keys": {"shop": "shop1", "order": "new"}, "fields": {"size": 900}}
        answer = server.post("/v1/models/late/predict", body)
        with pytest.raises(urllib.error.HTTPError) as refused:
            server.post("/v1/models/late/predict", {**body, "fields": {"size": "x"}})
        assert refused.value.code == 400
        with refused.value:
            assert json.load(refused.value)["field"] == "fields.size"
    assert server.code == 0
    assert server.out == ""
    assert "try: curl" in server.err
    assert server.err.splitlines()[-2:] == ["stopped", f"next: backstay predictions --project {project}"]
    last = cli("predictions", "-n", 1, "--project", project, "--json").json["predictions"][0]
    assert last["id"] == answer["prediction_id"]
    traced = cli("trace", last["id"], "--project", project, "--json").json
    assert traced["prediction"]["watermark"] == {"orders": 3000}
    assert traced["label"]["value"] is None
    assert cli("features", "verify", "--project", project).code == 0


def test_ctrl_c_ends_it_well(life: Life) -> None:
    with Server(life.project, "--json", "--replay") as server:
        server.stop(signal.SIGINT)
    assert (server.code, server.out, server.err) == (0, "", "")


def test_without_a_champion_it_serves_and_says_so(tmp_path: Path) -> None:
    with Server(write_project(tmp_path)) as server, pytest.raises(urllib.error.HTTPError) as refused:
        server.post("/v1/models/late/predict", {"keys": {"shop": "a", "order": "b"}, "fields": {"size": 1}})
    with refused.value:
        assert "has no champion" in json.load(refused.value)["error"]
    assert server.code == 0


def test_a_port_that_is_taken(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path)
    with Server(project) as server:
        port = server.told["url"].rpartition(":")[2]
        run = cli("serve", "--port", port, "--project", project)
    assert (run.code, run.out) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}" in run.err
    assert "choose another port" in run.err


def test_predictions(cli: Cli, life: Life) -> None:
    last = cli("predictions", "--project", life.project, "--json").json["predictions"]
    assert len(last) == 10
    assert last[0]["id"] == life.answers[-1]["prediction_id"]
    assert last[0]["version"] == 1
    few = cli("predictions", "--limit", 3, "--model", "late", "--project", life.project)
    assert [line.split()[0] for line in few.out.splitlines() if "2024-02-20" in line] == [one["id"] for one in last[:3]]
    assert few.err.splitlines()[-1] == f"next: backstay trace {last[0]['id']} --project {life.project}"


def test_no_predictions(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path)
    assert cli("predictions", "--project", project).out == "nothing has been served yet\n"
    assert cli("predictions", "--project", project, "--json").json == {"predictions": []}


def test_compact(cli: Cli, life: Life, tmp_path: Path) -> None:
    project = Path(shutil.copytree(life.project, tmp_path / "copy"))
    before = cli("predictions", "--limit", 1000, "--project", project, "--json").json
    done = cli("compact", "--project", project, "--json").json
    assert (done["predictions"], done["segments"]) == (100, 1)
    assert DeltaTable(done["table"]).version() == 0
    again = cli("compact", "--project", project)
    assert "predictions  0" in again.out
    assert again.err.splitlines()[-1] == f"next: backstay predictions --project {project}"
    assert cli("predictions", "--limit", 1000, "--project", project, "--json").json == before


def test_trace(cli: Cli, life: Life) -> None:
    answer = life.answers[42]
    traced = cli("trace", answer["prediction_id"], "--project", life.project, "--json").json
    assert traced.keys() == {"prediction", "features", "version", "rule", "promotion", "gate", "label"}
    assert traced["prediction"]["at"] == f"{AS_OF}T02:42:00Z"
    assert traced["prediction"]["score"] == answer["score"]
    assert traced["features"][0]["feature"] == "shop_late_1d"
    assert all(one["event_time"] < f"{AS_OF}T02:42:00Z" for one in traced["features"] if one["event_time"])
    assert traced["version"]["digest"] == life.steps["train"].json["digest"]
    assert traced["version"]["dataset"]["digest"] == life.steps["train"].json["dataset"]["digest"]
    assert traced["promotion"]["evidence"]["gate"] == traced["gate"]["entry"]
    assert traced["gate"]["verdict"] == "PASS"
    assert traced["label"]["value"] is None  # paid more than a day after T, far beyond the label's horizon
    soon = cli("trace", life.answers[6]["prediction_id"], "--project", life.project, "--json").json
    assert isinstance(soon["label"]["value"], bool)
    shown = cli("trace", answer["prediction_id"], "--project", life.project).out
    for text in (answer["prediction_id"], traced["version"]["digest"], "shop_orders_7d", "late: ", "order=o2542"):
        assert text in shown
