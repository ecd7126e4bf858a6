"""The documents say what is so: examples run; verbs, options, links and files exist; every setting is there."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.house.trees import ROOT

from backstay.cli.app import app
from backstay.core.settings import SETTINGS

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
DOCS = [path for path in PAGES if path.parent.name == "docs"]
FLAGS = doctest.ELLIPSIS

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FILE = re.compile(r"`([\w./-]+\.(?:py|toml|md))`")
_COMMAND = re.compile(r"(?:^|`|/)backstay((?: +[^\s`#|]+)*)", re.MULTILINE)
_OPTION = re.compile(r"--[a-z-]+")
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _commands(text: str) -> Iterator[list[str]]:
    """The words after each `backstay` that stands in code, at the beginning of a line or of a quoted command."""
    for code in _CODE.findall(text):
        for words in _COMMAND.findall(code):
            if words:
                yield words.split()


@cache
def _root() -> Any:
    """Every verb there is: made once, since it takes a while and pages name verbs some hundred times."""
    return typer.main.get_command(app)


def _verb(words: list[str]) -> Any:
    """The command that these words name."""
    command = _root()
    for word in words:
        if not hasattr(command, "commands"):
            break
        if word not in command.commands:
            raise KeyError(" ".join(words))
        command = command.commands[word]
    return command


@pytest.mark.parametrize("path", DOCS, ids=_name)
def test_the_examples_of_a_page_run(path: Path) -> None:
    # A fence is no part of an example: without this it would be taken for output.
    text = re.sub(r"^```.*$", "", _text(path), flags=re.MULTILINE)
    page = doctest.DocTestParser().get_doctest(text, {}, _name(path), str(path), 0)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(page, out=told.append)
    assert not told, "".join(told)


def test_there_are_examples() -> None:
    assert any(">>>" in _text(path) for path in DOCS)


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_verb_and_option_exists(path: Path) -> None:
    for words in _commands(_text(path)):
        if words[0].startswith("-") or words[0].isupper():
            continue
        known = {option for one in _verb(words).params for option in one.opts} | {"--help"}
        given = {option for word in words for option in _OPTION.findall(word)}
        assert given <= known, f"backstay {' '.join(words)}: there is no {given - known}"


def test_the_readme_names_every_verb() -> None:
    def verbs(command: Any, before: str = "") -> Iterator[str]:
        for name, one in command.commands.items():
            yield from verbs(one, f"{before}{name} ") if hasattr(one, "commands") else [f"{before}{name}"]

    named = [" ".join(words) + " " for words in _commands(_text(ROOT / "README.md"))]
    assert not [verb for verb in verbs(_root()) if not any(one.startswith(f"{verb} ") for one in named)]


def test_a_verb_that_does_not_exist_is_found() -> None:
    (words,) = _commands("run `backstay fetch --all` first")
    with pytest.raises(KeyError):
        _verb(words)


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    links = [link.partition("#")[0] for link in _LINK.findall(_text(path)) if not link.startswith("http")]
    assert not [link for link in links if link and not (path.parent / link).exists()]


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_files_that_are_named_exist(path: Path) -> None:
    roots = (ROOT, ROOT / "src/backstay", path.parent, ROOT / "examples/flights")
    named = set(_FILE.findall(_text(path)))
    assert not sorted(name for name in named if not any((root / name).exists() for root in roots))


def test_every_setting_is_documented_as_it_is() -> None:
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for setting in SETTINGS:
        default = "" if setting.default is None else str(setting.default)
        default = default.lower() if isinstance(setting.default, bool) else default
        rows.append(f"| `{setting.name}` | {default and f'`{default}`'} | {setting.meaning} |")
    assert "\n".join(rows) in _text(ROOT / "docs/settings.md"), "docs/settings.md should hold:\n" + "\n".join(rows)
