"""The command line `backstay`: a shell over `Project`, with no logic of its own.

What a verb answers goes to standard output, as a table for people or, with --json, as one JSON object; everything else
(progress, notes, errors, the next command) goes to standard error. Only Typer and Rich are imported before a verb
runs, so that help is instant.
"""

from backstay.cli.app import main

__all__ = ["main"]
