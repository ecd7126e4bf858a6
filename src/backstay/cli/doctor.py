"""The verb `doctor`: is everything as a server needs it?"""

from __future__ import annotations

import typer

from backstay.cli.failures import NO
from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import table
from backstay.core.errors import BackstayError


def doctor(
    ctx: typer.Context, project: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Check a project from its settings to its running server, and say how to mend what is not as it should be.

    Run it before a server starts, and when something is strange. It changes nothing. FAIL is exit code 1; WARN is not.
    """
    with Shell(ctx, project, home, as_json) as shell:
        from backstay.project.doctor import FAIL, WARN, broken

        with shell.working("looking") as progress:
            try:
                findings = shell.project.doctor(progress=progress)
            except BackstayError as error:  # it could not even be opened
                findings = [broken("settings", error)]
        states = [one.state for one in findings]
        answer = {
            "healthy": FAIL not in states,
            "failures": states.count(FAIL),
            "warnings": states.count(WARN),
            "findings": [one.as_dict() for one in findings],
        }
        rows = [(one.check, one.state, one.what, one.fix) for one in findings]
        shell.show(answer, table(("check", "state", "~what", "fix"), rows))
        if FAIL in states:
            raise typer.Exit(NO)
