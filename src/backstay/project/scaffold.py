"""A new project's files, and the CI of one that is there already. Nothing that exists is overwritten."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import InputError
from backstay.core.settings import FILE
from backstay.core.show import Shown

_TEMPLATES = Path(__file__).parent / "templates"
_PROJECT = {
    FILE: "backstay.toml", "models.py": "models.py", "tests/test_features.py": "test_features.py",
    "requirements.txt": "requirements.txt", ".gitignore": "gitignore",
}  # fmt: skip
CI = {"github": ".github/workflows/backstay.yml", "gitlab": ".gitlab-ci.yml"}
"""By name of a CI system, where its file lies under the root of the repository."""


@dataclass(frozen=True, slots=True)
class Scaffolded(Shown):
    """The folder of the project, and the files that were written, each by its path."""

    folder: str
    written: tuple[str, ...]
    made: bool
    """the project is new; else only CI was added to one that was there"""


def scaffold(folder: Path, ci: str | None = None) -> Scaffolded:
    """Write a small project that runs into a folder, and the CI of `ci` ("github" or "gitlab"), if it is asked for.

    In a folder that is a project already only the CI is written. `InputError` if a file is there, and nothing is
    written then.
    """
    if ci is not None and ci not in CI:
        raise InputError(f"there is no CI {ci!r}", where="--ci", expected=" or ".join(CI))
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise InputError("it is a file", where=str(folder), expected="a folder, or one to make")
    there = (folder / FILE).exists()
    if there and ci is None:
        raise InputError(
            "there is a project already", where=str(folder / FILE), expected="a folder without one",
            fix="backstay init --ci github adds CI to it",
        )  # fmt: skip
    files: dict[Path, str] = {}
    if not there:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.name).strip("-.") or "project"
        files = {folder / path: _text(one).replace("@NAME@", name) for path, one in _PROJECT.items()}
    if ci is not None:
        root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)
        inside = folder.relative_to(root).as_posix()
        text = _text(f"{ci}.yml").replace("@FOLDER@", inside)
        files[root / CI[ci]] = text.replace("@PREFIX@", "" if inside == "." else f"{inside}/")
    if taken := [str(path) for path in files if path.exists()]:
        raise InputError(
            f"{', '.join(taken)}: {'it exists' if len(taken) == 1 else 'they exist'}", where=str(folder),
            expected="files that are not there yet", fix="move what is there away, or name another folder",
        )  # fmt: skip
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror}", where=str(error.filename or folder)) from None
    return Scaffolded(str(folder), tuple(map(str, files)), not there)


def _text(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")
