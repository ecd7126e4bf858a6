"""Runs beside each other as one page that needs nothing else: no script, no file beside it, nothing loaded."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from backstay.core.pages import Html, code, document, table
from backstay.core.times import instant_text
from backstay.project.comparison_figure import COLOURS, plot
from backstay.registry.experiments import Comparison
from backstay.storage.runs import RunRecord

_RUN = ("run", "what", "status", "begun", ">seconds", "by", "error")


def render(found: Comparison) -> str:
    """The whole page."""
    ids = [one.id[:8] for one in found.runs]
    names = ", ".join(dict.fromkeys(one.name for one in found.runs))
    return document(
        f"{len(ids)} runs of {names}",
        f"<h1>{len(ids)} runs of {escape(names)}</h1>",
        table("", _RUN, map(_run, range(len(ids)), found.runs)),
        *_plots(found, ids),
        table(
            "Metrics, as logged last", ("metric", *(f">{one}" for one in ids)),
            [(name, *map(_value, values)) for name, values in found.metrics.items()], empty="no metric was logged",
        ),
        table(
            "Parameters that differ", ("parameter", *ids),
            [(name, *map(_value, values)) for name, values in found.parameters.items()], empty="none",
        ),
        table(
            "Parameters that are the same", ("parameter", "in all of them"),
            [(name, _value(value)) for name, value in found.same.items()], empty="none",
        ),
    )  # fmt: skip


def _run(place: int, run: RunRecord) -> tuple[str, ...]:
    mark = Html(f'<span style="color:{COLOURS[place % len(COLOURS)]}">&#9632;</span> {code(run.id)}')
    seconds = "" if run.seconds is None else f"{run.seconds:.1f}"
    return (mark, run.name, run.status, instant_text(run.begun), seconds, run.actor, run.error)


def _plots(found: Comparison, ids: list[str]) -> Iterator[str]:
    for name, curves in found.curves.items():
        yield f"<h2>{escape(name)}</h2>"
        yield plot(name, curves, ids)


def _value(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
