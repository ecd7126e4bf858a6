"""The verbs `approve` and `reject`: what a person decides about a version of a model with high stakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, when

if TYPE_CHECKING:
    from backstay.lifecycle.approval import Decision

WhyOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="Why; it is kept in the ledger.", show_default=False)
]


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

    Run it after `judge`, for a model whose stakes are high; then `promote` goes through. The evidence that was there
    to see is kept with the approval. It holds until another version is champion, or somebody rejects it.
    """
    with Shell(ctx, project, home, as_json) as shell:
        _decided(shell, number, "approve", model, why)
        shell.next("promote", number, model=model)


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
