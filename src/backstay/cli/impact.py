"""The verb `impact`: what rests on events that were wrong?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table, when

if TYPE_CHECKING:
    from backstay.lifecycle.impact import Impact


def impact(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE[.COLUMN]", help="The source, or one of its columns.", show_default=False)
    ],
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="The first event time that was wrong.", show_default=False)
    ],
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="The event time from which it was right.", show_default=False)
    ],
    known: Annotated[
        bool, typer.Option("--known", help="The times are those at which the events became known.", show_default=False)
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", show_default=False, help="Write the ids of these predictions there, one a line."
        ),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what rests on events that were wrong: features, versions trained with them, predictions that used them.

    A prediction used an event if it lay in the window of one of its features, or was the last one that a value is of,
    at its T and with what its server had read. Use it when a source turns out to have been wrong for a while.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking at what was served"):
            found = shell.project.archive.impact(source, since=since, until=until, by_known_time=known)
            if out is not None:
                out.write_text("".join(f"{one}\n" for used in found.used for one in used.ids), encoding="ascii")
        _show(shell, found)
        if out is not None:
            shell.note(f"{count(sum(one.used for one in found.used))} ids are in {out}")
        if first := next((one.ids[0] for one in found.used if one.ids), None):
            shell.next("trace", first)


def _trained(found: Impact) -> list[str]:
    """Each version that was trained with the events, and when it was champion."""
    out = []
    for version, spans in zip(found.versions, found.deployed, strict=True):
        told = [f"{when(begin)} to {'now' if end is None else when(end)}" for begin, end in spans]
        out.append(f"{version.model}/{version.number}, {'champion ' + ', '.join(told) if told else 'never champion'}")
    return out


def _show(shell: Shell, found: Impact) -> None:
    facts = {
        "events": f"{count(found.events)} of {found.source}, {when(found.since)} to {when(found.until)}",
        "trained with them": "; ".join(_trained(found)) or "no version",
    }
    rows = [
        (
            one.model, len(one.features), count(one.checked), count(one.used),
            ", ".join(f"v{number}: {many:,}" for number, many in sorted(one.numbers.items())),
            None if one.first is None else when(one.first), None if one.last is None else when(one.last),
        )
        for one in found.used
    ]  # fmt: skip
    columns = ("model", ">features", ">looked at", ">used them", "by version", "first T", "last T")
    shell.show(found.as_dict(), block(facts), table(columns, rows, empty="no model reads it"))
    if unknown := sum(one.unknown for one in found.used):
        shell.note(
            f"{count(unknown)} could not be looked at: they brought their own inputs, were answered by policy, or were"
            " served from another definition"
        )
