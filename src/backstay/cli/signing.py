"""The verb `sign`: who vouches for a version?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from backstay.cli import plain
from backstay.cli.options import HomeOption, JsonOption, ModelOption, NumberArgument, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, when

PASSWORD = "BACKSTAY_KEY_PASSWORD"  # noqa: S105  the name of a variable


def sign(
    ctx: typer.Context,
    number: NumberArgument,
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="A private key, elliptic curve, PEM.", show_default=False)
    ],
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a version: its manifest and every file, in the form of OpenSSF model signing.

    A project that names the public key (registry.public_key) loads signed versions only. The password of the key, if it
    has one, is read from BACKSTAY_KEY_PASSWORD.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working(f"signing version {number}"):
            entry = shell.project.archive.sign(number, key, model, password=os.environ.get(PASSWORD))
        facts = {
            "signed": entry.subject, "by": entry.actor, "at": when(entry.at), "manifest": entry.body["manifest"][:12],
            "bundle": entry.body["bundle"][:12],
        }  # fmt: skip
        shell.show(plain.entry(entry), block(facts))
