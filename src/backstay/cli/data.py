"""Verbs that feed a project: `ingest`, and `features backfill`."""

from __future__ import annotations

from typing import Annotated

import typer

from backstay.cli import plain
from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import count, day_after, minute, table


def ingest(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="One source; by default all of them.", show_default=False)
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the sources' histories into the events record.

    Run it first, and again whenever there is more history: only what is new is added, nothing is ever changed. Rows
    that break their source's contract go to quarantine.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("ingest") as progress:
            done = shell.project.ingest(source, progress=progress)
        answer = [plain.ingested(one) for one in done]
        rows = [(one.source, count(one.added), count(one.quarantined), count(one.events), minute(known["known_until"]))
                for one, known in zip(done, answer, strict=True)]  # fmt: skip
        columns = ("source", ">added", ">quarantined", ">events", "known until")
        shell.show({"sources": answer}, table(columns, rows, empty="no source says how its history is read (read=...)"))
        for one in done:
            for reason, number in one.reasons.items():
                shell.note(f"{one.source}: {number:,} to quarantine: {reason}")
            for alarm in one.alarms:
                shell.note(f"{one.source}: {alarm}")
        if any(one.quarantined for one in done):
            shell.next("quarantine")
        until = day_after(one["known_until"] for one in answer)
        for name in (models := shell.project.definitions.models):
            shell.next("train", model=shell.told(name), as_of=until, holdout="14d")
        if not models:
            shell.next("features", "backfill")


def features_backfill(
    ctx: typer.Context,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Up to what was known at T (default: all).", show_default=False),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the online state, which serving reads, up to the events record.

    Run it before a replay or to warm a new home; `backstay serve` does it by itself when it starts.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("backfill") as progress:
            applied = shell.project.backfill(until=until, progress=progress)
        rows = [(name, count(number)) for name, number in applied.items()]
        shell.show({"applied": applied, "until": until}, table(("source", ">events applied"), rows))
        shell.next("serve")
