"""Verbs of incidents: `incidents list | show | ack | snooze | resolve | own`, and `alerts`, what Prometheus needs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli.failures import NO
from backstay.cli.options import AsOfOption, HomeOption, JsonOption, MetricsOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, real, table, when, when_text
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from backstay.lifecycle.incidents import Kept
    from backstay.project.incidents import Story

IncidentArgument = Annotated[
    int, typer.Argument(metavar="INCIDENT", help="The incident's number; see: backstay incidents.", show_default=False)
]
NoteOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="A note, for the ledger; nobody is sent it.", show_default=False)
]


def listed(
    ctx: typer.Context,
    all: Annotated[bool, typer.Option("--all", metavar="", help="Also those that are over.")] = False,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is wrong with the models: one incident a cause, what costs most first.

    `backstay incidents` alone is the same. They are opened, and end, by what each closed window says, at a tick.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking"):
            found = shell.project.incidents.list(model, all=all, as_of=as_of)
        from backstay.project.incidents import told

        rows = [
            (
                one.incident.number, one.incident.model, one.incident.state, _words(one.incident.severity),
                when(one.incident.onset), real(one.incident.cost), one.incident.owner, one.incident.text,
            )
            for one in found
        ]  # fmt: skip
        columns = (">incident", "model", "state", "severity", "since", ">cost a day", "owner", "what it is")
        empty = "none" if all else "none is open"
        shell.show({"incidents": [told(one) for one in found]}, table(columns, rows, empty=empty))
        if found:
            shell.next("incidents", "show", found[0].incident.number, model=found[0].incident.model, as_of=as_of)


def show(
    ctx: typer.Context,
    number: IncidentArgument,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an incident: its signals, what else changed in the day before it began, its timeline, who was told.

    Begin with what changed: a deployment, a definition, a source that was late are what most incidents come of.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking"):
            story = shell.project.incidents.show(number, model, as_of=as_of)
        shell.show(story.as_dict(), *_story(story))
        one = story.now.incident
        if as_of is not None:
            return  # what can be done is done to it as it is now
        if one.state == "open":
            shell.next("incidents", "ack", number, model=one.model)
        elif one.active:
            shell.next("incidents", "resolve", number, model=one.model, why="what was done")


def _story(story: Story) -> list[Any]:
    one, data = story.now.incident, story.as_dict()
    facts = {
        "what it is": one.text, "state": one.state + (f" until {when(one.until)}" if one.until else ""),
        "severity": _words(one.severity), "cause": _words(one.cause), "began": when(one.onset),
        "made of": ", ".join(sorted(one.origins)), "ended": when(one.ended), "owner": one.owner,
        "runbook": one.runbook, "cost a day": real(one.cost), "cost so far": real(story.so_far),
        "evidence": f"ledger entry {one.read}",
    }  # fmt: skip
    members = [
        (
            _words(each.kind), each.what, real(each.effect), real(each.peak), real(each.threshold), when(each.since),
            "clean" if each.clean else "wrong",
        )
        for each in sorted(one.members, key=lambda each: -each.times)
    ]  # fmt: skip
    before = [(when_text(each["at"]), each["kind"], each["who"], each["said"]) for each in data["before"]]
    steps = [(when_text(each["at"]), each["event"], each["by"], each["why"]) for each in data["timeline"]]
    sent = [(each.notifier, each.event, each.attempt, each.error or "delivered") for each in story.deliveries]
    return [
        block(facts, title=f"incident {one.number} of {one.model}"), "",
        table(("signal", "of", ">last", ">worst", ">tolerated", "since", "now"), members), "",
        table(("when", "what", "by", "what changed"), before, title="In the day before it began"), "",
        table(("when", "what", "by", "why"), steps, title="Timeline"), "",
        table(("notifier", "of", ">try", "what came of it"), sent, title="Who was told"),
    ]  # fmt: skip


def ack(
    ctx: typer.Context,
    number: IncidentArgument,
    why: NoteOption = "",
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge an incident: you are on it, and own it if nobody does.

    It is told again only when it gets worse, and its alarms fall silent.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("writing"):
            done = shell.project.incidents.acknowledge(number, model, why=why)
        _done(shell, done)


def snooze(
    ctx: typer.Context,
    number: IncidentArgument,
    span: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="For how long, such as 3d.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", help="Until when instead.", show_default=False)
    ] = None,
    why: NoteOption = "",
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Leave an incident alone for a while: nothing is told of it until then, unless it gets worse.

    For what is known and waits, such as a feed that is mended on Monday. It still ends by itself when it is over.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("writing"):
            done = shell.project.incidents.snooze(number, model, until=until, span=span, why=why)
        _done(shell, done)


def resolve(
    ctx: typer.Context,
    number: IncidentArgument,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What was done.", show_default=False)],
    accept: Annotated[
        bool, typer.Option("--accept", metavar="", help="It is how the world is now; silent until another version.")
    ] = False,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Resolve an incident: it is over, and what was done is kept with it.

    If its signals come back, in a window that begins later, it opens again. One of bad data stops trainings until then.
    --accept is for what is right and will stay, such as a new category: it is no news until another version answers.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("writing"):
            done = shell.project.incidents.resolve(number, model, why=why, accept=accept)
        _done(shell, done)


def own(
    ctx: typer.Context,
    number: IncidentArgument,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Who sees to it: a name, a team.", show_default=False)],
    why: NoteOption = "",
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an incident to somebody: a person, or a team.

    Who owns the incidents of a model by default is declared with it: IncidentPolicy(owner=...).
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("writing"):
            done = shell.project.incidents.own(number, owner, model, why=why)
        _done(shell, done)


def alerts(
    ctx: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write both files into this folder.", show_default=False),
    ] = None,
    metrics: MetricsOption = None,
    trial: Annotated[
        bool, typer.Option("--trial", metavar="", help="Send every notifier a message that tells of nothing.")
    ] = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write Prometheus alert rules and a Grafana dashboard, made of what the project declares.

    Run it when definitions change, and load what it writes. The rules go by the servers' metrics and by gauges of
    what is watched, which --metrics writes once, and `watch --metrics` after each tick. --trial shows whether the
    notifiers of the settings `notify` arrive, before there is an incident.
    """
    with Shell(ctx, project, home, as_json) as shell:
        if out is None and metrics is None and not trial:
            raise InputError("there is nothing to do", expected="--out, --metrics or --trial", fix="--out alerts")
        files: list[Path] = []
        with shell.working("writing"):
            if out is not None:
                files += _documents(shell, out)
            if metrics is not None:
                write_gauges(shell, metrics)
                files.append(metrics)
            told = shell.project.incidents.trial() if trial else {}
        answer = {"files": [str(one) for one in files], "told": told}
        shell.show(answer, *map(str, files), _told(told) if trial else None)
        if any(told.values()):
            raise typer.Exit(NO)


