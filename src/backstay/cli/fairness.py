"""The verbs `fairness` and `fairness-guide`: are groups treated alike, and in which sense should they be?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table, when
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from backstay.evaluation.fairness import Group
    from backstay.lifecycle.fairness import Chosen, VersionFairness

_RATES = ("selection_rate", "base_rate", "tpr", "fpr", "ppv")


HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", show_default=False, help="Write it as one page, with its figures."),
]
ReweighOption = Annotated[
    bool,
    typer.Option("--reweigh", metavar="", help="Also train it on reweighed rows, as a point beside the frontier."),
]


def fairness(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="NAMES", show_default=False, help="Some of the attributes, e.g. race,sex (default: all)."
        ),
    ] = None,
    as_of: AsOfOption = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="T", show_default=False, help="Rows asked from then on, after its cut-off."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", show_default=False, help="Rows asked before then.")
    ] = None,
    html: HtmlOption = None,
    reweigh: ReweighOption = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a version's decisions fall on groups: rates, gaps beside what chance makes, conflicts, the frontier.

    It looks at rows that the version has not learned from, by the attributes of the model's Fairness. A group that is
    too small to tell is named and is in no comparison. Reading the attributes needs a role of its own.
    """
    with Shell(ctx, project, home, as_json) as shell:
        names = None if by is None else [one.strip() for one in by.split(",") if one.strip()]
        with shell.working("scoring the rows"):
            found = shell.project.evaluations.fairness(
                number, model, by=names, as_of=as_of, since=since, until=until, reweigh=reweigh
            )
        if html is not None:
            from backstay.lifecycle.fairness_page import render

            _write(html, render(found))
        parts: list[Any] = [_facts(found)]
        for group in found.report.groups:
            parts += ["", _cells(group), *_pooled(group), "", _gaps(group)]
            parts += [f"can't be told: {text}" for text in _untold(group)]
        parts += ["", _conflicts(found), "", _identities(found), "", _frontier(found)]
        shell.show({**found.as_dict(), "html": None if html is None else str(html)}, *parts)
        if html is not None:
            shell.note(f"written: {html}")
        if found.criterion is None:
            shell.next("fairness-guide", model=model)


