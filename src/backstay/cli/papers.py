"""The verbs `card`, `bom` and `export`: what a version goes out with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, table


def card(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", show_default=False, help="Write it there: card.md, or card.html."),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the model card of a version: what it is, what it was made of, how good it is, what was decided, its limits.

    It is made from the record alone, and says what is not recorded. It is Markdown; with --out card.html it is a page
    that needs nothing else.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the record"):
            found = shell.project.papers.card(number, model)
        answer = {**found.as_dict(), "out": None if out is None else str(out)}
        if out is None:
            shell.show(answer) if shell.as_json else shell.write(found.sheet.markdown())
            return
        sheet = found.sheet
        shell.save(out, sheet.page() if out.suffix in (".html", ".htm") else sheet.markdown())
        facts = {"model": found.about.version.model, "version": number, "limits": len(found.about.limits)}
        shell.show(answer, block(facts))
        shell.note(f"written: {out}")


def bom(
    ctx: typer.Context,
    number: NumberArgument,
    model: ModelOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="Write it there, e.g. bom.json.")
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the bill of materials of a version: CycloneDX 1.6 (ML-BOM), as JSON.

    It names model, files, training set, tables, interpreter and packages, with digests. Where the project's lock file
    is the one that the version was made with, every package in it is there.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the record"):
            found = shell.project.papers.bom(number, model)
        text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if out is None:
            shell.show(found) if shell.as_json else shell.write(text)
            return
        shell.save(out, text)
        kinds: dict[str, int] = {}
        for one in found["components"]:
            kinds[one["type"]] = kinds.get(one["type"], 0) + 1
        facts = {"serial number": found["serialNumber"], "components": ", ".join(f"{n} {k}" for k, n in kinds.items())}
        shell.show({"serial_number": found["serialNumber"], "components": kinds, "out": str(out)}, block(facts))
        shell.note(f"written: {out}")


def export(
    ctx: typer.Context,
    number: NumberArgument,
    to: Annotated[
        str,
        typer.Option("--to", metavar="WHERE", show_default=False, help="mlflow, sagemaker, vertex or openlineage."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="PATH", show_default=False, help="A folder, new or empty; for openlineage a file."
        ),
    ],
    model: ModelOption = None,
    image: Annotated[
        str | None,
        typer.Option(
            "--image", metavar="URI", show_default=False, help="The container that serves it (sagemaker, vertex)."
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="URI", show_default=False, help="Where you will put the files, e.g. s3://bucket/late."
        ),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a version as another registry takes it: files and requests. Nothing is sent anywhere.

    mlflow: a folder in MLflow's model format. sagemaker: an archive and the request of CreateModelPackage. vertex:
    files and the body of models.upload. openlineage: the training as run events. The manifest goes along; each file is
    verified as it is read. The sample of training rows and uncommitted code stay here.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working(f"exporting version {number}"):
            made = shell.project.papers.export(number, to, out, model, image=image, store=store)
        shell.show(made.as_dict(), table(("file", "SHA-256"), made.files.items()))
        shell.note(f"written: {made.out}")
        if made.missing:
            names = ", ".join(f"--{name}" for name in made.missing)
            shell.note(f"to fill in, where names stand in capitals: {names}")
