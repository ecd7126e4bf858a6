"""The report's charts: plain data in, the text of one `<svg>` out. No I/O, no script, no library.

A chart names classes and never colours: the page's style sheet knows light, dark and paper. What a chart is told is
text that anyone may have written, so all of it is escaped here; every mark has a `<title>` that says it in words.

    weeks       a metric with its interval by week, promotions as vertical marks, label maturity below on the same axis
    forest      one row a candidate: the gain with its interval, against zero and the margin
    ways        one row a version: gate, shadow, canary, champion, by time
    histogram   counts over a logarithmic axis, with marks
    share       how much of a whole, as one bar

>>> share(3, 4, "3 of 4 equal").startswith('<svg class="chart share" viewBox="0 0 760 10" role="img">')
True
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from backstay.core.drawing import (
    LETTER,
    LINE,
    WIDTH,
    Scale,
    Span,
    drawing,
    element,
    lanes,
    line,
    log_ticks,
    percent,
    rect,
    signed,
    text,
    ticks,
)
from backstay.core.times import DAY, instant_datetime

VERDICTS = {"PASS": "pass", "FAIL": "fail", "INSUFFICIENT": "insufficient"}


class Mark(NamedTuple):
    """A vertical line: where it stands on the x axis, its label, the sentence behind it, and a class of its own."""

    at: float
    label: str
    title: str
    kind: str = ""


class Bin(NamedTuple):
    """A bar of a histogram, from `low` up to and including `high`."""

    low: float
    high: float
    size: int


@dataclass(frozen=True, slots=True)
class Week:
    """One week: the metric as known in the end and as seen then, and the share of labels that were mature each time."""

    start: int
    end: int
    final: Span | None
    then: Span | None
    maturity: float | None
    maturity_then: float | None
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a forest plot; `text` stands on the right, `note` on a line of its own."""

    label: str
    verdict: str
    span: Span | None
    text: str
    title: str
    note: str = ""
    promoted: bool = False


class Bar(NamedTuple):
    """A stage on a version's way: from when to when, which, its share (how high it is drawn), a label inside it."""

    start: int
    end: int
    kind: str
    share: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Way:
    """One row of the picture of ways; `marks` are its gate's answers, `stop` is where it was taken back."""

    label: str
    trained: int | None
    bars: Sequence[Bar]
    marks: Sequence[Mark]
    stop: int | None
    text: str
    kind: str
    title: str
    note: str = ""


def _marks(marks: Sequence[Mark], scale: Scale, height: float) -> tuple[list[str], float]:
    """The marks with their labels above a plot of that height, and how much room the labels took."""
    marks = sorted(marks, key=lambda mark: mark.at)
    widths = [LETTER * len(mark.label) + 8 for mark in marks]
    places = [(scale(mark.at), width) for mark, width in zip(marks, widths, strict=True)]
    starts = [at if at + width <= WIDTH else at - width for at, width in places]
    rows = lanes(starts, widths)
    room = (max(rows, default=-1) + 1) * LINE + 8.0
    lines, labels = [], []
    for mark, start, row in zip(marks, starts, rows, strict=True):
        at, y = scale(mark.at), row * LINE
        lines.append(line(at, y + 2, at, room + height, f"mark {mark.kind}".strip(), mark.title))
        labels.append(text(start + 4, y + 11, mark.label, f"flag {mark.kind}".strip()))
    return [*lines, *labels], room


def weeks(rows: Sequence[Week], marks: Sequence[Mark], metric: str, title: str) -> str:
    """A metric by week with its intervals, the promotions, and the label maturity below on the same x axis."""
    if not rows:
        return drawing("weeks", 40, title, [text(WIDTH / 2, 24, "no week was replayed", "muted", "middle")])
    height, band, left = 200, 40, 46
    x = Scale(min(row.start for row in rows), max(row.end for row in rows), left, WIDTH - 8)
    flags, top = _marks(marks, x, height)
    base = top + height
    y = Scale(*_metric_limits(rows), base, top)
    values, decimals = ticks(y.low, y.high)
    grid = [line(left, y(value), WIDTH - 8, y(value), "grid") for value in values]
    grid += [text(left - 8, y(value) + 4, f"{value:.{decimals}f}", "tick", "end") for value in values]
    foot = base + 28 + band
    parts = [text(0, 11, metric, "axis"), *grid, *flags, *_metric(rows, x, y)]
    if not any(row.final or row.then for row in rows):
        parts.append(text((left + WIDTH) / 2, top + height / 2, f"no week has an {metric}", "muted", "middle"))
    return drawing("weeks", foot + 36, title, [*parts, *_maturity(rows, x, foot - band, foot), *_dates(rows, x, foot)])


