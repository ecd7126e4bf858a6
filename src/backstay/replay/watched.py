"""What monitors said during a replay: drift of columns by window, signals, incidents; plain data for the summary."""

from __future__ import annotations

from typing import Any

from backstay.core.errors import BackstayError
from backstay.core.times import instant_text
from backstay.definitions import Monitor
from backstay.monitoring.report import DRIFTS, Day, worst_first
from backstay.monitoring.signals import LADDER
from backstay.project import Project
from backstay.replay.replay import Replayed

INCIDENT = "incident"
"""The ledger's kind of entry of what signals became."""
COLUMNS = 30
"""Columns of the heat map: of more, those that drifted in most windows."""


def watched(project: Project, replayed: Replayed) -> dict[str, Any] | None:
    """What was watched; None where the model has no monitor, or nothing was served for as long as a window."""
    try:
        days = project.monitoring.days(replayed.model.name, since=replayed.start, until=replayed.end)
    except BackstayError:
        return None
    looks = project.monitoring.looks(replayed.model.name)
    signals: dict[tuple[str, str], dict[str, Any]] = {}
    for look in looks:
        for one in look.signals:
            key = (one.kind, one.what)
            row = signals.setdefault(key, {"kind": one.kind, "what": one.what, "windows": 0, "effect": 0.0})
            if one.state == "DRIFT":
                row["windows"] += 1
                row["effect"] = max(row["effect"], one.effect)
                row["threshold"], row["since"] = one.threshold, row.get("since") or instant_text(one.since)
                row["until"] = instant_text(look.window.end)
    return {
        **_drawn(days, replayed.model.monitor or Monitor()), "windows": len(looks),
        "signals": [row for row in signals.values() if row["windows"]],
        "incidents": _incidents(project, replayed.model.name),
    }  # fmt: skip


def _drawn(days: list[Day], monitor: Monitor) -> dict[str, Any]:
    """The cells of the heat map, by column."""
    names = worst_first(days)[:COLUMNS]
    by_day = [{one.what: one for one in day.found if one.kind in DRIFTS} for day in days]
    cells = {
        name: [[None, "NO_DATA"] if (one := day.get(name)) is None else [one.effect, one.state.value] for day in by_day]
        for name in names
    }
    return {
        "starts": [instant_text(day.window.start) for day in days],
        "versions": [day.version for day in days], "cells": cells,
        "effect": monitor.effect, "severe": monitor.severe, "columns": len(worst_first(days)),
    }  # fmt: skip


def _incidents(project: Project, model: str) -> list[dict[str, Any]]:
    """Every incident as it stands in the end, from the ledger."""
    last: dict[str, dict[str, Any]] = {}
    opened: dict[str, int] = {}
    for entry in project.services.ledger.entries(kind=INCIDENT):
        if entry.subject.startswith(f"{model}/"):
            last[entry.subject] = dict(entry.body)
            opened.setdefault(entry.subject, entry.at)
    return [
        {
            "incident": subject.rpartition("/")[2], "opened": instant_text(opened[subject]),
            "onset": instant_text(body["onset"]), "state": body["state"],
            "ended": None if body.get("ended") is None else instant_text(body["ended"]),
            "severity": _severity(body), "origins": list(body.get("origins", ())),
            "members": [
                {"kind": one["kind"], "what": one["what"], "peak": one["peak"], "threshold": one["threshold"]}
                for one in body["members"]
            ],
        }
        for subject, body in last.items()
    ]  # fmt: skip


def _severity(body: dict[str, Any]) -> str:
    kinds = [one["kind"] for one in body["members"]]
    return max(kinds, key=lambda kind: LADDER.index(kind) if kind in LADDER else -1, default="")
