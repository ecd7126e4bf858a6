"""A version whose files are code counts only where the project's own definition trusts it: gates, server, batch."""

from __future__ import annotations

import subprocess

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.project import Project
from tests.serving import shop

PICKLED = shop.MODELS.replace(
    "    gate=GatePolicy(", "    runtime='sklearn-pickle', trust_code=True,\n    gate=GatePolicy("
)


def test_trust_is_asked_of_the_definition_and_not_of_the_version(tmp_path):
    path = shop.born(tmp_path / "shop")
    (path / "models.py").write_text(PICKLED)
    project = Project(path, clock=ReplayClock(instant(shop.SECOND)))
    version = project.train("late", as_of=shop.FIRST, holdout="14d", note="pickled")
    assert (version.manifest.scorer.format, version.manifest.scorer.code) == ("sklearn-pickle", True)
    assert project.judge(version.number, "late", as_of="2024-02-28").decision
    shop.move_champion(project, version.number)
    project.close()
    with shop.Server(path, "--replay") as server:
        status, trusted = server.predict(shop.request())
        assert (status, trusted["version"]) == (200, version.number)

    (path / "models.py").write_text(shop.MODELS)
    project = Project(path, clock=ReplayClock(instant(shop.SECOND)))
    with pytest.raises(InputError, match=rf"are code.*at late/{version.number}.*trust_code=True"):
        project.records.scorer(project.model("late"), version)
    project.close()
    done = subprocess.run(
        shop.command(path, "--replay"), capture_output=True, text=True, env=shop.environment(), timeout=60, check=False
    )
    assert done.returncode == 2
    assert "are code" in done.stdout + done.stderr
    assert "trust_code=True" in done.stdout + done.stderr