def _metric_limits(rows: Sequence[Week]) -> tuple[float, float]:
    """What the y axis shows: everything, but no interval that is many times wider than the usual one in full."""
    spans = [span for row in rows for span in (row.final, row.then) if span]
    if not spans:
        return 0.5, 1.0
    usual = 4 * statistics.median_high(max(span.high - span.estimate, span.estimate - span.low) for span in spans)
    low = max(min(span.low for span in spans), min(span.estimate for span in spans) - usual)
    high = min(max(span.high for span in spans), max(span.estimate for span in spans) + usual)
    pad = 0.06 * (high - low) or 0.01
    return low - pad, high + pad


def _metric(rows: Sequence[Week], x: Scale, y: Scale) -> list[str]:
    """The points with their bars: as known in the end (filled), and as seen then (hollow, a little to the left)."""
    step = (x.right - x.left) / len(rows)
    radius, shift, dense = (3.6, 7.0, "") if step > 24 else (2.0, min(step / 4, 3.0), " dense")
    points = [(x((row.start + row.end) / 2), row) for row in rows]
    path = " ".join(f"{at:.1f},{y(row.final.estimate):.1f}" for at, row in points if row.final)
    parts = [element("polyline", points=path, class_="thread")]
    for at, row in points:
        marks = [rect(at - step / 2, y.right, at + step / 2, y.left, "hover")]
        if row.then:
            marks.append(line(at - shift, y(row.then.low), at - shift, y(row.then.high), f"bar then{dense}"))
            marks.append(element("circle", cx=at - shift, cy=y(row.then.estimate), r=radius - 0.4, class_="dot then"))
        if row.final:
            marks.append(line(at, y(row.final.low), at, y(row.final.high), f"bar{dense}"))
            marks.append(element("circle", cx=at, cy=y(row.final.estimate), r=radius, class_="dot"))
        else:
            marks.append(element("path", d=f"M{at - 3:.1f} {y.left - 9:.1f}l6 6m0 -6l-6 6", class_="none"))
        parts.append(element("g", *marks, title=row.title))
    return parts


def _maturity(rows: Sequence[Week], x: Scale, top: float, foot: float) -> list[str]:
    """A bar a week: how much was mature in the end (light), and how much of it was already then (dark)."""
    parts = [text(x.left, top - 7, "labels mature", "axis")]
    parts += [text(x.left - 8, y + 4, label, "tick", "end") for y, label in ((top, "100%"), (foot, "0%"))]
    parts += [line(x.left, y, x.right, y, "grid") for y in (top, foot)]
    gap = min(3.0, (x.right - x.left) / len(rows) / 6)
    for row in rows:
        for share, kind in ((row.maturity, "final"), (row.maturity_then, "then")):
            if share is not None:
                level = Scale(0, 1, foot, top)(share)
                parts.append(rect(x(row.start) + gap, level, x(row.end) - gap, foot, f"mature {kind}", row.title))
    return parts


def _dates(rows: Sequence[Week], x: Scale, foot: float) -> list[str]:
    """The first day of as many weeks as there is room for, with the year where it begins."""
    parts: list[str] = []
    year, free = 0, 0.0
    for row in sorted(rows, key=lambda row: row.start):
        at, day = x(row.start), instant_datetime(row.start)
        parts.append(line(at, foot, at, foot + 4, "grid"))
        if free <= at <= WIDTH - 36:
            free = at + 54
            parts.append(text(at, foot + 16, f"{day.day} {day:%b}", "tick"))
            parts += [text(at, foot + 30, str(day.year), "tick")] if day.year != year else []
            year = day.year
    return parts


