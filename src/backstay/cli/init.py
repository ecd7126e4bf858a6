"""The verb `init`: a small project that runs, and the CI of one that is there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block
from backstay.core.errors import InputError

CiOption = Annotated[
    str | None, typer.Option("--ci", metavar="NAME", help="Also write CI: github or gitlab.", show_default=False)
]


ROUND = (
    "cd {}", "python -m pytest --junitxml=tests.xml", "backstay ingest", "backstay train --holdout 14d",
    "backstay check latest --tests tests.xml", "backstay promote 1", "backstay serve",
)  # fmt: skip
"""What a new project is taken through, as it is typed. The gate asks for a run of the feature tests."""


def init(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Where; by default here.", show_default=False)
    ] = None,
    ci: CiOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a small project that runs as it is; or, in a project, the CI that --ci names. Nothing is overwritten.

    The workflow runs lint, feature tests and contracts, trains a candidate and checks it; after the merge it deploys it
    to staging and shows it real requests as a shadow.
    """
    with Shell(ctx, project, home, as_json) as shell:
        if folder is not None and project is not None:
            raise InputError("a folder and --project are both given", where="init", expected="one of them")
        from backstay.project.scaffold import scaffold

        made = scaffold(folder or project or Path.cwd(), ci)
        shell.show(made.as_dict(), block({"project": made.folder, "written": "\n".join(made.written)}))
        if made.made:
            lines = [line.format(shlex.quote(made.folder)) for line in ROUND]
            shell.note("\n  ".join(["a first round:", *lines]))
