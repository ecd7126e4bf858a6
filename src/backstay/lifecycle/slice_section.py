"""The section of slices on an evaluation's page: a forest, and a table of what is in it."""

from __future__ import annotations

from html import escape

from backstay.core.pages import table
from backstay.evaluation.figures.forest import ForestRow, slice_forest
from backstay.evaluation.interval import Estimate, Interval
from backstay.evaluation.slices import Compared
from backstay.lifecycle.slices import SliceReport

WORDS = {"log_loss": "log loss", "brier": "Brier score", "error": "share of wrong decisions"}


SHOWN = 30
"""Confirmed slices on the page, at the most; the record has all."""


def slice_section(found: SliceReport) -> str:
    """Declared and pinned slices on all rows, then those that a search confirmed, on the half that confirmed them."""
    loss = WORDS.get(found.loss, found.loss)
    rows = [ForestRow(f"{one.name}: {one.rule}", one.measured, one.verdict) for one in found.known]
    search = found.found
    if search is not None:
        rows += [ForestRow(str(one.predicate), one.measured, one.verdict) for one in search.confirmed[:SHOWN]]
    parts = [f"<section><h2>Where it is worse</h2><p>{escape(_said(found, loss))}</p>"]
    if rows:
        parts.append(f"<figure>{slice_forest(rows, loss, 'Slices')}</figure>")
    columns = ("slice", "verdict", ">rows", f">{loss}", ">above the rest by")
    parts.append(table("", columns, [_row(one) for one in rows], empty="no slice is declared, pinned or found"))
    return "".join((*parts, "</section>"))


def _said(found: SliceReport, loss: str) -> str:
    whole = f"The {loss} of all {found.rows:,} rows is {found.mean:.4g}."
    if found.found is None:
        return f"{whole} No search was made."
    if found.found.insufficient:
        return f"{whole} INSUFFICIENT: {found.found.insufficient}."
    tested, held = len(found.found.slices), len(found.found.confirmed)
    return (
        f"{whole} {found.found.looked:,} slices were looked at on one half of the {found.clusters}s, {tested:,} were "
        f"tested on the other, and {held:,} are confirmed there, all that were tested being counted (Holm)."
    )


def _row(one: ForestRow) -> tuple[str, ...]:
    return one.label, one.verdict, f"{one.measured.rows:,}", _mean(one.measured), _estimate(one.measured.difference)


def _mean(one: Compared) -> str:
    return "" if one.loss is None else f"{one.loss:.4g}"


def _estimate(one: Estimate) -> str:
    if isinstance(one, Interval):
        return f"{one.estimate:+.4g} [{one.low:+.4g}, {one.high:+.4g}]"
    return one.reason
