"""The verbs `check` and `override`: all gates about a candidate, for CI, and who answers for one that said no."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from backstay.cli.failures import FINE, NO, UNSURE
from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.rollouts import onward
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, interval, table, when
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from backstay.lifecycle.judge import Judgement
    from backstay.lifecycle.overrides import Override
    from backstay.registry.versions import ModelVersion

_CODES = {"PASS": FINE, "FAIL": NO, "INSUFFICIENT": UNSURE}

CandidateArgument = Annotated[
    str, typer.Argument(metavar="CANDIDATE", help="The version's number, or: latest.", show_default=False)
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option(
        "--markdown", metavar="FILE", help="Write a summary for a pull request; - is standard output.",
        show_default=False,
    ),
]  # fmt: skip
JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write JUnit XML: a test case for each check.", show_default=False),
]
TestsOption = Annotated[
    Path | None,
    typer.Option(
        "--tests", metavar="FILE", help="Write down this run of the feature tests first (pytest --junitxml=FILE).",
        show_default=False,
    ),
]  # fmt: skip


AgainOption = Annotated[
    bool, typer.Option("--reproduce", metavar="", help="Make the version again first, and write down what came of it.")
]


def check(
    ctx: typer.Context,
    candidate: CandidateArgument,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    markdown: MarkdownOption = None,
    junit: JunitOption = None,
    tests: TestsOption = None,
    again: AgainOption = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask all gates about a candidate, as CI does: 0 is PASS, 1 is FAIL, 4 is INSUFFICIENT.

    What is asked is the model's GatePolicy. The answer is recorded, bound to the version's manifest, and expires. In
    the JUnit file FAIL is a failure, INSUFFICIENT an error, and a check that is overridden is skipped.
    """
    with Shell(ctx, project, home, as_json) as shell:
        out = markdown is not None and str(markdown) == "-"
        if out and shell.as_json:
            raise InputError("standard output takes one of --json and --markdown -", where="--markdown",
                             fix="name a file")  # fmt: skip
        from backstay.lifecycle.check_report import as_json as told
        from backstay.lifecycle.check_report import junit as xml
        from backstay.lifecycle.check_report import markdown as text
        from backstay.project import Gates

        with shell.working(f"checking {candidate}"):
            judgement = Gates(shell.project).check(candidate, model, as_of=as_of, tests=tests, again=again)
        version = shell.project.records.registry.get(judgement.model, judgement.number)
        code = _CODES[judgement.decision.verdict.value]
        if junit is not None:
            shell.save(junit, xml(judgement, version))
        if markdown is not None and not out:
            shell.save(markdown, text(judgement, version))
        if out:
            shell.write(text(judgement, version))
        else:
            shell.show(told(judgement, version, code), *_shown(judgement, version))
        _after(shell, judgement, model, as_of)
        raise typer.Exit(code)


def _shown(one: Judgement, version: ModelVersion) -> list[RenderableType]:
    against = "the base rate" if one.against is None else f"champion {one.against}"
    facts = {
        "answer": one.decision.verdict.value,
        "digest": version.digest[:12],
        "against": f"{against}, a refresh of it" if one.refresh else against,
        "on": f"{count(one.rows)} rows asked from {when(one.start)} to {when(one.end)}",
        "gain": interval(one.interval(), signed=True),
        "margin": f"{one.margin:g} of {one.metric}",
        "holds until": when(one.expires),
        "reused": one.reuse.warning or None,
    }
    rows = [
        (one.name, f"{one.verdict.value}, overridden" if one.override else one.verdict.value, one.said)
        for one in one.decision.checks
    ]
    shown = {name: value for name, value in facts.items() if value is not None}
    return [block(shown, title=f"version {one.number} of {one.model}"), "", table(("check", "answer", "reason"), rows)]


def _after(shell: Shell, one: Judgement, model: str | None, as_of: str | None) -> None:
    if one.decision.verdict == "PASS":
        onward(shell, one.number, model, as_of)
    elif one.decision.verdict == "INSUFFICIENT":
        shell.note("the evidence does not suffice, see the reasons: check it again when there is more")
    else:
        shell.next("versions", model=model)


def override(
    ctx: typer.Context,
    number: NumberArgument,
    check: Annotated[str, typer.Option("--check", metavar="NAME", help="Which check.", show_default=False)],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; it is kept.", show_default=False)],
    model: ModelOption = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="For how long, such as 7d.", show_default=False)
    ] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", metavar="", help="Take the override back.")] = False,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let one check of a version's last judgement not count, and say why. The version's author cannot.

    The check goes on saying what it says, and the override is shown beside it wherever it goes. It holds for this
    version against this champion, and for what the check said: an INSUFFICIENT that is overridden excuses no FAIL.
    """
    with Shell(ctx, project, home, as_json) as shell:
        from backstay.project import Gates

        with shell.working("writing it down"):
            made = Gates(shell.project).override(
                number, check, model, why=why, expires=expires, withdraw=withdraw, as_of=as_of
            )
        shell.show(made.as_dict(), block(_told(made)))
        shell.next("check", number, model=model, as_of=as_of)


def _until(made: Override) -> str | None:
    return "another champion, or another version" if made.until is None else when(made.until)


def _told(made: Override) -> dict[str, str | None]:
    return {
        "version": f"{made.number} of {made.model}",
        "check": f"{made.check}, which says {made.verdict}",
        "decision": "taken back" if made.withdrawn else "overridden",
        "by": made.by,
        "at": when(made.at),
        "why": made.why,
        "against": "no champion" if made.against is None else f"champion {made.against}",
        "until": None if made.withdrawn else _until(made),
    }
