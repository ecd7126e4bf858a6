"""Verbs about experiments: `runs` finds what was tried, `compare` holds it beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.sparks import sparks
from backstay.cli.tables import block, count, minute, real, table, when
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from backstay.registry.experiments import Comparison, Runs
    from backstay.storage.runs import RunRecord

_SHOWN = 8
"""Digits of an id: enough to name it."""
_DIGEST, _CUT = 64, 12
_KINDS = ("parameters", "metrics", "tags")
_MOST = 3
"""Columns of metrics, and of parameters, that are shown unasked."""

_HEAD = ("run", "what", "status", "begun", ">seconds")


RunArgument = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="The beginning of one run's id: show it whole.", show_default=False),
]
WhereOption = Annotated[
    str,
    typer.Option(
        "--where", "-w", metavar="EXPR", help='As after WHERE in SQL: "auc > 0.7 and depth = 6".', show_default=False
    ),
]
SortOption = Annotated[
    str,
    typer.Option(
        "--sort",
        metavar="EXPR",
        help='In this order, e.g. "auc desc"; by default the newest first.',
        show_default=False,
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAMES", help="What to show of each: auc,depth,tags.stage.", show_default=False),
]


def runs(
    ctx: typer.Context,
    run: RunArgument = None,
    where: WhereOption = "",
    sort: SortOption = "",
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many.")] = 20,
    columns: ColumnsOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs: what was tried, with which parameters, and what came of it. Each `train` is one.

    Use --where to find some of them by name, status, actor, begun, seconds, version, error, and by every parameter,
    metric and tag; where a name is not plain, say parameters.x, metrics.x or tags.x.
    """
    with Shell(ctx, project, home, as_json) as shell:
        if run is not None:
            _whole(shell, run)
            return
        with shell.working("reading the runs"):
            found = shell.project.runs.search(where, order=sort, limit=limit)
            chosen = [] if not found else _chosen(found) if columns is None else _names(columns)
            values = {name: _under(name, found) for name in chosen}
        heads = [f">{name}" if _numbers(values[name]) else name for name in chosen]
        rows = [
            (*_head(one), *(_value(column[place]) for column in values.values())) for place, one in enumerate(found)
        ]
        empty = "no run is like that" if where else "nothing was tried yet"
        shell.show({"runs": [one.as_dict() for one in found]}, table((*_HEAD, *heads), rows, empty=empty))
        if len(found) > 1:
            shell.next("compare", *(one.id[:_SHOWN] for one in found[:2]))
        elif found:
            shell.next("runs", found[0].id[:_SHOWN])


def _names(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",") if name.strip()]


def _chosen(found: Sequence[RunRecord]) -> list[str]:
    """The metrics that most of them have, and parameters in which they differ: plain ones first."""
    metrics = {name: sum(name in one.metrics for one in found) for run in found for name in run.metrics}
    parameters = {name: sum(name in one.parameters for one in found) for run in found for name in run.parameters}
    differ = [name for name in parameters if len({repr(one.parameters.get(name)) for one in found}) > 1]
    first = sorted(metrics, key=lambda name: (-metrics[name], name))[:_MOST]
    then = sorted(differ, key=lambda name: ("." in name, -parameters[name], name))[:_MOST]
    return [f"metrics.{name}" for name in first] + [f"parameters.{name}" for name in then]


def _under(name: str, found: Sequence[RunRecord]) -> list[Any]:
    """What each has under a name, or under `parameters.name` and the like."""
    told = [{**one.parameters, **one.metrics, **one.tags, **one.as_dict()} for one in found]
    kind, _, rest = name.partition(".")
    values = [one[kind].get(rest) if kind in _KINDS and rest in one[kind] else one.get(name) for one in told]
    if found and all(one is None for one in values):
        raise InputError(f"no run that is listed has {name!r}", where="--columns", fix="see: backstay runs RUN")
    return values


def _numbers(values: Sequence[Any]) -> bool:
    return all(one is None or (isinstance(one, int | float) and not isinstance(one, bool)) for one in values)


