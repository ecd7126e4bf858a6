"""The step cache: the same fit is not made twice, no other is mistaken for it, and changed output is refused."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import IntegrityError
from backstay.core.identity import digest_of
from backstay.core.times import instant
from backstay.lifecycle import training_rows
from backstay.project import Project
from backstay.registry.steps import Steps
from backstay.storage.backends.memory import MemoryArtifacts
from tests.serving import shop


def committed(path: Path, message: str = "begun") -> None:
    settings = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", message)):
        subprocess.run(["git", *words], cwd=path, check=True, env={**os.environ, **settings})


@pytest.fixture
def cached(path: Path) -> Path:
    (path / "backstay.toml").write_text(
        shop.TOML.replace('name = "shop"\n', 'name = "shop"\nlock = "some.lock"\n') + "\n[training]\ncache = true\n"
    )
    (path / "some.lock").write_text("numpy==2\n")
    (path / ".gitignore").write_text(".backstay\n__pycache__\n")
    committed(path)
    return path


def trained(path: Path, **more: int) -> tuple[str, bool, float]:
    """The model file's digest, whether it came from the cache, and the seconds."""
    project = Project(path, clock=ReplayClock(instant(shop.SECOND)), actor="ann")
    begin = time.perf_counter()
    version = project.train("late", as_of=shop.SECOND, note=f"at {begin}", **more)
    seconds = time.perf_counter() - begin
    run = next(one for one in project.runs.search() if one.version == version.number)
    assert project.reproduce(version.number, "late").outcome == "exact"
    project.close()
    return version.manifest.files["model.onnx"], run.parameters.get("fit") == "taken from the step cache", seconds


def test_the_same_fit_is_taken_and_another_is_made(cached: Path) -> None:
    first, again = trained(cached), trained(cached)
    assert (first[1], again[1]) == (False, True)
    assert first[0] == again[0]
    other = trained(cached, seed=4)
    assert other[1] is False


def test_the_same_training_set_is_taken_and_is_the_same(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    whole = training_rows.training_set
    monkeypatch.setattr(training_rows, "training_set", lambda *args, **more: made.append(1) or whole(*args, **more))
    project = Project(cached, clock=ReplayClock(instant(shop.SECOND)), actor="ann")
    args = project.records, project.model("late"), project.environment
    first, again = (training_rows.training_rows(*args, as_of=instant(shop.SECOND), since=None) for _ in range(2))
    assert len(made) == 1
    assert again.frame.equals(first.frame)
    assert again.frame.schema == first.frame.schema
    assert (again.vector.tobytes(), again.outcome.tolist()) == (first.vector.tobytes(), first.outcome.tolist())
    rest = [
        [getattr(one, name) for name in ("versions", "seals", "asked", "void", "immature", "unlabelled", "tags")]
        for one in (first, again)
    ]
    assert rest[0] == rest[1]
    training_rows.training_rows(*args, as_of=instant(shop.SECOND) - 1, since=None)
    assert len(made) == 2
    ingested = project.services.events.read("orders").drop("sequence").tail(1)
    project.services.events.append("orders", ingested)
    training_rows.training_rows(*args, as_of=instant(shop.SECOND), since=None)
    assert len(made) == 3


@pytest.mark.parametrize("change", ["code", "uncommitted", "lock", "parameter"])
def test_whatever_may_change_it_is_part_of_the_key(cached: Path, change: str) -> None:
    trained(cached)
    models = cached / "models.py"
    if change == "code":
        models.write_text(models.read_text() + "\n# another comment\n")
        committed(cached, "another")
    elif change == "uncommitted":
        (cached / "notes.py").write_text("x = 1\n")
    elif change == "lock":
        (cached / "some.lock").write_text("numpy==3\n")
        committed(cached, "another lock")
    else:
        models.write_text(models.read_text().replace("num_leaves=7", "num_leaves=6"))
        committed(cached, "leaves")
    assert trained(cached)[1] is False
    assert trained(cached)[1] is True


def test_without_a_lock_file_or_a_commit_nothing_is_taken(cached: Path) -> None:
    (cached / "backstay.toml").write_text(shop.TOML + "\n[training]\ncache = true\n")
    committed(cached, "no lock")
    assert [trained(cached)[1] for _ in range(2)] == [False, False]
    assert not (cached / ".backstay" / "steps").exists()


def test_it_is_off_unless_it_is_asked_for(path: Path) -> None:
    committed(path)
    assert [trained(path)[1] for _ in range(2)] == [False, False]


def test_what_was_changed_is_refused_and_what_was_removed_is_made_again(tmp_path: Path) -> None:
    artifacts = MemoryArtifacts()
    steps, key = Steps(tmp_path / "steps", artifacts), digest_of("a step")
    assert steps.get(key) is None
    steps.put(key, {"model": b"the model"}, {"base_rate": 0.25, "list": (1, 2)})
    assert steps.get(key) == ({"model": b"the model"}, {"base_rate": 0.25, "list": [1, 2]})
    assert steps.get(digest_of("another")) is None
    path = tmp_path / "steps" / f"{key}.json"
    told = json.loads(path.read_bytes())
    for changed in (b"", b"{}", json.dumps({**told, "document": {"base_rate": 0.5}}).encode(), b"[]"):
        path.write_bytes(changed)
        with pytest.raises(IntegrityError, match="what a step made was changed"):
            steps.get(key)
    path.write_bytes(json.dumps(told).encode())
    (stored,) = artifacts.stored()
    artifacts._content[stored.digest] = b"another model"
    with pytest.raises(IntegrityError):
        steps.get(key)
    del artifacts._content[stored.digest], artifacts._at[stored.digest]
    assert steps.get(key) is None
