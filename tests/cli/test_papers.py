"""`card`, `bom` and `export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Life, Run

Cli = Callable[..., Run]


def test_card(cli: Cli, life: Life, tmp_path: Path) -> None:
    shown = cli("card", 1, "--project", life.project)
    assert shown.code == 0
    assert shown.out.startswith("# Model card: late, version 1\n\n## Version\n")
    assert "| note | the first |" in shown.out
    assert max(len(line) for line in shown.out.splitlines()) > 120  # as it is: nothing is wrapped
    for name, begins in (("card.md", "# Model card"), ("card.html", "<!doctype html>")):
        done = cli("card", 1, "--project", life.project, "--out", tmp_path / name)
        assert done.code == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
        assert f"written: {tmp_path / name}" in done.err
    told = cli("card", 1, "--project", life.project, "--json").json
    assert (told["number"], told["out"]) == (1, None)
    assert told["gates"][0]["verdict"] == "PASS"
    assert cli("card", 7, "--project", life.project).code == 2
    assert cli("card", 1, "--project", life.project, "--out", tmp_path / "none" / "card.md").code == 2


def test_bom(cli: Cli, life: Life, tmp_path: Path) -> None:
    shown = cli("bom", 1, "--project", life.project)
    document = json.loads(shown.out)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert cli("bom", 1, "--project", life.project, "--json").json == document
    done = cli("bom", 1, "--project", life.project, "--out", tmp_path / "bom.json")
    assert "serial number" in done.out
    assert (tmp_path / "bom.json").read_text(encoding="utf-8") == shown.out
    told = cli("bom", 1, "--project", life.project, "--out", tmp_path / "bom.json", "--json").json
    assert told["components"]["data"] == 2


def test_export(cli: Cli, life: Life, tmp_path: Path) -> None:
    done = cli("export", 1, "--to", "sagemaker", "--out", tmp_path / "out", "--project", life.project)
    assert done.code == 0, done.err
    assert "create_model_package.json" in done.out
    assert "to fill in, where names stand in capitals: --image, --store" in done.err
    again = cli("export", 1, "--to", "mlflow", "--out", tmp_path / "out", "--project", life.project, "--json")
    assert again.code == 2
    assert "something already" in again.json["error"]
    told = cli(
        "export", 1, "--to", "openlineage", "--out", tmp_path / "e.ndjson", "--project", life.project, "--json"
    ).json
    assert (list(told["files"]), told["missing"]) == (["e.ndjson"], [])
    assert cli("export", 1, "--to", "azure", "--out", tmp_path / "new", "--project", life.project).code == 2
