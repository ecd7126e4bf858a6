"""The code that runs: commit, uncommitted changes, lock file, interpreter, packages.

A commit alone does not say what ran: most training happens from a working tree with changes. So the changes are kept
too: the diff of tracked files against the commit, and name and digest of each file that git neither tracks nor ignores.
Its digest goes into the manifest and its text is stored with the version.

The result depends on content only, not on the directory's place, the user's git settings or the time:

    ok      the same tree, cloned elsewhere, has the same environment
    not ok  an output folder inside the repository that git does not ignore: each run then differs from the last
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from backstay.core.errors import NotFoundError
from backstay.core.identity import sha256
from backstay.registry.manifest import Code

PACKAGES = (
    "backstay", "lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "polars", "scikit-learn", "skl2onnx",
)  # fmt: skip
"""Packages whose version can change a model or its scores. The lock file covers the rest."""

# Whatever the user's settings say about diffs, these are the ones meant.
_DIFF = (
    "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--no-relative", "--binary",
    "--full-index", "--unified=3", "--inter-hunk-context=0", "--diff-algorithm=myers", "--indent-heuristic",
    "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none", "-O/dev/null",
)  # fmt: skip
_REDIRECTS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS")


@dataclass(frozen=True, slots=True)
class Environment:
    """`code` for the manifest; `diff` is the text whose digest is `code.dirty` (None: nothing uncommitted)."""

    code: Code
    diff: bytes | None


def capture(project_dir: str | Path, lock_file: str | Path | None = None) -> Environment:
    """The environment of a project. Outside git, and before the first commit, `commit` and `dirty` are None."""
    commit, diff = _working_tree(Path(project_dir))
    lock = None
    if lock_file is not None:
        try:
            lock = sha256(Path(lock_file).read_bytes())
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no lock file {Path(lock_file).name}", where=str(lock_file), fix='write it with "uv lock"'
            ) from None
    code = Code(
        commit=commit,
        dirty=None if diff is None else sha256(diff),
        lock=lock,
        interpreter=_interpreter(),
        packages=packages(),
    )
    return Environment(code, diff)


def _interpreter() -> str:
    version = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{version} ({sys.platform} {platform.machine()})"


def packages(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The versions of these packages, of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _working_tree(directory: Path) -> tuple[str | None, bytes | None]:
    """The commit, and the text of what is not in it; (None, None) where git knows no commit."""
    top = _git(directory, "rev-parse", "--show-toplevel")
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    if top is None or commit is None:
        return None, None
    root = Path(os.fsdecode(top.rstrip(b"\n")))
    changes = _git(root, *_DIFF)
    names = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    if changes is None or names is None:
        return None, None
    untracked = [_untracked(root, name) for name in sorted(names.split(b"\0")) if name]
    return commit.decode().strip(), changes + b"".join(untracked) or None


def _untracked(root: Path, name: bytes) -> bytes:
    """One line: what the file holds and its name, with line breaks and the like escaped."""
    path = root / os.fsdecode(name)
    if path.is_symlink():
        content = "link " + sha256(os.fsencode(path.readlink()))
    elif path.is_file():
        with path.open("rb") as file:
            content = "file " + hashlib.file_digest(file, "sha256").hexdigest()
    else:  # a repository inside the repository
        content = "folder " + "-" * 64
    return f"untracked {content} ".encode() + os.fsdecode(name).encode("unicode_escape") + b"\n"


def _git(directory: Path, *arguments: str) -> bytes | None:
    """What git answers, or None where it has no answer: no git, no repository, no commit."""
    settings = {name: value for name, value in os.environ.items() if name not in _REDIRECTS}
    settings |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-c", "core.quotepath=true", *arguments]
    try:
        done = subprocess.run(command, cwd=directory, env=settings, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
