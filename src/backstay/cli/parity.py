"""Verbs about what was served against what should have been: `features verify | skew`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli.failures import NO
from backstay.cli.options import HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, real, table

if TYPE_CHECKING:
    from backstay.lifecycle.skew import Skew
    from backstay.lifecycle.verify import ParityReport

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="T", help="Only predictions from this T on.", show_default=False),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="T", help="Only predictions before this T.", show_default=False),
]


def features_verify(
    ctx: typer.Context,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="Check N predictions (default: all).", show_default=False),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            "--share", metavar="SHARE", help="Check a share of the entities, the same each time, such as 0.01.",
            show_default=False,
        ),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    max_stale: Annotated[
        float | None,
        typer.Option(
            "--max-stale", metavar="SHARE", min=0.0, max=1.0, show_default=False,
            help="Exit with 1, too, if more than this share of predictions missed an event that was known.",
        ),
    ] = None,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Prove parity: compute served predictions again from the events record, and compare bit for bit.

    Run it after serving, in CI or every hour: it exits with 1 if one value, status or score differs, or if there is
    none. A stale value is what the server had read by then, but not what was known; it is counted.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("computing predictions again"):
            report = shell.project.verify(
                model, sample=sample, share=share, since=since, until=until, max_stale=max_stale
            )
        _report(shell, report, model)
        if not report.holds:
            raise typer.Exit(NO)


def _report(shell: Shell, report: ParityReport, model: str | None) -> None:
    answer = report.as_dict()
    facts = {
        "parity holds": report.holds, "served": count(report.logged), "checked": count(report.checked),
        "equal bit for bit": count(report.equal), "of these stale": count(report.stale),
    }  # fmt: skip
    differing = table(("differs", ">predictions"), answer["differences"].items()) if report.features else None
    shell.show(answer, block(facts), differing, _agreement(report), _examples(answer["examples"]))
    if report.degraded:
        shell.note(f"{count(report.degraded)} were answered by policy while the online state could not be asked")
    if report.given:
        shell.note(f"{count(report.given)} brought the model's inputs themselves: there is nothing to compute again")
    if report.other_definition:
        shell.note(f"{count(report.other_definition)} were served from another definition, and not compared")
    if not report.checked:
        shell.note("nothing is checked, so nothing is proven" if report.logged else
                   "nothing has been served yet, so nothing is proven")  # fmt: skip
        shell.next("serve")
    elif answer["examples"]:
        shell.next("trace", answer["examples"][0]["prediction_id"])
    else:
        shell.next("quality", model=shell.told(model))


def _agreement(report: ParityReport) -> Any:
    """The features whose values are not all matches."""
    rows = [
        (
            name, count(one.match), count(one.stale), count(one.mismatch), count(one.missing), count(one.extra),
            "-" if one.smape is None else f"{one.smape:.3g}",
            ", ".join(f"{cause} {count(number)}" for cause, number in one.causes.most_common()),
        )
        for name, one in report.agreement.items()
        if one.causes
    ]  # fmt: skip
    columns = ("feature", ">match", ">stale", ">mismatch", ">missing", ">extra", ">SMAPE", "likely cause")
    return table(columns, rows) if rows else None


def _examples(examples: list[dict[str, Any]]) -> Any:
    def shown(value: Any) -> str:
        return f"{value['value']} {value['status']}" if isinstance(value, dict) else str(value)

    rows = [
        (one["prediction_id"], name, shown(told["logged"]), shown(told["recomputed"]))
        for one in examples
        for name, told in one["differs"].items()
    ]
    return table(("prediction", "what", "logged", "recomputed"), rows) if rows else None


def features_skew(
    ctx: typer.Context,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="Take N predictions (default: all).", show_default=False),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the features that a model was served against those it was trained on.

    It exits with 1 if one differs: its PSI is above 0.1 and above the floor, which chance stays below in 95% of cases
    where nothing has changed. Only the version that answered last is looked at.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("comparing features"):
            found = shell.project.features.skew(model, sample=sample, since=since, until=until)
        facts = {
            "served as trained": found.holds, "version": found.number, "predictions": count(found.served),
            "features that differ": f"{len(found.differing)} of {len(found.features)}",
        }  # fmt: skip
        shell.show(found.as_dict(), block(facts), _shifts(found))
        if found.other_definition:
            shell.note("it was served from another definition of its features, and is not compared")
        elif not found.served:
            shell.note("nothing has been served in this time, so there is nothing to compare")
            shell.next("serve")
        elif found.differing:
            shell.next("features", "show", found.differing[0])
        else:
            shell.next("quality", model=shell.told(model))
        if not found.holds:
            raise typer.Exit(NO)


def _shifts(found: Skew) -> Any:
    def mean(value: float | None) -> Any:
        return None if value is None else real(float(f"{value:.4g}"))

    rows = [
        (
            name, f"{one.psi:.3f}", f"{one.floor:.3f}", mean(one.reference_mean), mean(one.mean),
            f"{one.reference_missing:.1%}", f"{one.missing:.1%}", "differs" if one.differs else "",
        )
        for name, one in found.features.items()
    ]  # fmt: skip
    columns = (
        "feature", ">PSI", ">floor", ">mean trained", ">mean served", ">missing trained", ">missing served", "",
    )  # fmt: skip
    return table(columns, rows) if rows else None
