"""The verb `predict`: batch scoring of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, table

if TYPE_CHECKING:
    from backstay.lifecycle.batch import Predicted

TableArgument = Annotated[
    str,
    typer.Argument(
        metavar="TABLE", show_default=False, help="Parquet or CSV (a file, a folder, a glob), or a Delta table."
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", show_default=False, help="Where the Parquet files go.")
]
VersionOption = Annotated[
    int | None,
    typer.Option("--version", metavar="N", show_default=False, help="A version by its number (default: champion)."),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="COLUMN|T", show_default=False, help="The column of each row's T, or one T (default: now)."
    ),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="COLUMN",
        show_default=False,
        help="Keep this column of the table, once for each (default: all).",
    ),
]
FeaturesOption = Annotated[
    bool, typer.Option("--features", metavar="", help="Write the features and their statuses, too.")
]
PartOption = Annotated[int, typer.Option("--part", metavar="ROWS", min=1, help="Rows that are in memory at once.")]


def predict(
    ctx: typer.Context,
    data: TableArgument,
    out: OutOption,
    model: ModelOption = None,
    version: VersionOption = None,
    at: AtOption = None,
    keep: KeepOption = None,
    features: FeaturesOption = False,
    part: PartOption = 100_000,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score every row of a table, larger than memory if need be, by the files and features that serve.

    Killed or interrupted, run it again: it goes on where it was. A folder that holds another run is refused.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("opening the table") as progress:
            done = shell.project.predict(
                data, out, model, at=at, version=version, keep=keep or None, features=features, part=part,
                progress=progress,
            )  # fmt: skip
        _show(shell, done, at)


def _show(shell: Shell, done: Predicted, at: str | None) -> None:
    before = done.parts - done.written
    facts = {
        "rows": count(done.rows), "scored": count(done.scored), "refused": count(done.refused),
        "T": f"of column {done.at}" if done.at == at else done.at, "run": done.run, "in": done.out,
        "parts": f"{done.parts}, {before} of which were there" if before else done.parts,
    }  # fmt: skip
    errors = table(
        ("refused because", ">rows", "the first"),
        [(reason, count(one["rows"]), one["first"]) for reason, one in done.errors.items()],
    )
    title = f"version {done.version} of {done.model}"
    shell.show(done.as_dict() | {"out": str(done.out)}, block(facts, title=title), errors if done.errors else None)
    if not done.written:
        shell.note("the run was finished already: nothing was scored")
