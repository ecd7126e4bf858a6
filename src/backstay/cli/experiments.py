"""Verbs of experiments: `experiment start | show | stop`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import age, block, count, table, when
from backstay.core.errors import InputError
from backstay.core.times import duration_text

if TYPE_CHECKING:
    from backstay.definitions import Guard
    from backstay.lifecycle.experiments import Look, Standing

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What it is called.", show_default=False)]
ArmOption = Annotated[
    list[str],
    typer.Option(
        "--arm", metavar="VERSION=SHARE", show_default=False,
        help="A version and its share, such as v7=50%; may be repeated. The champion has what is left.",
    ),
]  # fmt: skip
MetricOption = Annotated[
    str,
    typer.Option(
        "--metric", metavar="NAME", show_default=False,
        help="What is to become better: outcome, decisions, errors, log_loss, brier, or SOURCE.COLUMN (its sum).",
    ),
]  # fmt: skip
BetterOption = Annotated[
    str, typer.Option("--better", metavar="higher|lower", help="Which way it is better.", show_default=False)
]
WithinOption = Annotated[
    str,
    typer.Option(
        "--within", metavar="SPAN", show_default=False,
        help="Of SOURCE.COLUMN: of which events after an entity was first seen, such as 14d.",
    ),
]  # fmt: skip
GuardOption = Annotated[
    list[str],
    typer.Option(
        "--guard", metavar="METRIC[:MARGIN]",
        help="What must not become worse by more than the margin; may be repeated. Harm ends the experiment.",
    ),
]  # fmt: skip
AllocationOption = Annotated[
    str,
    typer.Option(
        "--allocation", metavar="NAME", help="fixed, thompson or epsilon: how the shares follow what is seen."
    ),
]  # fmt: skip
FloorOption = Annotated[
    float, typer.Option("--floor", metavar="X", help="The least share that an arm has, where shares follow.")
]
EveryOption = Annotated[
    str, typer.Option("--every", metavar="SPAN", help="How long shares stay, and how long a block is.")
]
CovariateOption = Annotated[
    str,
    typer.Option(
        "--covariate", metavar="NAME", show_default=False,
        help="'before' (the metric before the start) or a feature: what it explains is taken out (CUPED).",
    ),
]  # fmt: skip
MarginOption = Annotated[float, typer.Option("--margin", metavar="X", help="Success is a gain above this.")]
EffectOption = Annotated[
    float, typer.Option("--effect", metavar="X", help="The gain worth finding: shown to be smaller, it is futile.")
]
AtMostOption = Annotated[str, typer.Option("--at-most", metavar="SPAN", help="How long it may take.")]
EarlyOption = Annotated[
    bool, typer.Option("--early/--to-the-end", help="End as soon as success or futility is shown, or at --at-most.")
]
LevelOption = Annotated[float, typer.Option("--level", metavar="X", help="How often what is said is true.")]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key", metavar="NAME", show_default=False,
        help="A key that entities are told apart by; may be repeated. By default all keys of the model.",
    ),
]  # fmt: skip
WhyOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason, for the ledger.", show_default=False)
]
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")


def start(
    ctx: typer.Context,
    name: NameArgument,
    arm: ArmOption,
    metric: MetricOption,
    why: WhyOption,
    better: BetterOption = "",
    within: WithinOption = "",
    guard: GuardOption = ["errors"],  # noqa: B006 - Typer reads it, and nobody changes it
    allocation: AllocationOption = "fixed",
    floor: FloorOption = 0.1,
    every: EveryOption = "1d",
    covariate: CovariateOption = "",
    margin: MarginOption = 0.0,
    effect: EffectOption = 0.0,
    at_most: AtMostOption = "28d",
    early: EarlyOption = True,
    level: LevelOption = 0.95,
    key: KeyOption = None,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start an A/B experiment of versions beside the champion, and set the route.

    Entities are drawn by lot, and stay with the version they were drawn for. `backstay tick` carries it on: it gives
    new shares where they follow what is seen, and ends it by its stop rule.
    """
    from backstay.definitions.experiments import Experiment, Metric

    with Shell(ctx, project, home, as_json) as shell:
        one = Experiment(
            name, _arms(arm), Metric(metric, better, within), [_guard(text) for text in guard], allocation=allocation,
            floor=floor, every=every, covariate=covariate, margin=margin, effect=effect, at_most=at_most, early=early,
            level=level, key=key or (),
        )  # fmt: skip
        with shell.working("starting the experiment"):
            standing = shell.project.experiments.start(one, model, why=why)
        shell.show(standing.as_dict(), *_standing(standing))
        shell.next("experiment", "show", model=model)


