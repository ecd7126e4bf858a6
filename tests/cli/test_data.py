"""`ingest` and `features`: run again they add nothing; parity holds, and its answer is no when it must be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import AS_OF, MODELS, Life, Run, write_project

Cli = Callable[..., Run]


def test_ingest_twice(cli: Cli, life: Life) -> None:
    assert life.steps["ingest"].json["sources"] == [
        {
            "source": "orders", "added": 3000, "events": 3000, "version": 0, "known_until": "2024-03-01T09:34:40Z",
            "quarantined": 0, "reasons": {}, "alarms": [],
        }
    ]  # fmt: skip
    again = cli("ingest", "--project", life.project)
    assert again.code == 0
    assert again.out.splitlines()[0].split() == ["source", "added", "quarantined", "events", "known", "until"]
    assert again.out.splitlines()[2].split() == ["orders", "0", "0", "3,000", "2024-03-01T09:34Z"]
    assert cli("ingest", "orders", "--project", life.project, "--json").json["sources"][0]["added"] == 0


def test_backfill(cli: Cli, life: Life, tmp_path: Path) -> None:
    assert life.steps["backfill"].json == {"applied": {"orders": 2483}, "until": AS_OF}
    project = tmp_path / "shop"
    shutil.copytree(life.project, project)
    assert cli("features", "backfill", "--project", project, "--json").json["applied"] == {"orders": 517}
    again = cli("features", "backfill", "--project", project)
    assert again.out.splitlines()[-1].split() == ["orders", "0"]
    assert again.err.splitlines()[-1] == f"next: backstay serve --project {project}"


def test_parity_holds(cli: Cli, life: Life) -> None:
    answer = cli("features", "verify", "--project", life.project, "--json")
    assert answer.code == 0
    assert answer.json["holds"] is True
    assert answer.json["checked"] == answer.json["equal"] == answer.json["logged"] == len(life.answers) == 100
    sample = cli("features", "verify", "--sample", 7, "--project", life.project)
    assert sample.code == 0
    assert ["parity", "holds", "yes"] in [line.split() for line in sample.out.splitlines()]
    assert ["checked", "7"] in [line.split() for line in sample.out.splitlines()]


def test_parity_of_nothing_is_not_proven(cli: Cli, tmp_path: Path) -> None:
    run = cli("features", "verify", "--project", write_project(tmp_path))
    assert run.code == 1
    assert "nothing is proven" in run.err
    assert cli("features", "verify", "--project", tmp_path, "--json").json["holds"] is False


def test_parity_that_does_not_hold(cli: Cli, life: Life, tmp_path: Path) -> None:
    """The predictions of one home held against the events of another, whose history differs in one event."""
    changed = MODELS.replace('"late": noise', '"late": (number == 2400) ^ (noise').replace(
        "/ 40,\n    })", "/ 40),\n    })"
    )
    assert changed.count("^") == 1
    project = write_project(tmp_path / "shop", changed)
    assert cli("ingest", "--project", project).code == 0
    for part in ("predictions", "artifacts"):
        shutil.copytree(life.project / ".backstay" / part, project / ".backstay" / part, dirs_exist_ok=True)
    shutil.copy(life.project / ".backstay" / "ledger.sqlite", project / ".backstay")
    run = cli("features", "verify", "--project", project)
    assert run.code == 1
    assert ["parity", "holds", "no"] in [line.split() for line in run.out.splitlines()]
    assert "shop_late_7d" in run.out
    answer = cli("features", "verify", "--project", project, "--json")
    assert answer.code == 1
    assert 0 < answer.json["equal"] < answer.json["checked"] == 100
    assert f"next: backstay trace {answer.json['examples'][0]['prediction_id']}" in run.err


def test_served_features_lie_as_those_trained_on(cli: Cli, life: Life, tmp_path: Path) -> None:
    answer = cli("features", "skew", "--project", life.project, "--json")
    assert answer.code == (0 if answer.json["holds"] else 1)
    assert answer.json["served"] == len(life.answers)
    run = cli("features", "skew", "--project", life.project)
    assert run.code == answer.code
    lines = [line.split() for line in run.out.splitlines()]
    assert ["predictions", str(len(life.answers))] in lines
    first = next(iter(answer.json["features"]))
    assert next(line for line in lines if line and line[0] == "shop_late_7d")
    heading = next(place for place, line in enumerate(lines) if line[:3] == ["feature", "PSI", "floor"])
    assert lines[heading + 2][0] == first
    nothing = cli("features", "skew", "--project", write_project(tmp_path))
    assert nothing.code == 1
    assert "nothing has been served" in nothing.err
