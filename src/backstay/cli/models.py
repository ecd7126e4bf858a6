"""Verbs that make models: `train`, `versions`, `judge`, `promote`, `tick`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli import plain, rollouts
from backstay.cli.failures import NO
from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, history, interval, minute, share, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

    from backstay.lifecycle.judge import Judgement
    from backstay.lifecycle.tick import Ticked
    from backstay.registry.versions import AliasMove, ModelVersion


def train(
    ctx: typer.Context,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    holdout: Annotated[
        str,
        typer.Option("--holdout", metavar="DURATION", help="Keep back the last of the rows, to judge on, e.g. 14d."),
    ] = "0s",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed gives the same model.")] = 0,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Kept with the version.", show_default=False)
    ] = "",
    accept: Annotated[
        str | None,
        typer.Option(
            "--accept-data", metavar="WHY", show_default=False,
            help="Train on data that the policy refuses, for this reason; it is kept in the ledger.",
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like", metavar="RUN", show_default=False, help="With the parameters of this trial of backstay tune."
        ),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Train a model on exactly what was known at a moment, and register it as a new version.

    Run it after `ingest`. Hold out 14 days for a first version, so that the gate has rows to judge it on. The data are
    checked first, beside those of the version before: it exits with 1 if they are not fit to be learned from.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("training"):
            version = shell.project.train(
                model, as_of=as_of, holdout=holdout, seed=seed, note=note, accept=accept, like=like
            )
        shell.show(plain.version(version), _version(version))
        shell.next("judge", version.number, model=model, as_of=as_of)


def _version(version: ModelVersion) -> RenderableType:
    manifest = version.manifest
    data, features = manifest.dataset, manifest.feature_set
    others = {"void": data.void, "immature": data.immature, "unlabelled": data.unlabelled}
    left_out = [f"{count(number)} {name}" for name, number in others.items() if number]
    rows = f"{count(data.rows)} of {count(data.asked)} asked"
    code = manifest.code
    commit = (code.commit or "not in git")[:12] + (" with uncommitted changes" if code.dirty else "")
    facts = {
        "as of": when(data.as_of),
        "trained on": f"rows known by {when(manifest.cutoff)}",
        "rows": f"{rows} ({', '.join(left_out)})" if left_out else rows,
        "positives": share(manifest.base_rate),
        "features": f"{len(features.vector)} inputs of {features.name} {features.hash[:12]}",
        "estimator": f"{manifest.estimator.rpartition('.')[2]}, seed {manifest.seed}",
        "dataset": data.digest[:12],
        "commit": commit,
        "digest": version.digest[:12],
    }
    if manifest.note:
        facts["note"] = manifest.note
    return block(facts, title=f"version {version.number} of {version.model}")


def versions(
    ctx: typer.Context,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every version of a model, with the gate's last answer and which one is champion.

    Use it to find the number that `judge` and `promote` want.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the registry"):
            name = shell.project.model(model).name
            found = shell.project.versions(model)
            champion = shell.project.records.registry.alias(name, "champion")
            gates = shell.project.services.ledger.entries(kind="gate")
        answers = {entry.subject: entry.body["decision"]["verdict"] for entry in gates}
        number = None if champion is None else champion.to
        listed = [
            {**plain.version(one), "verdict": answers.get(f"{name}/{one.number}"), "champion": one.number == number}
            for one in found
        ]
        rows = [
            (
                one["number"],
                "champion" if one["champion"] else None,
                one["verdict"],
                minute(one["cutoff"]),
                count(one["dataset"]["rows"]),
                one["digest"][:12],
                one["note"],
            )
            for one in listed
        ]
        columns = (">version", "alias", "gate", "trained until", ">rows", "digest", "note")
        answer = {"model": name, "champion": number, "versions": listed}
        shell.show(answer, table(columns, rows, empty=f"model {name} has no versions yet"))
        if not found:
            shell.next("train", model=model)
        elif listed[-1]["verdict"] is None:
            shell.next("judge", found[-1].number, model=model, as_of=history(found[-1].manifest.dataset.as_of))


def judge(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the gate about a version: PASS, FAIL or INSUFFICIENT, recorded with its evidence.

    Run it after `train`, once rows after the training cut-off have labels. It exits with 1 unless the answer is PASS.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working(f"judging version {number}"):
            judgement = shell.project.judge(number, model, as_of=as_of)
        shell.show(plain.judgement(judgement), *_judgement(judgement))
        if judgement.reuse.warning:
            shell.note(judgement.reuse.warning)
        if judgement.decision.verdict == "PASS":
            rollouts.onward(shell, number, model, as_of)
            return
        _after_no(shell, judgement, model)
        raise typer.Exit(NO)


def _judgement(judgement: Judgement) -> list[RenderableType]:
    decision = judgement.decision
    against = "the base rate" if judgement.against is None else f"champion {judgement.against}"
    facts = {
        "answer": decision.verdict.value,
        "against": against,
        "on": f"{count(judgement.rows)} rows asked from {when(judgement.start)} to {when(judgement.end)}",
        "gain": interval(judgement.interval(), signed=True),
    }
    rows = [
        (check.name, f"{check.verdict.value}, overridden" if check.override else check.verdict.value, check.said)
        for check in decision.checks
    ]
    title = f"version {judgement.number} of {judgement.model}"
    return [block(facts, title=title), "", table(("check", "answer", "reason"), rows)]


def _after_no(shell: Shell, judgement: Judgement, model: str | None) -> None:
    """What to do about a gate that did not let a version through."""
    if judgement.decision.verdict == "INSUFFICIENT":
        shell.note("the evidence does not suffice, see the reasons: judge it again when there is more")
    shell.next("versions", model=model)


def promote(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="PROJECT", show_default=False,
            help="Carry it into another project, by its folder or its name under [environments], and promote it there.",
        ),
    ] = None,
    as_of: AsOfOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Judge a version and, if it passes, make it champion: the one that is served.

    A running server follows within a moment, without a failed request. It exits with 1 if the gate says no, and where
    stakes are high, until another person than its author has approved it. With --to nothing is judged anew: the gate's
    last answer here is what counts. Where a rollout is declared there, the version is registered and goes by that.
    """
    with Shell(ctx, project, home, as_json) as shell:
        if to is not None:
            _sent(shell, number, to, model)
            return
        from backstay.project import GateRefused

        refused: Judgement | None = None
        with shell.working(f"judging version {number}"):
            try:
                move = shell.project.promote(number, model, as_of=as_of)
            except GateRefused as error:
                refused = error.judgement
        if refused is not None:
            shell.show({"promoted": False, **plain.judgement(refused)}, *_judgement(refused))
            shell.note("not promoted")
            _after_no(shell, refused, model)
            raise typer.Exit(NO)
        evidence = f"ledger entry {move.evidence['gate']}: {move.evidence['reason']}"
        shell.show({"promoted": True, **plain.move(move)}, _moved(move, evidence))
        shell.next("serve")


