import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from backstay.core.errors import NotFoundError
from backstay.core.identity import canonical_json, sha256
from backstay.registry import capture, missing_lineage
from backstay.registry.environment import PACKAGES
from tests.registry.records import make_manifest


def git(directory: Path, *arguments: str) -> str:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    names = ("-c", "user.name=ana", "-c", "user.email=ana@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *names, *arguments], cwd=directory, env=settings, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def project(tmp_path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "model.py").write_text("leaves = 31\nrate = 0.1\n")
    (directory / ".gitignore").write_text("data/\n")
    (directory / "uv.lock").write_text("numpy==2.4.6\n")
    git(directory, "init")
    git(directory, "add", ".")
    git(directory, "commit", "-m", "first")
    return directory


def test_a_clean_tree_is_its_commit(project):
    environment = capture(project, project / "uv.lock")
    assert environment.code.commit == git(project, "rev-parse", "HEAD")
    assert (environment.code.dirty, environment.diff) == (None, None)
    assert environment.code.lock == sha256(b"numpy==2.4.6\n")
    assert environment.code.packages["numpy"] == np.__version__
    assert set(environment.code.packages) <= set(PACKAGES)
    assert environment.code.interpreter.startswith("CPython 3.")
    assert missing_lineage(make_manifest(code=environment.code)) == []


def test_changes_are_kept_and_named_by_their_digest(project):
    (project / "model.py").write_text("leaves = 63\nrate = 0.1\n")
    environment = capture(project)
    assert b"-leaves = 31\n+leaves = 63\n" in environment.diff
    assert environment.code.dirty == sha256(environment.diff)
    assert environment.code.lock is None


def test_staged_changes_count_as_changes(project):
    (project / "model.py").write_text("leaves = 63\n")
    before = capture(project)
    git(project, "add", "model.py")
    assert capture(project) == before


def test_untracked_files_are_named_with_their_digest_and_ignored_ones_are_not(project):
    (project / "data").mkdir()
    (project / "data" / "big.bin").write_bytes(b"x" * 1_000)
    assert capture(project).diff is None
    (project / "new.py").write_text("secret = 1\n")
    (project / "odd\nname.py").write_text("")
    (project / "link").symlink_to("/etc/passwd")
    lines = capture(project).diff.decode().splitlines()
    assert lines == [
        f"untracked link {hashlib.sha256(b'/etc/passwd').hexdigest()} link",
        f"untracked file {sha256(b'secret = 1' + bytes([10]))} new.py",
        f"untracked file {sha256(b'')} odd\\nname.py",
    ]


def test_a_content_that_changes_changes_the_digest(project):
    found = set()
    for text in ("a", "b"):
        (project / "new.py").write_text(text)
        found.add(capture(project).code.dirty)
    (project / "new.py").rename(project / "newer.py")
    found.add(capture(project).code.dirty)
    assert len(found) == 3


def test_the_place_and_the_time_do_not_matter(project, tmp_path):
    (project / "model.py").write_text("leaves = 63\n")
    (project / "new.py").write_text("x = 1\n")
    elsewhere = tmp_path / "a" / "b"
    shutil.copytree(project, elsewhere, symlinks=True)
    os.utime(elsewhere / "model.py", (1, 1))
    environment = capture(project, project / "uv.lock")
    assert capture(elsewhere, elsewhere / "uv.lock") == environment
    text = canonical_json(environment.code.packages) + environment.diff + environment.code.interpreter.encode()
    assert str(tmp_path).encode() not in text


def test_the_settings_of_the_user_do_not_matter(project, monkeypatch):
    (project / "model.py").write_text("leaves = 63\nrate = 0.1\n")
    expected = capture(project)
    settings = (
        ("diff.noprefix", "true"), ("diff.context", "0"), ("color.ui", "always"), ("diff.external", "false"),
        ("diff.algorithm", "patience"), ("core.abbrev", "4"), ("diff.relative", "true"),
        ("diff.mnemonicPrefix", "true"),
    )  # fmt: skip
    for name, value in settings:
        git(project, "config", name, value)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert capture(project) == expected


def test_a_project_in_a_folder_of_a_repository_covers_all_of_it(project):
    inner = project / "inner"
    inner.mkdir()
    (inner / "a.py").write_text("")
    (project / "b.py").write_text("")
    environment = capture(inner)
    assert environment == capture(project)
    assert [line.split()[-1] for line in environment.diff.decode().splitlines()] == ["b.py", "inner/a.py"]


def test_binary_and_deleted_files(project):
    (project / "table.bin").write_bytes(bytes(range(256)))
    git(project, "add", "table.bin")
    git(project, "commit", "-m", "table")
    found = set()
    for change in (b"\0\1", b"\0\2", None):
        if change is None:
            (project / "table.bin").unlink()
        else:
            (project / "table.bin").write_bytes(change)
        found.add(capture(project).code.dirty)
    assert len(found - {None}) == 3


def test_a_repository_inside_the_repository(project):
    inner = project / "vendored"
    inner.mkdir()
    git(inner, "init")
    (inner / "x").write_text("")
    git(inner, "add", ".")
    git(inner, "commit", "-m", "x")
    assert b"untracked folder" in capture(project).diff


@pytest.mark.parametrize("state", ["no git", "no repository", "no commit"])
def test_without_a_commit_there_is_none(tmp_path, monkeypatch, state):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if state == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif state == "no commit":
        git(tmp_path, "init")
    environment = capture(tmp_path)
    assert (environment.code.commit, environment.code.dirty, environment.diff) == (None, None, None)
    assert missing_lineage(make_manifest(code=environment.code)) == ["code.commit", "code.lock"]


def test_a_lock_file_that_is_not_there(project):
    with pytest.raises(NotFoundError, match=r"no lock file none\.lock.*uv lock"):
        capture(project, project / "none.lock")
