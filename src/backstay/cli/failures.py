"""Errors as people and programs read them, and the exit codes. Every error ends here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from backstay.core.errors import BackstayError, ConflictError, IntegrityError, RefusedError

FINE, NO, BAD, CONFLICT, UNSURE, BUG, INTERRUPTED, PIPE = 0, 1, 2, 3, 4, 70, 130, 141

CODES = (
    (FINE, "fine"),
    (NO, "the answer is no (a gate's FAIL or INSUFFICIENT, an approval that is missing, parity that does not hold)"),
    (BAD, "bad input, not found, or not allowed"),
    (CONFLICT, "a conflict, or stored content that is not what was recorded"),
    (UNSURE, "check: INSUFFICIENT, so that CI can tell it from FAIL"),
    (BUG, "a defect, with its trace"),
    (INTERRUPTED, "interrupted"),
)
"""What each exit code says; the help prints it."""


class ReaderGone(Exception):  # noqa: N818  not an error: whoever read our output has seen enough
    """Standard output was closed by its reader."""


class AnswerLost(Exception):  # noqa: N818  the command is done, and its answer is not read
    """Standard output takes no more, and not for want of a reader: its disk is full."""


@contextmanager
def answering() -> Iterator[None]:
    """For what is written to standard output, to its last byte."""
    try:
        yield
        sys.stdout.flush()
    except (ReaderGone, BrokenPipeError):
        raise ReaderGone from None
    except OSError as error:
        raise AnswerLost(error.strerror) from None


def code_of(error: BackstayError) -> int:
    """The exit code of an error."""
    if isinstance(error, ConflictError | IntegrityError):
        return CONFLICT
    return NO if isinstance(error, RefusedError) else BAD


def report(what: str, *, where: str = "", expected: str = "", fix: str = "", as_json: bool) -> None:
    """One error: a JSON object on standard output, or lines for people on standard error."""
    if as_json:
        told = {"error": what, "where": where, "expected": expected, "fix": fix}
        with answering():
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("error: ", "bold red"), what))
    for name, text in (("at", where), ("expected", expected), ("fix", fix)):
        if text:
            console.print(Text.assemble((f"  {name}: ", "bold"), text))


def report_error(error: BackstayError, *, as_json: bool) -> int:
    """Report one of Backstay's errors, and return its exit code."""
    report(error.what, where=error.where, expected=error.expected, fix=error.fix, as_json=as_json)
    return code_of(error)
