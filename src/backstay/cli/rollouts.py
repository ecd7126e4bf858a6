"""Verbs of the rollout: `rollout show | start | stop`, and `watch`, which carries it on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli import plain
from backstay.cli.options import HomeOption, JsonOption, MetricsOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table, when
from backstay.core.errors import InputError
from backstay.core.times import SECOND, duration

if TYPE_CHECKING:
    from types import FrameType

    from backstay.lifecycle.monitoring import Looked
    from backstay.lifecycle.notifying import Delivery
    from backstay.lifecycle.rollouts import Turn
    from backstay.lifecycle.tick import Ticked
    from backstay.monitoring.incidents import Incident
    from backstay.project.rollouts import Where

WhyOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason, for the ledger.", show_default=False)
]
_NAMED = 3
"""Incidents that are gone to from what waits, at the most."""


def onward(shell: Shell, number: int, model: str | None, as_of: str | None = None) -> None:
    """Print what takes a version that passed its gate on: its rollout, where one is declared, or its promotion."""
    from backstay.lifecycle.rollouts import running

    one, records = shell.project.model(model), shell.project.records
    if one.rollout is None or records.registry.alias(one.name, "champion") is None:
        shell.next("promote", number, model=model, as_of=as_of)
    elif running(records, one.name) is None:
        shell.next("rollout", "start", number, model=model)
    else:
        shell.next("tick", model=model)


def show(
    ctx: typer.Context,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where the rollout of a model is: its stage, its evidence as it is now, and how it came there.

    `backstay rollout` alone is the same.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the evidence"):
            where, past = shell.project.rollouts.show(model), shell.project.rollouts.history(model)
        from backstay.project.rollouts import told

        lines = [(when(one.at), one.state.number, one.state.where, one.actor, one.state.reason) for one in past]
        shell.show(
            {**where.as_dict(), "history": [told(one) for one in past]},
            block(_facts(where), title=f"rollout of {where.model}"), "", _evidence(where),
            "" if where.seen is not None else None,
            table(("since", ">version", "stage", "by", "why"), lines, title="All that was rolled out"),
        )  # fmt: skip
        if not past:
            shell.next("tick" if where.declared else "versions", model=model)


def _facts(where: Where) -> dict[str, object]:
    if where.turn is None:
        said = "none yet" if where.declared else "none is declared: Model(..., rollout=Rollout())"
        return {"rollout": said}
    state = where.turn.state
    return {
        "version": f"{state.number}, against champion {state.against}",
        "stage": state.where + ("" if not state.cause else f" ({state.cause})"),
        "since": when(state.since),
        "time left": where.left or None,
        "why": state.reason,
        "now": None if where.seen is None else where.seen.problem or None,
    }


def _evidence(where: Where) -> Any:
    """What the stage has shown so far, a line a part of it."""
    if where.seen is None:
        return None
    seen = where.seen
    rows: list[tuple[object, ...]] = []
    if seen.shadow is not None:
        rows.append(("shadow", seen.shadow.verdict.value, seen.shadow.reason))
    else:
        beside = f"{count(seen.candidate)} by the version, {count(seen.baseline)} by its baseline"
        rows.append(("requests", None, beside))
        rows.append(("lot", "no" if seen.lot else "OK", seen.lot or "the arms got their shares"))
        rows += [
            (one.metric, "harm" if one.harm else "missing" if one.missing else "OK", one.reason) for one in seen.guards
        ]
    return table(("evidence", "so far", "what it says"), rows)


def start(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin the rollout of a version that passed its gate.

    `tick` does so by itself, for the oldest that did. It is carried on by `tick` or `watch`.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("beginning"):
            turn = shell.project.rollouts.start(number, model)
        _turned(shell, turn)
        shell.next("watch", model=model)


def stop(
    ctx: typer.Context,
    why: WhyOption,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the rollout of a model by hand: its champion answers everybody again.

    What became champion already goes back by `rollback`.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("ending it"):
            turn = shell.project.rollouts.stop(model, why=why)
        _turned(shell, turn)
        shell.next("rollout", "show", model=model)


def _turned(shell: Shell, turn: Turn) -> None:
    from backstay.project.rollouts import told

    state = turn.state
    facts = {
        "version": f"{state.number}, against champion {state.against}", "stage": state.where,
        "since": when(turn.at), "by": turn.actor, "why": state.reason,
    }  # fmt: skip
    shell.show(told(turn), block(facts, title=f"rollout of {state.model}"))


def watch(
    ctx: typer.Context,
    every: Annotated[
        str, typer.Option("--every", metavar="DURATION", help="How long from the end of one tick to the next.")
    ] = "60s",
    metrics: MetricsOption = None,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what `tick` does again and again, until it is told to stop: a controller without a timer.

    A tick that fails is told, and the next one tries again. Any number may run beside each other, and each may be
    killed at any moment. SIGTERM or Ctrl-C ends it after the tick that is under way.
    """
    seconds = duration(every, where="--every") / SECOND
    if seconds < 0.1:
        raise InputError(f"--every {every}", expected="a tenth of a second or more, such as 60s", fix="--every 60s")
    told = threading.Event()

    def stop_it(_number: int, _frame: FrameType | None) -> None:
        told.set()

    with Shell(ctx, project, home, as_json) as shell:
        models = [model] if model is not None else [*shell.project.definitions.models]
        for name in models:
            shell.project.model(name)  # a name that there is not is told at once, and not every minute
        before = {number: signal.signal(number, stop_it) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            shell.note(f"watching {', '.join(models)} every {every}")
            waits: dict[str, tuple[str, ...]] = {}
            while not told.is_set():
                for name in models:
                    waits[name] = _ticked(shell, name, waits.get(name, ()))
                if metrics is not None:
                    _written(shell, metrics)
                told.wait(seconds)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _written(shell: Shell, path: Path) -> None:
    """Write the gauges; what goes wrong is told, and left to the next time."""
    from backstay.cli.incidents import write_gauges
    from backstay.core.errors import BackstayError

    try:
        write_gauges(shell, path)
    except BackstayError as error:
        shell.note(f"the gauges are not written: {error}")


def _ticked(shell: Shell, model: str, before: tuple[str, ...]) -> tuple[str, ...]:
    """One tick of one model; whatever goes wrong is told, and left to the next. What waits is told when it changes."""
    from backstay.core.times import instant_text

    at = instant_text(shell.project.clock.now() // SECOND * SECOND)
    try:
        ticked = shell.project.tick(model)
    except Exception as error:  # noqa: BLE001 - a controller that ends at the first fault guards nobody
        said = f"{type(error).__name__}: {error}"
        if shell.as_json:
            shell.show({"at": at, "model": model, "error": said})
        shell.note(f"{at} {model}: this tick failed: {said}")
        return before
    lines = done(ticked)
    if shell.as_json:
        shell.show({"at": at, "model": model, **answer(ticked)})
        return ticked.waiting
    for what, number, came in lines:
        if what != "waits" or came not in before:
            shell.write(f"{at} {model}: {what}{'' if number is None else f' {number}'}: {came}\n")
    if ticked.blocked is not None and ticked.blocked.why not in before:
        blocked(shell, model, ticked)
    return ticked.waiting


def blocked(shell: Shell, model: str, ticked: Ticked) -> None:
    """Say how to see to what forbids a training that is due."""
    for number in () if ticked.blocked is None else ticked.blocked.incidents[:_NAMED]:
        shell.next("incidents", "show", number, model=model)


def answer(ticked: Ticked) -> dict[str, Any]:
    """What a tick did, as plain data."""
    from backstay.project import incidents
    from backstay.project.rollouts import told

    return {
        "rollouts": [told(one) for one in ticked.rollouts],
        "experiments": [one.as_dict() for one in ticked.experiments],
        "judged": [plain.judgement(one) for one in ticked.judged],
        "promoted": [plain.move(one) for one in ticked.promoted],
        "trained": [plain.version(one) for one in ticked.trained],
        "trigger": None if ticked.trigger is None else ticked.trigger.as_dict(),
        "incidents": [incidents.told(one) for one in ticked.incidents],
        "notified": [one.as_dict() for one in ticked.notified],
        "watched": [one.as_dict() for one in ticked.watched.looks],
        "waiting": list(ticked.waiting),
        "blocked": None if ticked.blocked is None else ticked.blocked.as_dict(),
        "compacted": ticked.compacted.predictions,
    }


def told_incident(one: Incident) -> str:
    """What happened to an incident last, in a sentence."""
    return f"{one.number} {one.event}: {one.why}"


def told_to(one: Delivery) -> str:
    """Whether people were told of an incident, in a sentence."""
    what = f"{one.notifier}, that incident {one.number} {one.event}"
    return what if one.ok else f"{what}: failed, try {one.attempt}: {one.error}"


def watched(looks: Sequence[Looked]) -> list[tuple[int | None, str]]:
    """What windows said, by version: a line for those in a row that say the same, as after a pause."""
    out: list[tuple[int | None, str]] = []
    for (version, said), some in groupby(looks, key=lambda one: (one.version, one.said)):
        alike = [*some]
        first, last, rows = alike[0].window, alike[-1].window, sum(one.rows for one in alike)
        when = str(first) if len(alike) == 1 else f"{first} to {last}, {len(alike)} windows"
        out.append((version, f"{when}: {count(rows)} rows, {said}"))
    return out


def done(ticked: Ticked) -> list[tuple[str, int | None, str]]:
    """What a tick did, a line each: what, of which version, and what came of it."""
    rows: list[tuple[str, int | None, str]] = [
        ("rollout", one.state.number, f"{one.state.where}: {one.state.reason}") for one in ticked.rollouts
    ]
    rows += [("experiment", None, f"{one.name}: {one.state}: {one.why}") for one in ticked.experiments]
    rows += [("judged", one.number, f"{one.decision.verdict.value}: {one.decision.reason}") for one in ticked.judged]
    rows += [("promoted", one.to, "it is champion now") for one in ticked.promoted]
    rows += [("incident", None, told_incident(one.incident)) for one in ticked.incidents]
    rows += [("told", None, told_to(one)) for one in ticked.notified]
    rows += [("watched", version, line) for version, line in watched(ticked.watched.looks)]
    rows += [("waits", None, one) for one in ticked.waiting]
    by = "" if ticked.trigger is None else f", due by {ticked.trigger.said}"
    rows += [("trained", one.number, f"on {count(one.manifest.dataset.rows)} rows{by}") for one in ticked.trained]
    if ticked.compacted.predictions:
        rows.append(("compacted", None, f"{count(ticked.compacted.predictions)} predictions"))
    return rows
