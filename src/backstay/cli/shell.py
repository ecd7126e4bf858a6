"""What every verb works with: the project it is about, and how its answer, its progress and its notes are shown."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console, RenderableType

from backstay.cli.failures import ReaderGone, answering
from backstay.core.errors import InputError
from backstay.core.settings import FILE

if TYPE_CHECKING:
    from backstay.project import Project

_WIDTH_OF_A_FILE = 160
"""Columns of a table that is not written to a terminal, where COLUMNS does not say."""


class _Console(Console):
    """A console that leaves a broken pipe to `main`."""

    def on_broken_pipe(self) -> None:
        raise ReaderGone


class Shell:
    """One run of one verb. A context, at whose end the project is closed.

    with Shell(context, project, home, as_json) as shell:
        with shell.working("training"):
            version = shell.project.train()
        shell.show({"number": version.number}, "a table")
        shell.next("judge", version.number)
    """

    def __init__(self, context: typer.Context, project: Path | None, home: Path | None, as_json: bool) -> None:
        given = context.find_root().params  # the same options may stand before the verb; those after it win
        self._path: Path | None = project or given.get("project")
        self._home: Path | None = home or given.get("home")
        self.as_json = bool(as_json or given.get("as_json"))
        self._notes = _Console(stderr=True, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "project" in self.__dict__:
            self.project.close()

    @cached_property
    def project(self) -> Project:
        from backstay.project import Project

        return Project(self._path or _nearest(Path.cwd()), home=self._home)

    def show(self, answer: Mapping[str, Any], *parts: RenderableType | None) -> None:
        """The verb's answer: `answer` as JSON, or `parts` one below the other for people."""
        if self.as_json:
            indent = 2 if sys.stdout.isatty() else None
            self.write(json.dumps(_plain(answer), ensure_ascii=False, allow_nan=False, indent=indent) + "\n")
            return
        console = _Console(highlight=False, emoji=False, markup=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = _WIDTH_OF_A_FILE
        with answering():
            for part in parts:
                if part is not None:
                    wide = max(console.width, console.measure(part).minimum)
                    console.print(part, width=wide, crop=False)

    def write(self, text: str) -> None:
        """A text as it is, on standard output: nothing is wrapped or coloured."""
        with answering():
            sys.stdout.write(text)

    def save(self, path: Path, text: str) -> None:
        """Write a text to a file that somebody named."""
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"it cannot be written: {error.strerror}", where=str(path), fix="name a file in a folder there is"
            ) from None

    def note(self, text: str) -> None:
        """A remark for the person, on standard error; programs that asked for JSON need none."""
        if not self.as_json:
            self._notes.print(text, markup=False, soft_wrap=True)

    def told(self, model: str | None) -> str | None:
        """A model as the command that comes next has to name it: not at all, where the project has no other."""
        return model if len(self.project.definitions.models) > 1 else None

    def next(self, *words: object, **options: object) -> None:
        """Print the command that comes next, complete, so that it can be copied. By default of this project."""
        line = ["backstay", *(str(word) for word in words)]
        options |= {name: one for name, one in (("project", self._path), ("home", self._home)) if name not in options}
        for name, value in options.items():
            if value is not None:
                line += [f"--{name.replace('_', '-')}", str(value)]
        self.note(f"next: {shlex.join(line)}")

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[Callable[[str, int, int], None]]:
        """Show that something is going on, and for how long, if anybody can see it.

        What is yielded is a progress callback. What the project's own code prints meanwhile goes to standard error.
        """
        with contextlib.redirect_stdout(sys.stderr):
            if not self._notes.is_terminal:
                yield lambda *_: None
                return
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self._notes, transient=True) as progress:
                task = progress.add_task(what, total=None)

                def advance(step: str, done: int, total: int) -> None:
                    progress.update(task, description=step, completed=done, total=total)

                yield advance


def _nearest(folder: Path) -> Path:
    """The nearest folder, from this one upwards, that is a project; this one if none is, and the error names it."""
    return next((one for one in (folder, *folder.parents) if (one / FILE).is_file()), folder)


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers it has no form for (NaN, infinite) as text."""
    match value:
        case float() if not math.isfinite(value):
            return repr(value)
        case Mapping():
            return {str(name): _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