def forest(rows: Sequence[Row], margin: float | None, metric: str, title: str, among: Sequence[Row] = ()) -> str:
    """The candidates' gains with their intervals, worse than the champion on the left and better on the right.

    `among` are the rows of all the plots that are to share one axis.
    """
    left, right, top = 168, 556, 26.0
    x = Scale(*_gain_limits([row.span for row in among or rows if row.span], margin or 0.0), left, right)
    heights = [38.0 if row.note else 24.0 for row in rows]
    base = top + sum(heights)
    values, decimals = ticks(x.low, x.high, 6)
    parts = [line(x(value), top, x(value), base, "grid") for value in values]
    parts += [text(x(value), base + 15, signed(value, decimals), "tick", "middle") for value in values]
    parts += [text(left, base + 31, "\u2190 worse", "axis"), text(right, base + 31, "better \u2192", "axis", "end")]
    parts.append(text((left + right) / 2, base + 31, f"gain in {metric}", "axis", "middle"))
    parts.append(line(x(0), top, x(0), base, "zero", "no difference"))
    if margin is not None:
        at, said = x(margin), f"margin {signed(margin, 9).rstrip('0').rstrip('.') or '0'}"
        side, anchor = (-5, "end") if at > right - 100 else (5, "")
        parts.append(rect(at, top, right, base, "room"))
        parts += [line(at, top - 12, at, base, "margin", said), text(at + side, top - 5, said, "flag", anchor)]
    tops = accumulate(heights, initial=top)
    parts += [_candidate(row, x, y, height) for row, y, height in zip(rows, tops, heights, strict=False)]
    return drawing("forest", base + 38, title, parts)


def _gain_limits(spans: Sequence[Span], margin: float) -> tuple[float, float]:
    """What the x axis shows: zero, the margin and the intervals, but not all of one far beyond the usual."""
    usual = 3 * statistics.median_high([max(abs(span.low), abs(span.high)) for span in spans] or [0.01])
    low = min(0.0, margin, max(min([span.low for span in spans], default=0.0), -usual))
    high = max(0.0, margin, min(max([span.high for span in spans], default=0.0), usual))
    pad = 0.05 * (high - low) or 0.01
    return low - pad, high + pad


def _candidate(row: Row, x: Scale, y: float, height: float) -> str:
    """One row: its name and verdict, its interval, and its numbers. An end beyond the axis is an arrow."""
    kind, middle = VERDICTS.get(row.verdict, "insufficient"), y + 12
    parts = [rect(0, y + 1, WIDTH, y + height - 1, "planted" if row.note else "hover")]
    parts += [text(6, middle + 4, row.label, "name"), _shape(kind, 50, middle)]
    parts.append(text(61, middle + 4, row.verdict, f"verdict {kind}"))
    if row.promoted:
        parts.append(text(66 + 8 * len(row.verdict), middle + 4, "promoted", "tick"))
    if row.note:
        parts.append(text(61, middle + 18, row.note, "note"))
    parts.append(text(WIDTH - 6, middle + 4, row.text, "value" if row.span else "muted", "end"))
    if row.span:
        parts.append(line(x(row.span.low), middle, x(row.span.high), middle, f"gain {kind}"))
        for beyond, end, back in ((row.span.low < x.low, x.left - 4, 7), (row.span.high > x.high, x.right + 4, -7)):
            if beyond:
                parts.append(element("path", d=f"M{end:.1f} {middle}l{back} -4v8z", class_=f"arrow {kind}"))
        if x.low <= row.span.estimate <= x.high:
            parts.append(_shape(kind, x(row.span.estimate), middle))
    return element("g", *parts, title=row.title)


