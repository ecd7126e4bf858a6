"""The verb `shadow`: what would a version have said, beside what was answered?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from backstay.rollout.shadow import ShadowComparison
    from backstay.rollout.verdict import Check


def shadow(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", show_default=False, help="Requests from then on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", show_default=False, help="Requests before then.")
    ] = None,
    as_of: AsOfOption = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", show_default=False, help="Write it as one page, with its figure."),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what a version said as a shadow with what was answered to the same requests.

    Scores, order, decisions by slice, rows without a score, scoring time; and quality on the pairs whose labels are
    mature. What is in no pair is counted and named. A version is made a shadow by its rollout, or, where
    the model declares none, by: backstay route set shadow=v8
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the predictions record"):
            found = shell.project.evaluations.shadow(number, model, since=since, until=until, as_of=as_of)
        rollout = shell.project.model(model).rollout
        check = None if rollout is None or rollout.shadow is None else found.check(rollout.shadow)
        told = {**found.as_dict(), "check": None if check is None else check.as_dict()}
        if html is not None:
            from backstay.rollout.shadow_page import page

            shell.save(html, page(told))
        shell.show({**told, "html": None if html is None else str(html)}, *_parts(found), *_check(check))
        if html is not None:
            shell.note(f"written: {html}")
        if not found.failures.shown and not found.left_out:
            shell.note("it has said nothing as a shadow in that time")
            if rollout is None:
                shell.next("route", "set", f"shadow=v{number}", model=model, why="look at it")
            else:  # a shadow that is set by hand would end the rollout, or keep it from beginning
                shell.next("rollout", "show", model=model)


def _parts(found: ShadowComparison) -> list[RenderableType | str]:
    parts: list[RenderableType | str] = [_facts(found)]
    if found.scores is not None:
        at = found.scores.quantiles
        columns = [f">{float(share):.0%}" for share in at]
        parts += ["", table(columns, [[f"{value:+.4f}" for value in at.values()]], title="difference, by quantile")]
        rows = [
            (one.name, count(one.rows), count(one.flipped), count(one.to_true), count(one.to_false), str(one.rate))
            for one in (found.flips, *found.slices)
        ]
        flips = (">rows", ">flipped", ">to true", ">to false", "share")
        parts += ["", table(("decisions", *flips), rows, title="decisions that would be others")]
    one = found.quality
    quality = [
        (one.metric, count(one.rows), count(one.days), _number(one.champion), _number(one.candidate), str(one.gain))
    ]
    columns = ["metric", ">pairs", ">days", ">answered", ">shadow", "better by"]
    parts += ["", table(columns, quality, title="quality, on mature labels")]
    if found.latency is not None:
        sides = (("answered", found.latency.champion), ("shadow", found.latency.candidate))
        timed = [
            (name, f"{side['median']:,.0f}", f"{side['p99']:,.0f}", f"{side['rows_a_batch']:.1f}")
            for name, side in sides
        ]
        columns = ["scoring a batch, µs", ">median", ">p99", ">rows a batch"]
        parts += ["", table(columns, timed)]
    if found.failures.reasons:
        parts += ["", table(("no score, because", ">rows"), found.failures.reasons.items())]
    return parts


def _check(check: Check | None) -> list[RenderableType | str]:
    """What the rollout of the model asks of a shadow, where it declares one."""
    if check is None:
        return []
    told = check.as_dict()["evidence"]["checks"]
    rows = [(one["name"], one["verdict"], one["reason"]) for one in told]
    return ["", table(("asked of it", "answer", "reason"), rows, title=f"what the rollout asks: {check.verdict.value}")]


def _facts(found: ShadowComparison) -> RenderableType:
    asked, scores = found.asked, found.scores
    facts: dict[str, object] = {
        "version": f"{asked.number} of {asked.model}",
        "beside": "nobody" if asked.against is None else f"champion {asked.against}",
        "pairs": f"{found.rows:,} of {found.entities:,} entities",
        "with labels": f"{found.labelled:,}{_counts(found.labels)}",
        "no score": f"{found.failures.failed:,} of {found.failures.shown:,}",
        "left out": _counts(found.left_out).removeprefix("; ") or "nothing",
    }
    if scores is not None:
        facts |= {
            "mean": f"{scores.champion:.4f} answered, {scores.candidate:.4f} shadow",
            "difference": str(scores.difference),
            "scored alike": f"{scores.equal:.1%}",
            "rank correlation": _number(scores.spearman),
            "kendall tau-b": _number(scores.kendall),
        }
    return block(facts)


def _counts(counts: dict[str, int]) -> str:
    return "".join(f"; {number:,} {why}" for why, number in counts.items())


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
