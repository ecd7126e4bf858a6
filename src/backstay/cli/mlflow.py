"""The verbs `mirror` and `import`: the bridge to MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, table, when


def mirror(
    ctx: typer.Context,
    to: Annotated[
        str,
        typer.Option("--to", metavar="URI", show_default=False, help="MLflow's tracking URI: http://127.0.0.1:5000"),
    ],
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write runs, versions and aliases to MLflow, which then shows them; again: what came since.

    Versions bear the manifest's digest as a tag, and MLflow loads those of the runtime onnx. Nothing here depends on
    what MLflow holds. Without --model: all models, and the runs of every name.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("mirroring") as progress:
            found = shell.project.papers.mlflow.mirror(to, model, progress=progress)
        rows = [(one.kind, one.name, one.what, one.there) for one in found.written]
        shell.show(found.as_dict(), table(("what", "here", "done", "in MLflow"), rows, empty="nothing new"))
        shell.note(f"{len(found.written)} written, {len(found.things) - len(found.written)} as they were: {found.to}")


def import_(
    ctx: typer.Context,
    uri: Annotated[
        str,
        typer.Argument(metavar="URI", show_default=False, help="models:/NAME/VERSION, or models:/NAME@ALIAS."),
    ],
    source: Annotated[
        str,
        typer.Option("--from", metavar="URI", show_default=False, help="MLflow's tracking URI: http://127.0.0.1:5000"),
    ],
    model: ModelOption = None,
    cutoff: Annotated[
        str | None,
        typer.Option(
            "--cutoff", metavar="T", show_default=False,
            help="Nothing it learned from became known later (default: when MLflow registered it).",
        ),
    ] = None,
    base_rate: Annotated[
        float | None,
        typer.Option("--base-rate", metavar="P", show_default=False, help="The share of 1 in its training rows."),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option("--sample", metavar="FILE", show_default=False, help="Rows it was trained on, Parquet."),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Register a model that MLflow has as a version here: its files by their digests, and what MLflow knows of it.

    It takes files that are data (ONNX, LightGBM's text, XGBoost's JSON), and pickles only where the model trusts them.
    The lineage that MLflow lacks is recorded as missing; a strict project refuses. Its gate is asked like any other's.
    """
    from backstay.registry.manifest import missing_lineage

    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("importing"):
            made = shell.project.papers.mlflow.bring(
                uri, source, model, cutoff=cutoff, base_rate=base_rate, sample=sample
            )
        lacking = missing_lineage(made.manifest)
        facts = {
            "version": f"{made.model}/{made.number}", "runtime": made.manifest.scorer.format,
            "cut-off": when(made.manifest.cutoff), "digest": made.digest[:12], "note": made.manifest.note,
            "lineage missing": ", ".join(lacking),
        }  # fmt: skip
        shell.show({**made.as_dict(), "missing": lacking}, block(facts))
        shell.next("judge", made.number, model=made.model)
