"""No file names a package registry's host or a path of one machine: the tree must work on any other."""

from __future__ import annotations

import re

import pytest
from tests.house.trees import shown, written

# Written in parts, or this file would break its own rule.
HOSTS = [
    host + end for host, end in (("pypi", ".org"), ("pythonhosted", ".org"), ("npmjs", ".org"), ("anaconda", ".org"))
]
FOLDERS = "home root Users tmp work opt mnt srv private"
HOST = re.compile("|".join(re.escape(host) for host in HOSTS))
PATH = re.compile(r"(?<![\w./~$})*-])/(?:" + FOLDERS.replace(" ", "|") + r")/\w|\b[A-Z]:\\\w")


def _found(pattern: re.Pattern[str]) -> list[str]:
    out = []
    for path in written():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture, not text
        out += [f"{shown(path)}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    return out


def test_no_file_names_a_registry_host() -> None:
    assert not _found(HOST)


def test_no_file_names_a_path_of_one_machine() -> None:
    assert not _found(PATH)


@pytest.mark.parametrize("text", ["/" + "home/me/x", 'open("/' + 'tmp/x")', "file:///" + "opt/x", "C:" + "\\Users\\me"])
def test_a_path_of_one_machine_is_recognised(text: str) -> None:
    assert PATH.search(text.replace("file://", "file: "))


@pytest.mark.parametrize("text", ["src/home/x", "/v2/models/x", "../shared/tmp/x", "{root}/tmp/x", "#!/usr/bin/env"])
def test_other_paths_are_not(text: str) -> None:
    assert not PATH.search(text)
