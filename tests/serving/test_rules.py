"""A rule in force: the server follows it without loading anything, logs it, and parity computes it again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError, NotFoundError, RefusedError
from backstay.core.times import DAY, HOUR, instant
from backstay.evaluation.calibration import Calibrator
from backstay.project import Project
from tests.serving.shop import Server, live, request

MONTH = instant("2024-02-25")


def asked(server: Server) -> Any:
    status, answer = server.predict(live())
    assert status == 200
    return answer


def ruled(path: Path) -> Project:
    """The project, with a calibration and a threshold of version 1 that are not in force."""
    project = Project(path, clock=ReplayClock(MONTH), actor="ana")
    project.rules.calibrate(1, "late", kind="isotonic")
    project.rules.threshold(1, "late", calibration=1, cost=(1, 9))
    return project


def test_the_server_follows_the_rule_and_parity_holds(path: Path) -> None:
    project = ruled(path)
    calibrator = Calibrator.from_dict(project.records.rules.get(
        "calibration", project.records.registry.get("late", 1), 1).document["calibrator"])  # fmt: skip
    with Server(path) as server:
        raw = asked(server)
        assert raw["decision"] == (raw["score"] >= 0.5)
        project.rules.put(1, "late", calibration=1, threshold=1, why="a missed one costs nine")
        begin = time.monotonic()
        while (now := asked(server))["score"] == raw["score"]:
            assert time.monotonic() - begin < 5
        assert now["score"] == calibrator([raw["score"]])[0]
        assert now["decision"] == (now["score"] >= 0.1)
        assert now["version"] == raw["version"] == 1
        project.rules.put(1, "late", why="back")
        while asked(server)["score"] != raw["score"]:
            assert time.monotonic() - begin < 10
    logged = {one.id: one.rule for one in project.predictions("late", limit=1_000)}
    assert logged[raw["prediction_id"]] == ""
    assert logged[now["prediction_id"]] == "c1 t1"
    report = project.verify("late")
    assert report.holds
    assert report.checked == len(logged)
    told = project.trace(now["prediction_id"])
    assert told.rule is not None
    assert (told.rule["name"], told.rule["threshold"]) == ("c1 t1", 0.1)
    assert told.rule["calibration"]["by"] == "ana"


def test_a_table_is_scored_by_the_rule_in_force_and_rows_are_judged_by_it(path: Path, tmp_path: Path) -> None:
    project = ruled(path)
    before = project.evaluations.rows(1, "late")
    project.rules.put(1, "late", calibration=1, threshold=1, why="a missed one costs nine")
    with pytest.raises(InputError, match="rows that may evaluate it are asked from 2024-02-25"):
        project.evaluations.rows(1, "late")  # all there are were used to fit it: they can't tell how good it is
    with pytest.raises(InputError, match="it has learned from rows until 2024-02-25"):
        project.evaluations.rows(1, "late", since=before.since)
    later = Project(path, clock=ReplayClock(MONTH + 4 * DAY), actor="ana")
    after = later.evaluations.rows(1, "late")
    assert after.rule.name == "c1 t1"
    assert after.labelled.at.min() >= MONTH + HOUR
    assert (after.score != after.raw).any()
    then = later.evaluations.rows(1, "late", as_of=MONTH - DAY)  # as it answered then
    assert (then.rule.name, then.score.tolist()) == ("", then.raw.tolist())
    asked = pl.DataFrame([request()["keys"] | request()["fields"]])
    asked.write_csv(tmp_path / "asked.csv")
    out = project.predict(tmp_path / "asked.csv", tmp_path / "out", "late").frame.collect()
    assert out["rule"].to_list() == ["c1 t1"]
    assert out["decision"].to_list() == [out["score"][0] >= 0.1]


def test_where_stakes_are_high_another_person_puts_it_in_force(path: Path) -> None:
    models = path / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    project = ruled(path)
    with pytest.raises(RefusedError, match="ana made calibration 1"):
        project.rules.put(1, "late", calibration=1, why="better")
    ben = Project(path, clock=ReplayClock(MONTH), actor="ben")
    assert ben.rules.put(1, "late", calibration=1, why="better").by == "ben"
    with pytest.raises(NotFoundError, match="no calibration 7"):
        ben.rules.put(1, "late", calibration=7, why="better")
