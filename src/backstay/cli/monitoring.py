"""The verb `monitor`: how inputs, scores and quality of a model have been, by effect and evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table, when

if TYPE_CHECKING:
    from backstay.monitoring.assess import Found
    from backstay.monitoring.report import Report

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="T", help="Windows from then on; by default the last thirty.", show_default=False),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="T", help="Windows that are over by then.", show_default=False)
]
SHOWN = 12
"""Columns in the terminal, at the most."""
_STYLES = {"DRIFT": "bold red", "OK": "green"}


def monitor(
    ctx: typer.Context,
    model: ModelOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_of: AsOfOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write it as a page, with the heat map of all columns.", show_default=False
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", metavar="", help="Leave out what is computed anew: parity, all columns at once."),
    ] = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what drifts: inputs, scores, data quality and skew of what was served, by effect and evidence.

    It reads closed windows, by default the last thirty, and decides nothing. `tick` looks at each window once, and
    makes signals of what lasts. --as-of shows what was closed, looked at and known of labels then.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("counting what is not counted yet"):
            found = shell.project.monitoring.report(model, since=since, until=until, as_of=as_of, deep=not quick)
        if html is not None:
            from backstay.project.monitoring_page import render

            shell.save(html, render(found))
        told = found.as_dict() | {"html": None if html is None else str(html)}
        shell.show(told, block(_head(found), title=f"model {found.model}"), "", *_parts(found))
        if html is not None:
            shell.note(f"written: {html}")
        if as_of is not None:
            return
        nothing = not found.rows and found.open is not None and not found.open.rows
        shell.next("serve" if nothing else "tick" if not found.signals else "quality", model=None if nothing else model)


def _head(found: Report) -> dict[str, object]:
    answered = ", ".join(f"v{number} {count(rows)}" for number, rows in found.versions.items())
    return {
        "windows": f"{len(found.days)}, from {when(found.since)} to {when(found.until)}",
        "rows": f"{count(found.rows)} ({answered})" if answered else count(found.rows),
        "open": None if found.open is None else found.open.line,
        "about": None if found.version is None else f"version {found.version}, which answered last",
        "all inputs at once": None if found.domain is None else _domain(found.domain.auc),
    }


def _domain(auc: Any) -> str:
    from backstay.evaluation.interval import Insufficient

    if isinstance(auc, Insufficient):
        return f"cannot tell: {auc}"
    return f"AUC {auc.estimate:.3f} [{auc.low:.3f}, {auc.high:.3f}] of telling these rows from training rows"


def _parts(found: Report) -> list[Any]:
    signals = [
        (one.kind.replace("_", " "), one.what, f"{one.effect:.3g}", f"{one.threshold:.3g}", when(one.since))
        for one in found.signals
    ]
    columns = ("signal", "what", ">effect", ">tolerated", "since")
    parts: list[Any] = []
    if signals:
        parts += [table(columns, signals[:SHOWN], title="On, by the last tick"), _more(signals), ""]
    rows = [_row(one) for one in _shown(found)]
    said = "nothing was served in these windows"
    parts.append(table(("what", "", "state", ">effect", "~why"), rows[:SHOWN], title="Over the span", empty=said))
    return [*parts, _more(rows), _quiet(found)]


def _shown(found: Report) -> list[Found]:
    """What stands out first: what drifts, then what cannot be told, then the rest."""
    order = {"DRIFT": 0, "UNDERPOWERED": 1, "NO_DATA": 2, "OK": 3}
    return sorted(found.found, key=lambda one: (order[one.state.value], -(one.effect or 0.0)))


def _row(one: Found) -> tuple[Any, ...]:
    state = Text(one.state.value, style=_STYLES.get(one.state.value, "dim"))
    return one.what, one.kind.replace("_", " "), state, "" if one.effect is None else f"{one.effect:.3f}", one.why


def _more(rows: list[Any]) -> str | None:
    return f"and {len(rows) - SHOWN} more: --json or --html has all" if len(rows) > SHOWN else None


def _quiet(found: Report) -> str | None:
    """How many columns say nothing, in a line."""
    unsure = sum(one.state.value == "UNDERPOWERED" for one in found.found)
    return f"{unsure} could not be told from these rows: a longer --since may" if unsure else None
