"""The verbs `retire` and `collect`: what is kept, and what may go."""

from __future__ import annotations

from typing import Annotated

import typer

from backstay.cli import plain
from backstay.cli.approvals import WhyOption
from backstay.cli.options import HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, when


def retire(
    ctx: typer.Context,
    number: NumberArgument,
    why: WhyOption,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a version's files go. Its entry, its manifest and the evidence about it stay.

    It is refused while anything needs them: an alias, a route, a rollback, or predictions that it made. The next
    `collect` removes the files.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking at what needs it"):
            entry = shell.project.archive.retire(number, model, why=why)
        facts = {"retired": entry.subject, "by": entry.actor, "at": when(entry.at), "why": entry.body["why"]}
        shell.show(plain.entry(entry), block(facts))
        shell.next("collect", "--dry-run")


def collect(
    ctx: typer.Context,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    older: Annotated[
        str, typer.Option("--older", metavar="DURATION", help="Only files that were stored longer ago than this.")
    ] = "1d",
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove files that nothing names any more: those of retired versions, and what an interrupted verb left.

    What an entry of the ledger names is never removed, nor a file of a version that is not retired.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking at what is named"):
            found = shell.project.archive.collect(older=older, dry=dry)
        facts = {
            "would be removed" if dry else "removed": f"{count(len(found.digests))} files, {found.bytes / 1e6:,.1f} MB",
            "kept": f"{count(found.kept)} files",
        }
        shell.show(found.as_dict(), block(facts))
        if dry and found.digests:
            shell.next("collect")
