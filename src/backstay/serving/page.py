"""The health page of the admin plane: what serves, since when, how fast, what was refused. Plain HTML, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from math import isinf, isnan
from time import time

from backstay.core.pages import document, table
from backstay.core.times import duration_text, instant_text
from backstay.core.version import VERSION
from backstay.evaluation.budgets import Kept, percent
from backstay.serving.desk import Desk
from backstay.serving.refusal import Refusal


def page(desk: Desk, kept: Sequence[Kept]) -> bytes:
    """The page as it is now; `kept` is what its models promise, and whether they keep it."""
    try:
        desk.ready()
        state = '<p class="good">Ready: every model is served.</p>'
    except Refusal as error:
        state = f'<p class="bad">Not ready: {escape(error.what)}.</p>'
    metrics = desk.metrics
    stages = [
        (name, f"{seen:,.0f}", _within(half), _within(most))
        for name, (seen, half, most) in metrics.latencies(0.5, 0.99).items()
    ]
    answered = metrics.statuses()
    counts = [(str(status), f"{number:,.0f}") for status, number in answered.items()]
    shed, errors = answered.get(429, 0.0), sum(n for status, n in answered.items() if status >= 500)
    total = sum(answered.values())
    workers = [
        (str(one.slot), str(one.pid), _at(one.since), duration_text(int((time() - one.since) * 1e6) // 10**6 * 10**6))
        for one in metrics.board.signs()
    ]
    return document(
        "backstay: health",
        f"<h1>backstay {escape(VERSION)}</h1>{state}",
        f"<p>{total:,.0f} requests answered, {shed:,.0f} of them refused under overload (429),",
        f" {errors:,.0f} failed (5xx). {metrics.board.starts()} workers started so far.</p>",
        table("Models", ("model", "version", "state", "why"), _models(desk)),
        table("Objectives", _OBJECTIVES, [row for one in kept for row in _kept(one)]),
        "<p>At a burn rate of 1x a budget lasts as long as it is for; <code>backstay objectives</code> tells more.</p>",
        table("Latency", ("stage", ">count", ">p50 within", ">p99 within"), stages),
        table("Answers", ("status", ">count"), counts),
        table("Workers", ("worker", ">pid", "since", "for"), workers),
        f"<p>{escape(instant_text(int(time()) * 10**6))}. Numbers are of all workers.</p>",
        refresh=10,
    ).encode()


def _models(desk: Desk) -> list[tuple[str, ...]]:
    return [(row["name"], row["version"] or "-", row["state"], row["reason"]) for row in desk.parts.repository.index()]


_OBJECTIVES = ("model", "objective", ">requests", ">good", ">burn 1h", ">6h", ">3d", ">budget left", "rings now")


def _kept(one: Kept) -> list[tuple[str, ...]]:
    if one.objective is None:
        return [(one.model, one.line, "", "", "", "", "", "", "")]
    out = []
    for budget in one.budgets:
        burns = ["-" if spent.burn is None else f"{spent.burn:.3g}x" for spent in budget.windows[:3]]
        own = budget.windows[-1]
        rings = "; ".join(alarm.text for alarm in budget.ringing)
        what = f"{percent(budget.target)} {budget.promise} over {duration_text(own.over)}: {one.objective.why}"
        good = "no requests" if own.share is None else percent(own.share)
        out.append((one.model, what, f"{own.requests:,}", good, *burns, percent(budget.left), rings or "nothing"))
    return out


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _within(seconds: float) -> str:
    if isnan(seconds):
        return "-"
    if isinf(seconds):
        return "over 2.5 s"
    return f"{seconds * 1e6:g} µs" if seconds < 1e-3 else f"{seconds * 1e3:g} ms"