def _told(told: dict[str, str]) -> Any:
    rows = [(name, error or "it arrived") for name, error in told.items()]
    return table(("notifier", "what came of it"), rows, empty="none is configured: [notify] in backstay.toml")


def _documents(shell: Shell, out: Path) -> list[Path]:
    made = {
        "backstay-rules.yml": shell.project.incidents.rules(),
        "backstay-dashboard.json": json.dumps(shell.project.incidents.dashboard(), indent=1, ensure_ascii=False) + "\n",
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"it cannot be made: {error.strerror}", where=str(out), fix="name another folder") from None
    for name, text in made.items():
        shell.save(out / name, text)
    return [out / name for name in made]


def write_gauges(shell: Shell, path: Path) -> None:
    """Write the gauges to a file, which is there as a whole or not at all: it may be read at any moment."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    shell.save(aside, shell.project.incidents.metrics())
    try:
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(f"it cannot be written: {error.strerror}", where=str(path), fix="name a file") from None


def _done(shell: Shell, done: Kept) -> None:
    from backstay.project.incidents import told

    one = done.incident
    facts = {
        "what it is": one.text, "state": one.state + (f" until {when(one.until)}" if one.until else ""),
        "owner": one.owner, "by": done.actor, "why": one.why,
    }  # fmt: skip
    shell.show(told(done), block(facts, title=f"incident {one.number} of {one.model}"))


def _words(kind: str) -> str:
    return kind.replace("_", " ")
