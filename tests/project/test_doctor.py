"""The doctor finds what is wrong with a project, and says how to mend it; a healthy one is told so."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.predicted import prediction
from tests.serving import shop
from tests.serving.shop import Server
from tests.serving.test_tls import certified
from tests.shared import once
from tests.storage.backends.local.disks import no_file_above

from backstay.core.clock import ReplayClock, SystemClock
from backstay.core.times import SECOND, instant, instant_text
from backstay.project import Project


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "born", lambda folder: shop.born(folder / "shop")) / "shop"


@pytest.fixture
def path(base: Path, tmp_path: Path) -> Path:
    return shop.copied(base, tmp_path)


def told(path: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by their check."""
    words = [sys.executable, "-m", "backstay", "doctor", "--project", str(path), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, env=shop.environment(), timeout=60)
    answer: dict[str, Any] = json.loads(done.stdout)
    found = {one["check"]: one for one in answer["findings"]}
    assert answer["healthy"] == (done.returncode == 0)
    assert all(one["fix"] for one in found.values() if one["state"] != "OK")
    return done.returncode, found


def test_a_healthy_project_is_told_so_with_a_server_and_without(path: Path) -> None:
    Project(path).backfill()
    code, found = told(path)
    assert code == 0
    bad = {name for name, one in found.items() if one["state"] != "OK"}
    assert bad <= {"champion unborn", "open files"}, found
    assert found["ledger"]["what"].endswith("their chain is whole")
    assert found["online state orders"]["what"] == "in step with 2,400 events"
    with Server(path) as server:
        (path / "backstay.toml").write_text(f"{shop.TOML}port = {server.port}\n")
        assert "unborn" in told(path)[1]["server"]["what"], "it runs, and is not ready: a model has no champion"


def test_what_is_wrong_is_found(path: Path) -> None:
    shop.tamper(shop.model_file(path, 1))
    ledger = sqlite3.connect(path / ".backstay" / "ledger.sqlite")
    for (name,) in ledger.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        ledger.execute(f'drop trigger "{name}"')
    ledger.execute("update ledger set actor = 'somebody' where id = 2")
    ledger.commit()
    ledger.close()
    (path / ".backstay" / "token").write_text("x" * 32)
    (path / ".backstay" / "token").chmod(0o644)
    code, found = told(path)
    assert code == 1
    for check in ("champion late", "ledger", "token"):
        assert found[check]["state"] == "FAIL", found[check]
    assert found["online state orders"]["state"] == "WARN"
    assert "backfill" in found["online state orders"]["fix"]


def test_a_clock_that_has_gone_ahead_and_was_set_back_is_seen_in_the_predictions(path: Path) -> None:
    """The ledger may have nothing of an hour in which a server answered with times to come."""
    now = SystemClock().now()
    log = Project(path).services.predictions
    log.append([prediction(now + 7200 * SECOND)])
    log.close()
    code, found = told(path)
    assert (code, found["clock"]["state"]) == (1, "FAIL")
    assert f"and there is a prediction of {instant_text(now + 7200 * SECOND)}" in found["clock"]["what"]


def test_a_full_disk_is_named(path: Path) -> None:
    project = Project(path)
    with no_file_above(0):
        found = {one.check: one for one in project.doctor()}
    assert found["home"].state == "FAIL"
    assert found["home"].what == f"nothing can be written in {path / '.backstay'}: File too large"
    assert "free space" in found["home"].fix


def test_settings_and_definitions_that_cannot_be_read_are_findings(path: Path) -> None:
    (path / "models.py").write_text("this is no Python")
    code, found = told(path)
    assert code == 1
    assert found["definitions"]["state"] == "FAIL"
    assert found["definitions"]["fix"] == "mend that line"
    (path / "models.py").write_text("from late import a\nb = 1")
    (path / "late.py").write_text("from models import b\na = 1")
    fix = "a module that models.py imports imports models.py: move what both need into a third"
    assert told(path)[1]["definitions"]["fix"] == fix
    (path / "models.py").write_text("import nosuchmodule")
    assert told(path)[1]["definitions"]["fix"] == "install what has 'nosuchmodule', or correct the name"
    (path / "backstay.toml").write_text("[serving\n")
    assert told(path)[1]["settings"]["fix"] == "mend it there"
    (path / "backstay.toml").write_text("[serving]\nprot = 1\n")
    code, found = told(path)
    assert code == 1
    assert list(found) == ["settings"]


def test_the_end_of_a_certificate_is_seen(path: Path) -> None:
    certified(path)
    one = told(path)[1]["certificate"]
    assert one["state"] == "WARN"
    assert one["what"].endswith("in 2 days")
    project = Project(path, clock=ReplayClock(instant("2050-01-01")))
    states = {one.check: one.state for one in project.doctor()}
    assert states["certificate"] == "FAIL"
    project.close()


def test_a_project_that_was_never_used_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    path = shop.write(tmp_path / "new")
    code, found = told(path)
    assert code == 0
    assert found["home"]["state"] == "WARN"
    assert not (path / ".backstay").exists()
