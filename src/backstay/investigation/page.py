"""The page of an investigation: one HTML file that needs nothing else, with the waterfall and every verdict."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from backstay.core.drawing import STYLE
from backstay.core.pages import document, facts, table
from backstay.core.times import instant_text
from backstay.evaluation.figures.waterfall import WaterfallStep, waterfall
from backstay.evaluation.interval import Interval
from backstay.investigation.report import Investigation
from backstay.investigation.verdicts import Verdict


def figure(told: Investigation) -> str:
    """The waterfall as SVG; "" where there is no gap to be drawn."""
    ends = told.offline.value, told.online.value
    if not (isinstance(ends[0], Interval) and isinstance(ends[1], Interval)):
        return ""
    steps = [
        WaterfallStep(one.label, one.effect.estimate, one.effect.low, one.effect.high, one.cause is None)
        for one in told.waterfall
        if one.effect is not None
    ]
    title = f"{told.model}: from offline to online, {told.metric.replace('_', ' ')}"
    return waterfall(("offline", ends[0].estimate), ("online", ends[1].estimate), steps, title, larger=told.larger)


def section(told: Investigation) -> str:
    """The investigation as a part of another page."""
    return "".join(_parts(told))


def page(told: Investigation) -> str:
    """The page; its drawings follow the reader's light or dark."""
    title = f"{told.model}, version {told.version}: why online is worse than offline"
    return document(title, f"<h1>{escape(title)}</h1>", *_parts(told), style=STYLE)


def _parts(told: Investigation) -> Iterator[str]:
    yield facts("", {
        "asked": f"{instant_text(told.since)[:16]} to {instant_text(told.until)[:16]}",
        "labels as of": instant_text(told.as_of)[:16], "metric": told.metric.replace("_", " "),
        "offline": f"{told.offline.value}, {told.offline.rows:,} rows: {told.offline.said}",
        "online": f"{told.online.value}, {told.online.rows:,} rows, {told.online.maturity:.0%} mature",
        "worse by": str(told.gap), "counts from": f"{told.material:.4f}",
    })  # fmt: skip
    if drawn := figure(told):
        note = "each step with its 95% interval; what is left over is sampling, or a cause that is not looked for"
        yield f"<figure>{drawn}<figcaption>{note}</figcaption></figure>"
    for place, one in enumerate(told.ranked, 1):
        yield f"<section><h2>{place}. {escape(one.cause.words)}</h2><p>{escape(_sentence(one.why))}</p>"
        rows = f"<p class='dim'>Predictions that show it best: {', '.join(one.rows)}</p>" if one.rows else ""
        yield f"<p><b>To do:</b> {escape(_sentence(one.next))}</p>{rows}</section>"
    yield "<h2>All that was looked at</h2>"
    lines = [
        (one.cause.words, one.state.value, "" if one.effect is None else str(one.effect), one.why)
        for one in told.verdicts
    ]
    yield table("", ("cause", "verdict", ">costs", "why"), lines)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def told_cause(one: Verdict) -> str:
    """One line: the cause, how sure, what it costs."""
    return (
        f"{one.cause.words} ({one.surely}): costs {one.effect}" if one.effect else f"{one.cause.words} ({one.surely})"
    )
