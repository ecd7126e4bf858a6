"""The verb `reproduce`: can a version be made again?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from backstay.cli.failures import NO
from backstay.cli.options import HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from backstay.lifecycle.reproduce import Compared, Reproduction


def reproduce(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version again from its manifest: the same data, parameters and seed, and compare what comes of it.

    Run it in a checkout of the version's commit, with its lock file installed. It exits with 0 where dataset and model
    are the same byte for byte, or the model's scores within their tolerance; else with 1. It registers nothing.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working(f"making version {number} again"):
            made = shell.project.reproduce(number, model)
        facts = {"version": f"{made.number} of {made.model}", "outcome": _OUTCOMES[made.outcome.value]}
        if made.difference is not None:
            facts["scores"] = (
                f"the same bits on {count(made.rows)} rows"
                if not made.difference
                else f"up to {made.difference:.3g} apart on {count(made.rows)} rows"
            )
        if made.why:
            facts["why"] = made.why
        elsewhere = [one for one in made.environment if not one.same]
        shell.show(made.as_dict(), block(facts), _compared("made", made.made), _compared("made with", elsewhere))
        if made.outcome.value == "different":
            _hint(shell, made)
            raise typer.Exit(NO)


_OUTCOMES = {
    "exact": "exact: dataset and model are the same byte for byte",
    "equivalent": "equivalent: the dataset is the same, and so are the scores within their tolerance",
    "different": "different",
}


def _compared(title: str, compared: tuple[Compared, ...] | list[Compared]) -> RenderableType | None:
    rows = [(one.name, one.recorded, one.found, "same" if one.same else "differs") for one in compared]
    return table((title, "recorded", "now", ""), rows) if rows else None


def _hint(shell: Shell, made: Reproduction) -> None:
    commit = next((one for one in made.environment if one.name == "commit" and not one.same), None)
    if commit is not None and commit.recorded != "none":
        shell.note(f"it was made of commit {commit.recorded}: git checkout {commit.recorded}, then run this again")