def show(
    ctx: typer.Context,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the last experiment of a model shows: its arms, its guards, and what the stop rule says.

    Each interval may be looked at at any time, and acted on: all of them hold the truth together.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading rows"):
            seen = shell.project.experiments.show(model, as_of=as_of)
        if seen is None:
            shell.show({"model": shell.project.model(model).name, "experiment": None}, "there was no experiment")
            shell.next("experiment", "start", "NAME", "--arm", "vNUMBER=50%", "--metric", "outcome", model=model)
            return
        shell.show(seen.as_dict(), *_look(seen))


def stop(
    ctx: typer.Context,
    why: WhyOption,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the experiment of a model by hand: its champion answers everybody again.

    What it showed is kept, and so is the reason; a new one may begin at once.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("ending the experiment"):
            standing = shell.project.experiments.stop(model, why=why)
        shell.show(standing.as_dict(), *_standing(standing))
        shell.next("experiment", "show", model=model)


def _arms(words: list[str]) -> dict[str, float]:
    out: dict[str, float] = {}
    for word in words:
        name, _, text = word.partition("=")
        share = _SHARE.fullmatch(text)
        if not name or share is None:
            raise InputError(f"{word!r} is no arm", where="--arm", expected="a version and a share, such as v7=50%")
        if name in out:
            raise InputError(f"{name} stands in it twice", where="--arm", expected="each version once")
        out[name] = float(share[1]) / (100 if share[2] else 1)
    return out


def _guard(text: str) -> Guard:
    from backstay.definitions import Guard

    name, _, margin = text.partition(":")
    try:
        return Guard(name, float(margin or 0))
    except ValueError as error:
        raise InputError(
            f"the margin {margin!r} is no number", where=f"--guard {text}", expected="such as log_loss:0.01"
        ) from error


def _standing(standing: Standing) -> list[RenderableType]:
    end = standing.end
    facts = {
        "model": standing.model, "why": standing.why, "since": when(standing.began), "by": standing.by,
        "metric": _metric(standing), "shares": _shares(standing),
        "ended": None if end is None else f"{end['state']}: {end['why']}",
    }  # fmt: skip
    shown = {name: value for name, value in facts.items() if value is not None}
    return [block(shown, title=f"experiment {standing.experiment.name}")]


def _look(seen: Look) -> list[RenderableType]:
    standing, analysis = seen.standing, seen.analysis
    facts: dict[str, Any] = {"metric": _metric(standing), "shares": _shares(standing)}
    lot = analysis.lot
    facts["lot"] = (
        f"the arms do NOT get the entities they were meant to (p {lot.p_value:.1g})" if lot.shown
        else f"the arms get the entities they were meant to (p {lot.p_value:.2g}, any look)"
    )  # fmt: skip
    if analysis.explained is not None:
        facts["covariate"] = f"{standing.experiment.covariate}: explains {analysis.explained:.0%} of the variance"
    facts["rows"] = f"{count(seen.rows)} in {analysis.blocks} blocks that are mature"
    if seen.early:
        facts["rows"] += f"; {count(seen.early)} of other shares left out"
    if standing.running:
        facts["left"] = age(duration_text(seen.left)) or "0s"
        facts["stop rule"] = f"{seen.conclusion.state}: {seen.conclusion.why}"
    versions = {one.name: one for one in standing.versions}
    arms = [
        (
            one.name, versions[one.name].number, versions[one.name].gate or None, f"{one.share:.2%}",
            count(one.entities), count(one.mature), None if one.mean is None else f"{one.mean:.4g}",
            None if one.gain is None else str(one.gain.gain),
        )
        for one in analysis.arms
    ]  # fmt: skip
    guards = [(one.metric, one.arm, f"{one.margin:g}", str(one.worse), "HARM" if one.harm else "none shown")
              for one in analysis.guards]  # fmt: skip
    columns = ("arm", ">version", "gate", ">share", ">entities", ">mature", ">mean", "gain")
    return [
        *_standing(standing), "", block(facts), "",
        table(columns, arms, title=f"Arms, {standing.experiment.metric.name}: a gain above 0 is better"), "",
        table(("guard", "arm", ">margin", "worse by", "harm"), guards, title="Guards"),
    ]  # fmt: skip


def _metric(standing: Standing) -> str:
    metric = standing.experiment.metric
    within = f" within {metric.within}" if metric.within else ""
    return f"{metric.name}{within}, {metric.better} is better"


def _shares(standing: Standing) -> str:
    experiment = standing.experiment
    how = "fixed" if experiment.allocation == "fixed" else f"{experiment.allocation}, at least {experiment.floor:.0%}"
    return f"{how}, blocks of {experiment.every}"
