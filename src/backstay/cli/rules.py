"""The verbs `calibrate`, `threshold` and `rule`: what makes an answer of a version's score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli import tables
from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, when
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from backstay.registry.rules import InForce

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="T", help="Rows asked from then on; by default after its training.", show_default=False
    ),
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="T", help="Rows asked before.", show_default=False)]

CostOption = Annotated[
    str | None,
    typer.Option(
        "--cost", metavar="FP:FN", help="What a false alarm and a missed case cost: 1:20.", show_default=False
    ),
]
TopOption = Annotated[
    float | None,
    typer.Option("--top", metavar="K", help="Rows a day that can be decided true.", show_default=False),
]
PrecisionOption = Annotated[
    float | None,
    typer.Option("--precision", metavar="P", help="The least share of alarms that are right.", show_default=False),
]
RecallOption = Annotated[
    float | None,
    typer.Option("--recall", metavar="R", help="The least share of cases that are found.", show_default=False),
]
ValueOption = Annotated[
    float | None,
    typer.Option("--value", metavar="P", help="The threshold itself.", show_default=False),
]
OfOption = Annotated[
    int | None,
    typer.Option("--calibration", metavar="K", help="Of whose probabilities; by default of none.", show_default=False),
]


def calibrate(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="platt, beta or isotonic; by default what the rows can bear.",
            show_default=False,
        ),
    ] = None,
    as_of: AsOfOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a calibration of a version: what turns its scores into probabilities that mean what they say.

    On rows after its training. It is registered with its evidence, and changes nothing until it is put in force:
    `backstay rule`.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working(f"calibrating version {number}"):
            made = shell.project.rules.calibrate(number, model, kind=kind, as_of=as_of, since=since, until=until)
        facts = {
            "calibration": f"{made.artefact.number} of version {number} of {made.artefact.model}",
            "kind": made.calibrator.kind,
            "fitted on": f"{count(made.rows)} rows, {count(made.cases)} of them cases",
            "digest": made.artefact.digest[:12],
        }
        shell.show(made.as_dict(), block(facts), "", _shown(made.shown))
        shell.next("rule", number, calibration=made.artefact.number, model=model, why="probabilities-that-hold")


def _shown(shown: dict[str, Any] | Any) -> Any:
    title = "A calibration of the earlier days, on the later ones"
    if "why_not" in shown:
        return block({"not shown": shown["why_not"]}, title=title)
    rows = [
        (name.replace("_", " "), f"{one['before']:.5f}", f"{one['after']:.5f}", _gain(one["gain"]))
        for name, one in shown["shifts"].items()
    ]
    rows.append(
        ("mean score", f"{shown['mean_before']:.5f}", f"{shown['mean_after']:.5f}", f"happened: {shown['rate']:.5f}")
    )
    return tables.table(("", ">before", ">after", "better by"), rows, title=title)


def _gain(gain: dict[str, Any]) -> str:
    return str(gain.get("insufficient") or tables.interval(gain, signed=True))


def _range(one: dict[str, Any]) -> str:
    """An interval with the digits that small shares need."""
    return f"{one['estimate']:.4g} [{one['low']:.4g}, {one['high']:.4g}]"


def threshold(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    cost: CostOption = None,
    top: TopOption = None,
    precision: PrecisionOption = None,
    recall: RecallOption = None,
    value: ValueOption = None,
    calibration: OfOption = None,
    as_of: AsOfOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose a threshold of a version: from which probability on the decision is true.

    By what errors cost, by how many rows a day can be looked at, or by a share that must hold. It is registered with
    its evidence, and changes nothing until it is put in force: `backstay rule`.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working(f"choosing a threshold of version {number}"):
            made = shell.project.rules.threshold(
                number, model, calibration=calibration, cost=costs_of(cost), top=top, precision=precision,
                recall=recall, value=value, as_of=as_of, since=since, until=until,
            )  # fmt: skip
        found = made.threshold
        facts: dict[str, object] = {
            "threshold": f"{made.artefact.number} of version {number} of {made.artefact.model}",
            "value": f"{found.value:.6g}",
            "another sample": "the same" if found.interval is None else _range(found.interval.as_dict()),
            "on": "its own scores" if made.calibration is None else f"calibration {made.calibration}",
        }
        if found.told.get("calibrated") is False:
            facts["note"] = "these rows show that the probabilities are off: calibrate first"
        shell.show(made.as_dict(), block(facts), "", block(_told(dict(found.told)), title="On these rows"))
        shell.next(
            "rule",
            number,
            calibration=made.calibration,
            threshold=made.artefact.number,
            model=model,
            why="what-errors-cost",
        )


def _told(told: dict[str, Any]) -> dict[str, object]:
    out: dict[str, object] = {}
    for name, one in told.items():
        if isinstance(one, dict):
            out[name.replace("_", " ")] = one.get("insufficient") or _range(one)
        elif isinstance(one, int) and not isinstance(one, bool):
            out[name.replace("_", " ")] = count(one)
        elif one is not None and name != "calibrated":
            out[name.replace("_", " ")] = f"{one:.5g}"
    return out


def costs_of(text: str | None) -> tuple[float, float] | None:
    """What `--cost FP:FN` says."""
    if text is None:
        return None
    try:
        wrong, missed = (float(one) for one in text.split(":"))
    except ValueError:
        raise InputError(f"--cost {text}", expected="two numbers, such as 1:20", fix="--cost 1:20") from None
    return wrong, missed


def rule(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    calibration: Annotated[
        int | None, typer.Option("--calibration", metavar="K", help="Its number; without: none.", show_default=False)
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option(
            "--threshold", metavar="K", help="Its number; without: the one it was trained with.", show_default=False
        ),
    ] = None,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="TEXT", help="Why; without it the rule in force is shown.", show_default=False),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a calibration and a threshold of a version in force, or show what is.

    Servers follow at once, without loading anything. Going back is the same verb with what was in force before; with
    neither, the version answers as it was trained.
    """
    with Shell(ctx, project, home, as_json) as shell:
        rules = shell.project.rules
        if why is None:
            if calibration is not None or threshold is not None:
                raise InputError("there is no reason", where="--why", expected="why, in a sentence", fix='--why "..."')
            past = rules.history(number, model)
            told = {"in_force": _plain(rules.show(number, model)), "history": [_plain(one) for one in past]}
            lines = [(when(one.at), one.by, one.name or "as trained", f"{one.threshold:g}", one.why) for one in past]
            shell.show(
                told, block(_facts(number, rules.show(number, model))), "",
                tables.table(("since", "by", "rule", ">threshold", "why"), lines, title="All that was in force"),
            )  # fmt: skip
            return
        with shell.working("writing it down"):
            found = rules.put(number, model, calibration=calibration, threshold=threshold, why=why)
        shell.show(_plain(found), block(_facts(number, found)))


def _facts(number: int, found: InForce) -> dict[str, object]:
    calibration, chosen = found.calibration, found.chosen
    kind = None if calibration is None else calibration.document["calibrator"]["kind"]
    return {
        "version": str(number),
        "rule": found.name or "as it was trained",
        "calibration": "none" if calibration is None else f"{calibration.number}, {kind}",
        "threshold": f"{found.threshold:.6g}" + ("" if chosen is None else f", number {chosen.number}"),
        "since": when(found.at),
        "by": found.by,
        "why": found.why or None,
    }


def _plain(found: InForce) -> dict[str, Any]:
    return {
        "rule": found.name, "threshold": found.threshold,
        "calibration": None if found.calibration is None else found.calibration.as_dict(),
        "chosen": None if found.chosen is None else found.chosen.as_dict(),
        "at": found.at, "by": found.by, "why": found.why, "entry_id": found.entry_id,
    }  # fmt: skip
