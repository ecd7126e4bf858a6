"""Errors as people and programs read them, and the exit codes. Every error ends here."""

from __future__ import annotations

import json
import sys

from backstay.core.errors import BackstayError, ConflictError, IntegrityError

FINE, NO, BAD, CONFLICT, BUG, INTERRUPTED, PIPE = 0, 1, 2, 3, 70, 130, 141

CODES = (
    (FINE, "done, or the answer is yes"),
    (NO, "the answer is no: a gate says FAIL or INSUFFICIENT, parity does not hold"),
    (BAD, "bad input, or what was named does not exist; nothing was changed"),
    (CONFLICT, "a conflict (somebody moved first), or stored content is not what was recorded"),
    (BUG, "a defect of Backstay or of the project's own code; the trace is printed"),
    (INTERRUPTED, "interrupted"),
)
"""What each exit code says; the help prints it."""


class ReaderGone(Exception):  # noqa: N818  not an error: whoever read our output has seen enough
    """Standard output was closed by its reader."""


def code_of(error: BackstayError) -> int:
    """The exit code of an error."""
    if isinstance(error, ConflictError | IntegrityError):
        return CONFLICT
    return NO if type(error).__name__ == "GateRefused" else BAD


def report(what: str, *, where: str = "", expected: str = "", fix: str = "", as_json: bool) -> None:
    """One error: a JSON object on standard output, or lines for people on standard error."""
    if as_json:
        told = {"error": what, "where": where, "expected": expected, "fix": fix}
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