def _head(run: RunRecord) -> tuple[object, ...]:
    return (run.id[:_SHOWN], run.name, run.status, minute(when(run.begun)), _seconds(run))


def _seconds(run: RunRecord) -> str | None:
    return None if run.seconds is None else f"{run.seconds:.1f}"


def _value(value: Any) -> object:
    """A value as a person reads it: a digest by its beginning, a number with as many digits as are read."""
    if isinstance(value, str) and len(value) == _DIGEST and not value.strip("0123456789abcdef"):
        return value[:_CUT]
    return real(value)


def _whole(shell: Shell, name: str) -> None:
    with shell.working("reading the run"):
        run = shell.project.runs.get(name)
        curves = _curves(shell.project.runs, run)
    facts = {
        "what": run.name,
        "status": run.status,
        "error": run.error or None,
        "begun": when(run.begun),
        "seconds": _seconds(run),
        "by": run.actor,
        "version": run.version,
        "notes": "\n".join(run.notes) or None,
    }
    told = {name: value for name, value in facts.items() if value is not None}
    parts: list[RenderableType] = [block(told, title=f"run {run.id}")]
    if curves:
        rows = [(name, real(run.metrics.get(name)), count(len(one)), sparks([one])[0]) for name, one in curves.items()]
        parts += ["", table(("metric", ">last", ">logged", "over steps"), rows)]
    for title, values in (("parameters", run.parameters), ("tags", run.tags), ("files", run.artifacts)):
        if values:
            parts += ["", block({name: real(value) for name, value in sorted(values.items())}, title=title)]
    shell.show({"run": run.as_dict(), "curves": curves}, *parts)


def _curves(runs: Runs, run: RunRecord) -> dict[str, list[tuple[int, float]]]:
    """What it measured, each over steps."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for name, step, value, _ in runs.metrics(run.id).iter_rows():
        curves.setdefault(name, []).append((step, value))
    return {name: sorted(one, key=lambda point: point[0]) for name, one in sorted(curves.items())}


def compare(
    ctx: typer.Context,
    run: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="The beginnings of two ids or more.", show_default=False)
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write it as one HTML page, with plots.", show_default=False),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: the parameters that differ, what was measured last, and metrics over steps.

    Run it after `runs`, which lists their ids. With --html it is a page to send around: one file, no scripts.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the runs"):
            found = shell.project.runs.compare(run)
        if html is not None:
            _write(html, found)
        shell.show({**found.as_dict(), "page": None if html is None else str(html)}, *_compared(found))
        if html is None:
            shell.next("compare", *run, html="compare.html")
        else:
            shell.note(f"written: {html}")


def _write(path: Path, found: Comparison) -> None:
    from backstay.project.comparison_page import render

    try:
        path.write_text(render(found), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the page cannot be written: {error.strerror}", where=str(path), fix="name a file in a folder there is"
        ) from None


def _compared(found: Comparison) -> list[RenderableType]:
    ids = [one.id[:_SHOWN] for one in found.runs]
    differ = [(name, *map(_value, values)) for name, values in found.parameters.items()]
    metrics = [(name, *map(real, values), *_difference(values)) for name, values in found.metrics.items()]
    last = (">difference",) if len(ids) == 2 else ()
    parts: list[RenderableType] = [
        table(_HEAD, map(_head, found.runs)),
        "",
        table(("parameter", *ids), differ, empty="no parameter differs"),
        f"the same in all: {count(len(found.same))} more" if found.same else "",
        "",
        table(("metric", *(f">{one}" for one in ids), *last), metrics, empty="no metric was logged"),
    ]
    lines = [
        (name, ids[place], real(curve[0][1]) if curve else None, line)
        for name, curves in found.curves.items()
        for place, (curve, line) in enumerate(zip(curves, sparks(curves), strict=True))
    ]
    if lines:
        parts += ["", table(("over steps", "run", ">first", "curve"), lines)]
    return parts


def _difference(values: Sequence[float | None]) -> tuple[str | None, ...]:
    """The second less the first, where there are two."""
    if len(values) != 2:
        return ()
    first, second = values
    return (None if first is None or second is None else f"{second - first:+.6g}",)