def fairness_guide(
    ctx: typer.Context,
    model: ModelOption = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="ANSWER", show_default=False, help="punitive or assistive.")
    ] = None,
    capacity: Annotated[
        str | None, typer.Option("--capacity", metavar="ANSWER", show_default=False, help="limited or unlimited.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="ANSWER", show_default=False, help="trusted or biased.")
    ] = None,
    feedback: Annotated[
        str | None, typer.Option("--feedback", metavar="ANSWER", show_default=False, help="all or selected.")
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            "--criterion", metavar="NAME", show_default=False, help="Another one than the answers lead to, with --why."
        ),
    ] = None,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="TEXT", show_default=False, help="Why, in a sentence; kept in the ledger."),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask four questions about a decision, and record the criterion of fairness that they lead to.

    What is not given as an option is asked for on a terminal. No model satisfies every criterion where base rates
    differ: it says which are given up, and why. The choice is kept with your name; the gate then asks for it.
    """
    with Shell(ctx, project, home, as_json) as shell:
        answers = {"kind": kind, "capacity": capacity, "labels": labels, "feedback": feedback}
        if criterion is None or any(answers.values()):
            one = shell.project.model(model)
            if one.fairness is not None:
                answers["kind"] = kind or one.fairness.kind
            answers = _asked(answers, one.name)
        given = {name: one for name, one in answers.items() if one is not None}
        if why is None:
            why = _reason(given, criterion)
        found = shell.project.evaluations.choose_criterion(model, why=why, criterion=criterion, **given)
        shell.show(found.as_dict(), _choice(found), "", _given_up(found))


def _asked(answers: dict[str, str | None], model: str) -> dict[str, str | None]:
    """The answers, those not given asked for; `InputError` where nobody can be asked."""
    from backstay.evaluation.fairness import QUESTIONS

    missing = [name for name, one in answers.items() if one is None]
    if missing and not sys.stdin.isatty():
        raise InputError(
            f"{', '.join(missing)} is not answered", where=f"model {model}",
            expected="; ".join(f"--{name} {' or '.join(QUESTIONS[name][1])}" for name in missing),
        )  # fmt: skip
    out = dict(answers)
    for name in missing:
        question, options = QUESTIONS[name]
        typer.echo(f"\n{question}", err=True)
        for option, meaning in options.items():
            typer.echo(f"  {option:<10} {meaning}", err=True)
        while out[name] not in options:
            out[name] = str(typer.prompt(" or ".join(options), err=True)).strip().lower()
    return out


def _reason(answers: dict[str, str], criterion: str | None) -> str:
    """Why, asked for; `InputError` where nobody can be asked."""
    if not sys.stdin.isatty():
        raise InputError("there is no reason", expected="why, in a sentence", fix='--why "..."')
    if criterion is None:
        from backstay.evaluation.fairness import Answers, propose

        proposed = propose(Answers(**answers))
        typer.echo(f"\n{proposed.criterion}: {proposed.why}", err=True)
        for name, text in proposed.given_up:
            typer.echo(f"  given up: {name}: {text}", err=True)
    return str(typer.prompt("why, in a sentence, for the ledger", err=True))


def _facts(found: VersionFairness) -> RenderableType:
    report, chosen = found.report, found.chosen
    primary = found.criterion or "none is chosen: backstay fairness-guide"
    if chosen is not None:
        primary += f", chosen by {chosen.by} at {when(chosen.at)}: {chosen.why}"
        if found.declared not in (None, chosen.criterion):
            primary += f" (declared: {found.declared})"
    span = f"from {when(found.since)} to {when(found.until)}"
    left_out = f"{count(found.void)} void, {count(found.immature)} immature"
    return block(
        {
            "rows": f"{count(report.rows)} of {count(found.asked)} asked {span} ({left_out})",
            "outcome 1": count(report.positives),
            "selected": f"{count(report.selected)}, at a score of {report.threshold:g} or more",
            "clusters": f"{count(report.clusters)}, by {found.cluster}"
            if report.clusters
            else "none: each row for itself",
            "primary criterion": primary,
        },
        title=f"fairness of version {found.number} of {found.model}",
    )


def _cells(group: Group) -> RenderableType:
    from backstay.evaluation.fairness.rates import SHORT

    columns = ("group", ">rows", *(f">{SHORT[name]}" for name in _RATES))
    rows = [(cell.name, count(cell.rows), *(_short(cell.rates[name]) for name in _RATES)) for cell in group.cells]
    return table(columns, rows, title=f"by {group.name}")


def _pooled(group: Group) -> list[Any]:
    """What small cells borrow from the others, where there are such cells."""
    from backstay.evaluation.fairness.rates import SHORT
    from backstay.evaluation.interval import Insufficient

    small = [cell for cell in group.cells if any(isinstance(cell.rates[name], Insufficient) for name in _RATES)]
    if not small:
        return []
    columns = ("group", ">rows", *(f">{SHORT[name]}" for name in _RATES))
    rows = [(cell.name, count(cell.rows), *(_short(cell.pooled[name]) for name in _RATES)) for cell in small]
    return ["", table(columns, rows, title="small groups, with what they borrow from the others: for reading alone")]


def _gaps(group: Group) -> RenderableType:
    rows = [
        (one.criterion, _short(one.gap), _number(one.floor), _number(one.adjusted), str(one.finding), one.reason)
        for one in group.gaps
    ]
    return table(("criterion", ">gap", ">chance", ">p", "finding", "why"), rows, title=f"gaps by {group.name}")


def _untold(group: Group) -> list[str]:
    out: dict[str, str] = {}
    for one in group.gaps:
        for cell, why in one.untold:
            out.setdefault(cell, why)
    return [f"{cell}: {why}" for cell, why in out.items()]


def _conflicts(found: VersionFairness) -> RenderableType:
    panel = found.report.groups[0].conflict
    told = [one for one in panel.pairs if one.together.value != "yes" or one.implied] or panel.pairs
    rows = [(one.first, one.second, one.together.value, one.why) for one in told]
    title = f"conflicts by {panel.partition}: {panel.reason}"
    return table(("criterion", "and", "together", "why"), rows, title=title)


def _identities(found: VersionFairness) -> RenderableType:
    """Chouldechova's equation, group by group."""
    columns = ("group", ">p", ">PPV", ">FNR", ">FPR", ">the equation's", ">difference", "why not")
    rows = [
        (
            one.group,
            *map(_number, (one.base_rate, one.ppv, one.fnr, one.fpr, one.implied)),
            None if one.residual is None else f"{one.residual:.0e}",
            one.why,
        )
        for one in found.report.groups[0].conflict.identities
    ]
    return table(columns, rows, title="FPR = p/(1-p) x (1-PPV)/PPV x (1-FNR)")


def _frontier(found: VersionFairness) -> RenderableType:
    from backstay.evaluation.fairness import Frontier

    one = found.report.frontier
    if not isinstance(one, Frontier):
        return block({"frontier": str(one)})
    rows = [
        (point.name, f"{point.cost:.4f}", _short(point.gap), "yes" if point.needs_attribute else "no")
        for point in (one.now, one.single, *found.others, *one.points)
    ]
    title = f"frontier of {one.criterion} by {one.partition}, measured on {count(one.measured)} rows that chose nothing"
    return table(("policy", ">cost a row", ">gap", "needs the attribute"), rows, title=title)


def _choice(found: Chosen) -> RenderableType:
    facts = {"criterion": found.criterion, "because": found.rationale, "why": found.why}
    facts |= {"by": found.by, "at": str(when(found.at)), "ledger entry": str(found.entry_id)}
    if found.proposed not in (None, found.criterion):
        facts["the guide proposed"] = str(found.proposed)
    return block(facts, title=f"primary criterion of {found.model}")


def _given_up(found: Chosen) -> RenderableType:
    return table(("given up", "why"), list(found.given_up.items()))


def _short(one: object) -> str:
    from backstay.evaluation.interval import Interval

    return f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]" if isinstance(one, Interval) else "INSUFFICIENT"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"it cannot be written: {error.strerror}", where=str(path), fix="name a file in a folder there is"
        ) from None
