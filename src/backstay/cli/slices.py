"""The verb `slices`: for which rows is a version worse?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table, when
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from backstay.evaluation.slices import Compared, Found
    from backstay.lifecycle.slices import SliceReport


_MOST = 10
"""So many of what was not looked at are named in the terminal; --json has all."""

TriplesOption = Annotated[
    bool, typer.Option("--triples/--pairs", help="Up to how many features a slice may name: three, or two.")
]
LossOption = Annotated[
    str,
    typer.Option(
        "--loss", metavar="NAME", help="What is worse: log_loss, brier, error (of the decision), too_low, too_high."
    ),
]
ClustersOption = Annotated[
    str, typer.Option("--clusters", metavar="NAME", help="What rows lean on each other by: day, or a key.")
]
EffectOption = Annotated[
    float, typer.Option("--effect", metavar="X", min=0, help="By how much more than this it must be worse.")
]
PinOption = Annotated[
    int | None,
    typer.Option("--pin", metavar="N", min=1, help="Watch the confirmed slice N for good.", show_default=False),
]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="With --pin: what it is called.", show_default=False)
]
UnpinOption = Annotated[
    str | None, typer.Option("--unpin", metavar="NAME", help="Watch it no longer.", show_default=False)
]
WhyOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="Why; it is kept in the ledger.", show_default=False)
]


def slices(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    triples: TriplesOption = False,
    loss: LossOption = "log_loss",
    clusters: ClustersOption = "day",
    effect: EffectOption = 0.0,
    pin: PinOption = None,
    name: NameOption = None,
    unpin: UnpinOption = None,
    why: WhyOption = "",
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the slices for which a version is worse: on one half of the days found, on the other confirmed.

    Declared and pinned slices are shown first, whatever their size. A slice that is pinned stands in the gate from then
    on: no candidate may be worse on it than the champion by more than the gate's slice_margin.
    """
    with Shell(ctx, project, home, as_json) as shell:
        if pin is not None and name is None:
            raise InputError("the slice has no name", where="--pin", expected="what it is called", fix="--name NAME")
        if name is not None and pin is None:
            raise InputError(f"{name!r} is the name of no slice", where="--name", expected="which one", fix="--pin N")
        evaluations = shell.project.evaluations
        if unpin is not None:
            evaluations.unpin_slice(unpin, model, why=why)
            shell.note(f"unpinned: {unpin}")
        with shell.working("reading rows") as progress:
            order = 3 if triples else 2
            found = evaluations.slices(
                number, model, as_of=as_of, order=order, loss=loss, clusters=clusters, effect=effect, progress=progress
            )
        answer: dict[str, Any] = {**found.as_dict(), "pinned": None, "unpinned": unpin}
        if pin is not None and name is not None:
            made = evaluations.pin_slice(name, _chosen(found.found, pin).predicate, model, why=why)
            answer["pinned"] = made.as_dict()
            shell.note(f"pinned: {made.name}, {made.predicate}")
        shell.show(answer, *_shown(found))
        if pin is None and found.found is not None and found.found.confirmed:
            shell.note("to keep one in the gate: --pin N --name NAME --why TEXT")


def _chosen(found: Found | None, place: int) -> Any:
    """The slice that stands at this place of the table; only what is confirmed can be pinned."""
    confirmed = () if found is None else found.confirmed
    if not 1 <= place <= len(confirmed):
        there = f"1 to {len(confirmed)}" if confirmed else "a search that confirms one"
        raise InputError(f"no confirmed slice is number {place}", where="--pin", expected=there)
    return confirmed[place - 1]


def _shown(report: SliceReport) -> list[RenderableType]:
    facts = {
        "version": f"{report.number} of {report.model}",
        "rows": f"{count(report.rows)}, {when(report.since)} to {when(report.until)}",
        "loss": f"{report.loss}, {report.mean:.4g} on average",
        "clusters": report.clusters,
    }
    known = [(one.name, one.origin, *_figures(one.measured), one.verdict, one.rule) for one in report.known]
    columns = ("slice", "origin", ">rows", ">loss", ">above the rest", "verdict", "rows of which")
    parts: list[RenderableType] = [block(facts)]
    parts += [table(columns, known, title="Declared and pinned")] if known else []
    if report.found is not None:
        parts += _found(report.found)
    return parts


def _found(found: Found) -> list[RenderableType]:
    rows = []
    for place, one in enumerate(found.slices, 1):
        verdict = f"explained by {one.explained_by}" if one.explained_by else one.verdict
        mark = str(place) if one.verdict == "confirmed" else None
        p = None if one.p is None else f"{one.p:.2g}"
        rows.append((mark, *_figures(one.measured), p, str(one.predicate), verdict))
    title = "Found on one half of the clusters, and what the other half says"
    empty = found.insufficient and f"INSUFFICIENT: {found.insufficient}"
    columns = (">n", ">rows", ">loss", ">above the rest", ">p", "~slice", "verdict")
    missed = [f"{name}: {why}" for name, why in (found.unlooked or {}).items()]
    more = f"; and {count(len(missed) - _MOST)} more" if len(missed) > _MOST else ""
    looked = {
        "looked at": f"{count(found.looked)} slices; {count(found.small)} with too few rows were not",
        "not looked at": "; ".join(missed[:_MOST]) + more,
        "together": "; ".join(f"{name}: {note}" for name, note in (found.notes or {}).items()) or None,
    }
    if found.untold:
        looked["untold"] = f"{count(found.untold)} looked bad, and are in too few clusters to be tested"
    facts = {what: text for what, text in looked.items() if text}
    return [table(columns, rows, title=title, empty=empty or "none looked bad enough to be tested"), block(facts)]


def _figures(measured: Compared) -> tuple[str | None, str | None, str]:
    mean = None if measured.loss is None else f"{measured.loss:.4g}"
    return count(measured.rows), mean, str(measured.difference)