def _moved(move: AliasMove, evidence: str) -> RenderableType:
    facts = {
        "champion": f"version {move.to}",
        "before": None if move.previous is None else f"version {move.previous}",
        "since": when(move.at),
        "by": move.actor,
        "evidence": evidence,
    }
    if approval := move.evidence.get("approval"):
        facts["approved"] = f"by {approval['by']}: {approval['why']}"
    return block(facts, title=f"model {move.model}")


def _sent(shell: Shell, number: int, to: str, model: str | None) -> None:
    with shell.working(f"carrying version {number} to {to}"):
        arrived = shell.project.send(number, to, model)
    move, origin, there = arrived.move, arrived.version.origin or {}, arrived.version.number
    answer = {"promoted": move is not None, "project": to, "version": plain.version(arrived.version)}
    if move is None:
        facts = {
            "version": f"{there}, from {origin.get('project')}",
            "champion": "not yet: a rollout is declared there",
        }
        shell.show(answer, block(facts, title=f"model {arrived.version.model}"))
        shell.note(
            f"version {number} is number {there} there. The tick there judges it and begins its rollout; at once:"
        )
        shell.next("check", there, model=arrived.version.model, project=arrived.project, home=None)
        shell.next("rollout", "start", there, model=arrived.version.model, project=arrived.project, home=None)
        return
    evidence = f"gate entry {move.evidence['from']['gate']} of {origin.get('project')}: {move.evidence['reason']}"
    shell.show({**answer, **plain.move(move)}, _moved(move, evidence))
    shell.note(f"version {number} is number {there} there")


def tick(
    ctx: typer.Context,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what the policies say is due now: look at closed windows, open incidents and tell people, carry rollouts on,
    judge, promote, train a new candidate; then `compact`.

    Run it from a timer, once a day for example: a second run at the same moment finds nothing to do. Without --model it
    is of all models, and --json is then, where there are several, what each did by its name.
    """
    with Shell(ctx, project, home, as_json) as shell:
        models = [*shell.project.definitions.models]
        if model is None and len(models) > 1:
            _all_ticked(shell, models)
        else:
            with shell.working("doing what is due"):
                ticked = shell.project.tick(model)
            shell.show(rollouts.answer(ticked), table(_DONE, rollouts.done(ticked), empty="nothing is due"))
            rollouts.blocked(shell, model or models[0], ticked)
        shell.next("status")


_DONE = ("done", ">version", "what came of it")


def _all_ticked(shell: Shell, models: list[str]) -> None:
    """A tick of every model. One that fails keeps no other from its own; the first error is raised at the end."""
    from backstay.core.errors import BackstayError

    answer: dict[str, dict[str, Any]] = {}
    rows: list[tuple[str, str, int | None, str]] = []
    failed: list[BackstayError] = []
    all_ticked: dict[str, Ticked] = {}
    for name in models:
        try:
            with shell.working(f"doing what is due of {name}"):
                ticked = shell.project.tick(name)
        except BackstayError as error:
            failed.append(error)
            rows.append((name, "failed", None, str(error)))
            answer[name] = {"error": str(error)}
            continue
        all_ticked[name], answer[name] = ticked, rollouts.answer(ticked)
        rows += [(name, *one) for one in rollouts.done(ticked)]
    shell.show(answer, table(("model", *_DONE), rows, empty="nothing is due"))
    for name, ticked in all_ticked.items():
        rollouts.blocked(shell, name, ticked)
    if failed:
        raise failed[0]
