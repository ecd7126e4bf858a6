"""The verb `imbalance`: what may be done about few positives, tried, and which of it to take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from backstay.evaluation.decided import Costs
    from backstay.evaluation.imbalance import ArmResult, Recommendation
    from backstay.lifecycle.imbalance import ImbalanceReport

_COLUMNS = ("arm", ">AP", ">lift", ">recall at k", ">log loss", ">raw", ">said/happened", ">cost", ">seconds")


_NameArgument = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="The model, where the project has several.", show_default=False)
]
_MissedOption = Annotated[
    float | None, typer.Option("--cost-fn", metavar="COST", help="What a missed positive costs.", show_default=False)
]
_AlarmOption = Annotated[
    float | None,
    typer.Option(
        "--cost-fp", metavar="COST", help="What a false alarm costs, in that unit; else 1.", show_default=False
    ),
]
_KOption = Annotated[
    int | None, typer.Option("--k", metavar="ROWS", min=1, help="Rows a day that can be looked at.", show_default=False)
]
_OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Write a page there: report.html, and report.json beside it.", show_default=False
    ),
]


def imbalance(
    ctx: typer.Context,
    name: _NameArgument = None,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    folds: Annotated[int, typer.Option("--folds", metavar="N", min=1, help="Folds in time.")] = 3,
    cost_fn: _MissedOption = None,
    cost_fp: _AlarmOption = None,
    k: _KOption = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed tries the same.")] = 0,
    out: _OutOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try what may be done about few positives on the same folds in time, and say which of it to take, and why.

    Nothing but regularisation, class weights, undersampling, a bag of undersamples, SMOTE and an anomaly detector, each
    with its correction or calibrator. For decisions and for ranking the answers may differ. Interrupted, or asked again
    with other costs, it goes on where it was.
    """
    from backstay.project.imbalance_page import render

    with Shell(ctx, project, home, as_json) as shell:
        chosen, costs = _one(name, model), _costs(cost_fn, cost_fp)
        _check_page(out)
        with shell.working("arms by folds") as progress:
            found = shell.project.evaluations.imbalance(
                chosen, as_of=as_of, folds=folds, costs=costs, k=k, seed=seed, progress=progress
            )
        answer = found.as_dict()
        if out is not None:
            shell.save(out, render(answer))
            shell.save(
                out.with_suffix(".json"), json.dumps(answer, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            )
        shell.show(answer, *_parts(found))
        if out is not None:
            shell.note(f"written: {out}, {out.with_suffix('.json')}")


def _one(name: str | None, model: str | None) -> str | None:
    """The model, which may be named in two places."""
    if name is not None and model is not None and name != model:
        raise InputError(f"two models are named: {name} and {model}", where="--model", expected="one of them")
    return name or model


def _costs(missed: float | None, alarm: float | None) -> Costs | None:
    from backstay.evaluation.decided import Costs

    if missed is not None:
        return Costs(false_positive=1.0 if alarm is None else alarm, false_negative=missed)
    if alarm is not None:
        raise InputError(
            "the cost of a false alarm says nothing alone", where="--cost-fp", expected="what a missed positive costs",
            fix="--cost-fn COST",
        )  # fmt: skip
    return None


def _check_page(out: Path | None) -> None:
    """Before the minutes of work: a page has its JSON beside it, and a folder to lie in."""
    if out is None:
        return
    if out.suffix == ".json":
        raise InputError(f"{out.name} is the name of the record", where="--out", expected="a page, x.html")
    if not out.parent.is_dir() or out.is_dir():
        raise InputError("it cannot be written", where=str(out), fix="name a file in a folder there is")


def _parts(found: ImbalanceReport) -> list[RenderableType]:
    advice = found.advice
    has = advice.resolution
    facts: dict[str, Any] = {
        "model": found.model,
        "rows scored": f"{count(has.rows)} on {count(has.clusters)} days, in {len(found.folds)} folds",
        "positives": f"{count(has.positives)}, 1 in {has.one_in:,.0f}",
        "effective positives": f"{has.effective:,.0f} (on {has.clusters_with_positives} days, design effect "
        f"{has.design_effect:.2g})",
        "can be shown": ", ".join(f"{_words(name)} {size:.2g}" for name, size in advice.detects.items()) or None,
        "the constant": ", ".join(f"{_words(name)} {value:.4g}" for name, value in advice.constant.items()),
        "k": f"{advice.k} a day",
    }
    if advice.costs is not None:
        costs = advice.costs
        facts["costs"] = (
            f"missed {costs.false_negative:g}, false alarm {costs.false_positive:g}: yes from a probability of "
        )
        facts["costs"] += f"{costs.threshold:.3g} on"
    parts: list[RenderableType] = [block(facts), table(_COLUMNS, map(_row, advice.arms), title="\nArms")]
    if advice.hint:
        parts.append(block({"first": advice.hint}, title=""))
    if advice.not_tried:
        parts.append(table(("arm", "why not"), advice.not_tried.items(), title="\nNot tried"))
    if advice.insufficient:
        parts.append(block({"INSUFFICIENT": advice.insufficient}, title="\nNothing is recommended"))
    for use, told in (("For decisions", advice.decision), ("For ranking", advice.ranking)):
        if told is not None:
            parts.append(_recommended(use, told, advice.titles))
    return parts


def _recommended(use: str, told: Recommendation, titles: dict[str, str]) -> RenderableType:
    arm = "nothing: the constant base rate is as good" if told.arm is None else titles[told.arm]
    title = f"\n{use}, by {_words(told.by)}: {arm}"
    return table(("arm", "why"), told.reasons.items(), title=title)


def _row(one: ArmResult) -> tuple[object, ...]:
    return (
        one.title, f"{one.average_precision.estimate:.4f}", f"{one.lift:.1f}", f"{one.recall_at_k.estimate:.3f}",
        f"{one.log_loss:.5f}", None if one.raw_log_loss is None else f"{one.raw_log_loss:.5f}", f"{one.said:.2f}",
        None if one.cost is None else f"{one.cost:.5g}", f"{one.seconds:.1f}",
    )  # fmt: skip


def _words(name: str) -> str:
    words = {"average_precision": "AP", "auc": "AUC", "recall_at_k": "recall at k"}
    return words.get(name, name.replace("_", " "))
