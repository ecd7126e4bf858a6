"""The verb `quarantine`: what was refused of the sources, and why."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import count, minute, table


def quarantine(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="One source; by default all of them.", show_default=False)
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=0, help="How many rows to show of each reason.")
    ] = 1,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the events that broke their source's contract: how many, why, and as they came.

    Use it when `backstay ingest` or a push says that rows went to quarantine; they are in no feature.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking"):
            found = shell.project.quarantine(source, examples=examples)
        rows = [(one.source, one.expectation, count(one.events), minute(one.until), one.reason) for one in found]
        columns = ("source", "expectation", ">events", "last at", "reason")
        listed = table(columns, rows, empty="nothing is in quarantine")
        shown = [
            (one.source, one.expectation, row["origin"], json.dumps(row["row"], ensure_ascii=False))
            for one in found
            for row in one.examples
        ]
        seen = table(("source", "expectation", "by", "event as it came"), shown, title="\nexamples") if shown else None
        shell.show({"quarantine": [one.as_dict() for one in found]}, listed, seen)
