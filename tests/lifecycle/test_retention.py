"""Files that nothing needs go; what an entry, a version or a prediction refers to stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError, NotFoundError
from backstay.core.times import instant
from backstay.project import Project
from tests.serving import shop


def aged(path: Path, days: int = 2) -> None:
    """Every artifact was stored days ago."""
    then = time.time() - days * 86_400
    for file in (path / ".backstay" / "artifacts").rglob("*"):
        if file.is_file():
            os.utime(file, (then, then))


def opened(path: Path) -> Project:
    return Project(path, clock=ReplayClock(instant(shop.SECOND)), actor="ann")


def files(project: Project) -> set[str]:
    return {one.digest for one in project.services.artifacts.stored()}


def test_nothing_is_collected_of_a_project_that_is_whole(path: Path) -> None:
    project = opened(path)
    aged(path)
    before = files(project)
    found = project.archive.collect()
    assert (found.digests, found.bytes, found.kept) == ((), 0, len(before))
    assert files(project) == before
    assert project.archive.audit().sound


def test_what_nobody_named_is_collected_once_it_is_old(path: Path) -> None:
    project = opened(path)
    left = project.services.artifacts.put(b"left by a verb that was interrupted")
    assert project.archive.collect().digests == ()
    aged(path)
    assert project.archive.collect(dry=True).digests == (left,)
    assert left in files(project)
    found = project.archive.collect()
    assert (found.digests, found.bytes) == ((left,), 35)
    assert left not in files(project)
    entry = project.entries("collected")[-1]
    assert entry.body == {"digests": [left], "bytes": 35}
    assert project.archive.collect().digests == ()
    assert project.archive.audit().sound


def test_what_a_run_keeps_is_not_collected(path: Path) -> None:
    project = opened(path)
    with project.run("late") as run:
        kept = run.attach("notes.txt", b"what was seen")
    aged(path)
    assert project.archive.collect().digests == ()
    assert project.runs.artifact(run.id, "notes.txt") == b"what was seen"
    assert kept in files(project)


def test_a_retired_version_loses_its_files_and_keeps_its_evidence(path: Path) -> None:
    project = opened(path)
    version = project.records.registry.get("late", 2)
    entry = project.archive.retire(2, "late", why="superseded")
    assert (entry.kind, entry.subject, entry.actor) == ("retired", "late/2", "ann")
    assert project.archive.retire(2, "late", why="again").id == entry.id
    aged(path)
    removed = set(project.archive.collect().digests)
    other = project.records.registry.get("late", 1)
    assert removed == set(version.manifest.files.values()) - set(other.manifest.files.values())
    assert project.records.registry.get("late", 2).manifest == version.manifest
    with pytest.raises(NotFoundError, match=r"late/2 was retired by ann, and its files were removed"):
        project.records.registry.file(version, "model.onnx")
    assert project.archive.audit().sound
    assert [one.number for one in project.versions("late")] == [1, 2]
    assert shop.model_file(path, 1).exists()


def test_a_version_that_is_needed_is_not_retired(path: Path) -> None:
    project = opened(path)
    with pytest.raises(InputError, match="still needed: it is champion"):
        project.archive.retire(1, "late", why="old")
    project.routes.set({"v2": 0.1}, "late", why="canary")
    with pytest.raises(InputError, match="the route names it"):
        project.archive.retire(2, "late", why="old")
    project.routes.clear("late", why="decided")
    shop.move_champion(project, 2)
    with pytest.raises(InputError, match="a rollback would go back to it"):
        project.archive.retire(1, "late", why="old")
    with pytest.raises(InputError, match="there is no reason"):
        project.archive.retire(1, "late", why=" ")
    with pytest.raises(NotFoundError):
        project.archive.retire(7, "late", why="old")
    assert project.entries("retired") == []


def test_one_that_made_predictions_is_kept_for_as_long_as_they_are(life: Path) -> None:
    project = opened(life)
    shop.move_champion(project, 2)
    third = project.train("late", as_of=shop.SECOND, seed=3)
    shop.move_champion(project, third.number)
    with pytest.raises(InputError, match=r"it made [\d,]+ predictions"):
        project.archive.retire(1, "late", why="old")


def test_what_it_was_trained_on_is_in_its_entry_and_not_in_its_manifest(base: Path) -> None:
    version = Project(base).records.registry.get("late", 1)
    assert version.machine is not None
    assert set(version.machine) == {"cpu", "cores", "memory", "python", "system"}
    assert b"cores" not in version.manifest.canonical()


def test_a_manifest_says_what_goes_in_and_what_comes_out(base: Path) -> None:
    signature = Project(base).records.registry.get("late", 1).manifest.signature
    assert signature is not None
    assert signature.keys == {"shop": "string", "counter": "int", "order": "string"}
    assert signature.fields["due"] == "datetime"
    assert signature.vector[0] == "shop_late_1d"
    assert (signature.dtype, signature.outputs) == ("float32", {"score": "float64", "decision": "bool"})
