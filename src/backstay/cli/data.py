"""Verbs that feed a project: `ingest`, and `features backfill | verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli import plain
from backstay.cli.failures import NO
from backstay.cli.options import HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, day_after, minute, table

if TYPE_CHECKING:
    from backstay.lifecycle.verify import ParityReport


def ingest(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="One source; by default all of them.", show_default=False)
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the sources' histories into the events record.

    Run it first, and again whenever there is more history: only what is new is added, nothing is ever changed. Rows
    that break their source's contract go to quarantine.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("ingest") as progress:
            done = shell.project.ingest(source, progress=progress)
        answer = [plain.ingested(one) for one in done]
        rows = [(one.source, count(one.added), count(one.quarantined), count(one.events), minute(known["known_until"]))
                for one, known in zip(done, answer, strict=True)]  # fmt: skip
        columns = ("source", ">added", ">quarantined", ">events", "known until")
        shell.show({"sources": answer}, table(columns, rows, empty="no source says how its history is read (read=...)"))
        for one in done:
            for reason, number in one.reasons.items():
                shell.note(f"{one.source}: {number:,} to quarantine: {reason}")
            for alarm in one.alarms:
                shell.note(f"{one.source}: {alarm}")
        if any(one.quarantined for one in done):
            shell.next("quarantine")
        shell.next("train", as_of=day_after(one["known_until"] for one in answer), holdout="14d")


def features_backfill(
    ctx: typer.Context,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="T", help="Up to what was known at T (default: all).", show_default=False),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the online state, which serving reads, up to the events record.

    Run it before a replay or to warm a new home; `backstay serve` does it by itself when it starts.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("backfill") as progress:
            applied = shell.project.backfill(until=until, progress=progress)
        rows = [(name, count(number)) for name, number in applied.items()]
        shell.show({"applied": applied, "until": until}, table(("source", ">events applied"), rows))
        shell.next("serve")


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
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Check those from this T on.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Check those before this T.", show_default=False)
    ] = None,
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
        _report(shell, report)
        if not report.holds:
            raise typer.Exit(NO)


def _report(shell: Shell, report: ParityReport) -> None:
    answer = report.as_dict()
    facts = {
        "parity holds": report.holds, "served": count(report.logged), "checked": count(report.checked),
        "equal bit for bit": count(report.equal), "of these stale": count(report.stale),
    }  # fmt: skip
    differing = table(("differs", ">predictions"), answer["differences"].items()) if report.features else None
    shell.show(answer, block(facts), differing, _agreement(report), _examples(answer["examples"]))
    if report.other_definition:
        shell.note(f"{count(report.other_definition)} were served from another definition, and not compared")
    if not report.checked:
        shell.note("nothing is checked, so nothing is proven" if report.logged else
                   "nothing has been served yet, so nothing is proven")  # fmt: skip
        shell.next("serve")
    elif answer["examples"]:
        shell.next("trace", answer["examples"][0]["prediction_id"])
    else:
        shell.next("quality")


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
