"""The report's section "What was watched": the heat map of drift, the incidents, and why the worst month was worst."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from backstay.core.times import instant
from backstay.evaluation.figures.heat import Cell, heat_map
from backstay.evaluation.figures.waterfall import WaterfallStep, waterfall
from backstay.replay import texts
from backstay.replay.texts import NONE, Summary

SHOWN = 4
"""Signals of an incident that are named."""


def watched_section(summary: Summary) -> dict[str, Any] | None:
    """The section of a summary; None where nothing is recorded of it."""
    found = texts.part(summary, "watched")
    if not found:
        return None
    starts = [instant(str(start)) for start in texts.rows(found, "starts")]
    cells = texts.part(found, "cells")
    rows = [(str(name), [_cell(one) for one in told]) for name, told in cells.items()]
    moves = [(instant(str(row["at"])), f"v{row.get('version')}") for row in texts.rows(summary, "promotions")]
    title = f"drift of {len(rows)} columns in {len(starts)} windows; a bar below a cell: it was shown to drift"
    edges = (texts.number(found.get("effect")) or 0.1, texts.number(found.get("severe")) or 0.2)
    incidents = [_incident(row) for row in texts.rows(found, "incidents")]
    return {
        "chart": Markup(heat_map(rows, starts, title, edges=edges, marks=moves)),  # noqa: S704  escaped there
        "windows": texts.count(found.get("windows")),
        "left_out": (texts.number(found.get("columns")) or 0) > len(rows),
        "shown": len(rows),
        "signals": [_signal(row) for row in texts.rows(found, "signals")],
        "incidents": incidents,
        "why": _why(summary.get("why")),
    }


def _cell(told: Any) -> Cell:
    effect, state = told
    return Cell(texts.number(effect), str(state))


def _signal(row: Summary) -> dict[str, str]:
    return {
        "what": str(row.get("what") or NONE), "kind": _words(row.get("kind")),
        "effect": texts.decimal(row.get("effect"), 2), "threshold": texts.decimal(row.get("threshold"), 2),
        "days": texts.days(row.get("since"), row.get("until")), "windows": texts.count(row.get("windows")),
    }  # fmt: skip


def _incident(row: Summary) -> dict[str, Any]:
    members = texts.rows(row, "members")
    names = [str(one.get("what")) for one in members]
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return {
        "name": f"#{row.get('incident')}", "severity": _words(row.get("severity")),
        "state": str(row.get("state") or NONE), "days": texts.days(row.get("onset"), row.get("ended")),
        "opened": texts.day(row.get("opened")), "what": ", ".join(names[:SHOWN]) + more,
        "origins": ", ".join(map(str, texts.rows(row, "origins"))),
    }  # fmt: skip


def _why(told: Any) -> dict[str, Any] | None:
    """Why the worst month was worse than what was promised, as `backstay why` tells it."""
    if not isinstance(told, dict) or not told:
        return None
    return {
        "span": texts.days(told.get("since"), told.get("until")), "text": str(told.get("text") or ""),
        "chart": _waterfall(texts.part(told, "waterfall")),
        "causes": [
            {name: str(one.get(name) or "") for name in ("cause", "verdict", "effect", "why", "next")}
            for one in texts.rows(told, "causes")
        ],
    }  # fmt: skip


def _waterfall(told: Summary) -> Markup | None:
    if not told:
        return None
    steps = [
        WaterfallStep(str(one["label"]), one["effect"], one["low"], one["high"], bool(one["rest"]))
        for one in texts.rows(told, "steps")
    ]
    ends = ("offline", told["offline"]), ("online", told["online"])
    title = f"from offline to online, {told['metric']}"
    return Markup(waterfall(*ends, steps, title, larger=bool(told["larger"])))  # noqa: S704  escaped there


def _words(kind: object) -> str:
    return str(kind or NONE).replace("_", " ")
