"""The verbs `bundle`, `approve` and `reject`: what a person sees and decides about a version with high stakes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.rollouts import onward
from backstay.cli.shell import Shell
from backstay.cli.tables import block, table, when

if TYPE_CHECKING:
    from backstay.lifecycle.approval import Decision

WhyOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="Why; it is kept in the ledger.", show_default=False)
]


def bundle(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", show_default=False, help="Write it as one page that needs nothing else."
        ),
    ] = None,
    kept: Annotated[
        bool, typer.Option("--kept", metavar="", help="As it was kept with the last approval or rejection.")
    ] = False,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the evidence about a version, before it is approved or rejected.

    What it is, all answers of its gate, what was overridden, its shadow beside what was answered, its rollout so far,
    earlier decisions. An approval keeps it by its SHA-256; --json prints all of it.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the record"):
            found = shell.project.papers.bundle(number, model, kept=kept)
        if html is not None:
            shell.save(html, found.page())
        told = found.told
        facts = {"version": told["version"], "made by": told["author"], "evidence": found.digest[:12]}
        gate = told["gates"][-1] if told["gates"] else None
        answer = told.get("answer") or (None if gate is None else gate["decision"])
        checks = [] if answer is None else answer["checks"]
        rows = [(one["name"], one["verdict"], one["reason"]) for one in checks]
        shadow = told.get("shadow")
        if shadow is not None:
            facts["shadow"] = f"{shadow['rows']:,} pairs, {shadow['labelled']:,} with a mature label"
        if told.get("rollout"):
            facts["rollout"] = told["rollout"][-1]["stage"].replace("_", " ")
        whole = {**told, "sha256": found.digest, "html": None if html is None else str(html)}
        shell.show(whole, block(facts), "", table(("check", "answer", "reason"), rows, empty="not judged yet"))
        if html is not None:
            shell.note(f"written: {html}")
        if answer is not None and answer["verdict"] == "PASS" and not kept:
            shell.next("approve", number, model=model, why="...")


def approve(
    ctx: typer.Context,
    number: NumberArgument,
    why: WhyOption,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a version that passed its gate, so that it may serve. Its author cannot.

    Run it after `judge`, for a model whose stakes are high; then `promote`, or its rollout, goes through. The evidence
    that was there to see is kept with the approval. It holds until another version is champion, or somebody rejects it.
    """
    with Shell(ctx, project, home, as_json) as shell:
        _decided(shell, number, "approve", model, why)
        onward(shell, number, model)


def reject(
    ctx: typer.Context,
    number: NumberArgument,
    why: WhyOption,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject a version: it does not become champion, whatever its gate says. Its author cannot.

    It can be taken back by approving the version later.
    """
    with Shell(ctx, project, home, as_json) as shell:
        _decided(shell, number, "reject", model, why)


def _decided(shell: Shell, number: int, decision: Decision, model: str | None, why: str) -> None:
    with shell.working("writing it down"):
        made = shell.project.decide(number, decision, model, why=why)
    facts = {
        "version": f"{made.number} of {made.model}",
        "decision": "approved" if made.decision == "approve" else "rejected",
        "by": made.by,
        "at": when(made.at),
        "why": made.why,
        "against": "no champion" if made.against is None else f"champion {made.against}",
        "evidence": made.bundle[:12],
    }
    shell.show(made.as_dict(), block(facts))
