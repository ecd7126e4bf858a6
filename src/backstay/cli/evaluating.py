"""The verb `evaluate`: how good is a version, and how sure of that are we?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.rules import CostOption, SinceOption, UntilOption, costs_of
from backstay.cli.shell import Shell
from backstay.cli.tables import block, table

if TYPE_CHECKING:
    from backstay.evaluation.interval import Insufficient
    from backstay.lifecycle.fairness import VersionFairness
    from backstay.lifecycle.slices import SliceReport

SHOWN = 10
"""Slices in the terminal, at the most."""


def evaluate(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    cost: CostOption = None,
    top: Annotated[
        int | None,
        typer.Option("--top", metavar="K", help="How many of the rows can be looked at.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write it as a page, x.html, with x.json beside it.", show_default=False
        ),
    ] = None,
    as_of: AsOfOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a version on rows that it has not learned from, each number with its interval over days.

    Beside the champion, on the same rows. It decides nothing: `judge` does.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working(f"evaluating version {number}") as progress:
            found = shell.project.evaluations.report(
                number, model, as_of=as_of, since=since, until=until, cost=costs_of(cost), top=top,
                progress=progress,
            )  # fmt: skip
            written = None if out is None else found.save(out)
        told = found.as_dict()
        about = told["about"]
        head = {name: about[name] for name in ("model", "version", "rule", "rows asked since", "until", "not mature")}
        parts: list[Any] = [block(head), "", block(found.evaluation.summary(), title="How good it is")]
        if told["comparison"] is not None:
            parts += ["", _beside(found.against, told["comparison"])]
        parts += ["", *_worse(found.slices)]
        parts += _whom(found.fairness)
        shell.show(told | {"out": None if out is None else str(out)}, *parts)
        if written is not None:
            shell.note(f"written: {written[0]}, {written[1]}")


def _whom(found: VersionFairness | Insufficient | None) -> list[Any]:
    """The gaps that are shown, of a model that declares fairness."""
    from backstay.evaluation.interval import Insufficient

    if found is None:
        return []
    if isinstance(found, Insufficient):
        return ["", block({"fairness": str(found)})]
    gaps = [one for group in found.report.groups for one in group.gaps if str(one.finding) == "GAP"]
    said = "; ".join(f"{one.criterion.replace('_', ' ')}: {one.reason}" for one in gaps) or "no gap is shown"
    return ["", block({"fairness": said})]


def _worse(found: SliceReport | None) -> list[Any]:
    """Slices that are shown to be worse, whether they were known or found."""
    if found is None:
        return []
    bad = [(f"{one.name}: {one.rule}", one.measured) for one in found.known if one.verdict == "worse"]
    if found.found is not None:
        bad += [(str(one.predicate), one.measured) for one in found.found.confirmed]
    rows = [(name, f"{one.rows:,}", str(one.difference)) for name, one in bad[:SHOWN]]
    more = [f"and {len(bad) - SHOWN} more: backstay slices"] if len(bad) > SHOWN else []
    return [
        table(
            ("~slice", ">rows", "log loss above the rest by"),
            rows,
            title="Where it is worse",
            empty="nowhere that these rows can show",
        ),
        *more,
    ]


def _beside(against: int | None, told: dict[str, Any]) -> Any:
    if "insufficient" in told:
        return block({f"beside version {against}": f"INSUFFICIENT: {told['insufficient']}"})
    words = {True: "better", False: "not better", None: "can't tell"}
    rows = []
    for name, one in told["gains"].items():
        gain, needed = one["gain"], one["needed"]
        said = gain.get("insufficient") or f"{gain['estimate']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
        more = "" if needed is None else f"about {needed['rows']:,} rows more would tell"
        rows.append((name.replace("_", " "), said, words[one["shown"]], more))
    return table(("gain in", "over days", "", ""), rows, title=f"Beside version {against}, the champion")
