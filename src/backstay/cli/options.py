"""The options and arguments that verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EVERYWHERE = "On every verb"

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project", metavar="PATH", help="The project's folder; by default the nearest above with a backstay.toml.",
        show_default=False, rich_help_panel=EVERYWHERE,
    ),
]  # fmt: skip
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="PATH", help="Where its records are kept; by default the setting project.home.",
        show_default=False, rich_help_panel=EVERYWHERE,
    ),
]  # fmt: skip
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Answer with one JSON object on standard output.", rich_help_panel=EVERYWHERE
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="The model, where the project has several.", show_default=False),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="T", help="The moment it is done as of: 2013-04-01 or 2013-04-01T12:00:00Z (default: now).",
        show_default=False,
    ),
]  # fmt: skip
NumberArgument = Annotated[
    int, typer.Argument(metavar="NUMBER", help="The version's number; see: backstay versions.", show_default=False)
]
MetricsOption = Annotated[
    Path | None,
    typer.Option(
        "--metrics", metavar="FILE", help="Write gauges for Prometheus there, for the textfile collector.",
        show_default=False,
    ),
]  # fmt: skip