def _shape(kind: str, x: float, y: float) -> str:
    """A disc for PASS, a cross for FAIL, a ring for INSUFFICIENT: told apart without colour."""
    if kind == "fail":
        return element("path", d=f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8", class_="shape fail")
    return element("circle", cx=float(x), cy=float(y), r=4.5, class_=f"shape {kind}")


def ways(rows: Sequence[Way], start: int, end: int, title: str) -> str:
    """The ways of versions from `start` to `end`: a bar a stage, the higher the larger its share."""
    left, right, top = 44, 592, 6.0
    x = Scale(start, end, left, right)
    heights = [40.0 if row.note else 26.0 for row in rows]
    base = top + sum(heights)
    parts = []
    free = 0.0
    for moment in range(start, end + 1, 7 * DAY):
        at, day = x(moment), instant_datetime(moment)
        parts.append(line(at, top, at, base, "grid"))
        if free <= at < right - 20:
            free = at + 54
            parts.append(text(at, base + 15, f"{day.day} {day:%b}", "tick"))
    tops = accumulate(heights, initial=top)
    parts += [_way(row, x, y, height) for row, y, height in zip(rows, tops, heights, strict=False)]
    return drawing("ways", base + 22, title, parts)


def _way(row: Way, x: Scale, y: float, height: float) -> str:
    """One row: its name, when it was trained, its stages, what its gate said, where it was stopped, and the end."""
    middle = y + 13
    parts = [rect(0, y + 1, WIDTH, y + height - 1, "planted" if row.note else "hover")]
    parts += [text(6, middle + 4, row.label, "name")]
    first = min([bar.start for bar in row.bars] + [int(mark.at) for mark in row.marks], default=row.trained)
    if row.trained is not None and first is not None:
        parts.append(line(x(row.trained), middle, x(first), middle, "stretch", f"{row.label} is being judged"))
        parts.append(element("circle", cx=x(row.trained), cy=middle, r=2.4, class_="trained"))
    for bar in row.bars:
        half = 1.0 if bar.kind == "waits" else 9 * max(bar.share, 0.03) ** 0.5
        parts.append(rect(x(bar.start), middle - half, x(bar.end), middle + half, f"stage {bar.kind}", bar.title))
        if x(bar.end) - x(bar.start) > LETTER * len(bar.label) + 4:
            # A label that a thin bar cannot hold stands above it.
            inside = half > 6
            at = (x(bar.start) + x(bar.end)) / 2
            kind = f"inside {bar.kind}" if inside else "tick"
            parts.append(text(at, middle + 4 if inside else middle - half - 2, bar.label, kind, "middle"))
    for mark in row.marks:
        parts.append(
            element("g", _shape(VERDICTS.get(mark.kind, "insufficient"), x(mark.at), middle), title=mark.title)
        )
    if row.stop is not None:
        at = x(row.stop)
        parts.append(line(at, middle - 11, at, middle + 11, "stop"))
        parts.append(_shape("fail", at + 8, middle))
    if row.note:
        parts.append(text(44, middle + 20, row.note, "note"))
    parts.append(text(604, middle + 4, row.text, f"outcome {row.kind}"))
    return element("g", *parts, title=row.title)


def histogram(bins: Sequence[Bin], marks: Sequence[Mark], unit: str, title: str) -> str:
    """Counts over a logarithmic axis, with the marks above it: a bar's area is its count, however wide it is."""
    bins, marks = [item for item in bins if item.size], [mark for mark in marks if mark.at > 0]
    if not bins:
        return drawing("histogram", 40, title, [text(WIDTH / 2, 24, "nothing was timed", "muted", "middle")])
    height, left, right = 140, 4, WIDTH - 8
    low = min([item.low for item in bins] + [mark.at / 1.2 for mark in marks])
    high = max([item.high for item in bins] + [mark.at * 1.2 for mark in marks])
    x = Scale(low, high, left, right, log=True)
    flags, top = _marks(marks, x, height)
    base = top + height
    total, density = sum(item.size for item in bins), [item.size / math.log(item.high / item.low) for item in bins]
    y = Scale(0, max(density), base, top + 18)
    parts = [line(left, base, right, base, "grid")]
    for item, dense in zip(bins, density, strict=True):
        said = f"{item.size:,} of {total:,} from {item.low:.3g} to {item.high:.3g} {unit}"
        start, end, level = x(item.low), x(item.high), min(y(dense), base - 1)
        parts.append(rect(start + 0.5, level, end - 0.5, base, "count", said))
        label = percent(item.size / total) if item.size < total / 10 else f"{item.size / total:.0%}"
        if end - start > LETTER * len(label):
            parts.append(text((start + end) / 2, level - 5, label, "tick", "middle"))
    for value in log_ticks(low, high):
        parts.append(line(x(value), base, x(value), base + 4, "grid"))
        parts.append(text(x(value), base + 16, f"{value:g}", "tick", "middle"))
    parts.append(text(right, base + 32, f"{unit}, logarithmic", "axis", "end"))
    return drawing("histogram", base + 38, title, [*parts[:1], *flags[: len(marks)], *parts[1:], *flags[len(marks) :]])


def share(part: float, whole: float, title: str) -> str:
    """How much of the whole, as one bar."""
    end = Scale(0, max(whole, part, 1e-9), 0, WIDTH)(part)
    return drawing("share", 10, title, [rect(0, 0, WIDTH, 10, "rest"), rect(0, 0, end, 10, "part")])
