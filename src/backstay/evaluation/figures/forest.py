"""The forest of slices: a line a slice with how far its loss lies above that of the rest, and where no difference is.

What is bad is drawn in another colour and with another mark, and is said in words; a slice that can't be told has its
reason in the place of an interval.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from backstay.core.drawing import LETTER, WIDTH, Scale, drawing, element, line, rect, signed, text, ticks
from backstay.evaluation.interval import Interval
from backstay.evaluation.slices.confirm import Compared

BAD = ("worse", "confirmed")
"""Verdicts that are drawn as bad."""
_ROW, _TOP, _LEFT = 36.0, 34.0, 8.0


class ForestRow(NamedTuple):
    """A slice: its name or predicate, what was measured, and the verdict in one word."""

    label: str
    measured: Compared
    verdict: str


def slice_forest(rows: Sequence[ForestRow], loss: str, title: str, effect: float = 0.0) -> str:
    """The slices in the order given; `loss` names what is measured, `effect` is a mark of its own unless it is 0.

    >>> slice_forest([], "log loss", "slices")[:36]
    '<svg class="chart slices" viewBox="0'
    """
    if not rows:
        return drawing("slices", 40, title, [text(WIDTH / 2, 24, "no slice was looked at", "axis", "middle")])
    told = [one for row in rows if isinstance(one := row.measured.difference, Interval)]
    x = Scale(*_limits(told, effect), _LEFT, WIDTH - _LEFT)
    marks, decimals = ticks(x.low, x.high, 6)
    bottom = _TOP + _ROW * len(rows)
    parts = [text(_LEFT, 11, f"{loss} above that of the rest", "axis")]
    parts += [line(x(at), _TOP - 4, x(at), bottom, "grid") for at in marks]
    parts += [text(x(at), _TOP - 9, signed(at, decimals), "tick", "middle") for at in marks]
    parts.append(line(x(0), _TOP - 4, x(0), bottom, "zero", "no difference"))
    if effect:
        parts.append(line(x(effect), _TOP - 4, x(effect), bottom, "rule", f"the effect asked for: {effect:g}"))
    parts += [_row(row, x, _TOP + _ROW * place) for place, row in enumerate(rows)]
    return drawing("slices", bottom + 4, title, parts)


def _limits(told: Sequence[Interval], effect: float) -> tuple[float, float]:
    """What the axis shows: zero, the effect and the intervals, but not all of one many times wider than the usual."""
    usual = 4 * statistics.median_high([max(abs(one.low), abs(one.high)) for one in told] or [0.01])
    low = min([0.0, *(max(one.low, -usual) for one in told)])
    high = max([effect, 0.0, *(min(one.high, usual) for one in told)])
    pad = 0.05 * (high - low) or 0.01
    return low - pad, high + pad


def _row(row: ForestRow, x: Scale, y: float) -> str:
    one, middle, bad = row.measured.difference, y + 25, row.verdict in BAD
    line_, area = ("fail", "fail") if bad else ("s0", "f0")
    said = f"{row.label}: {row.verdict}, {one}, {row.measured.rows:,} rows from {row.measured.clusters:,} clusters"
    right = f"{row.verdict}, {row.measured.rows:,} rows"
    room = int((WIDTH - 2 * _LEFT) / LETTER) - len(right) - 2
    label = row.label if len(row.label) <= room else f"{row.label[: max(room - 1, 1)]}\u2026"
    parts = [rect(0, y + 1, WIDTH, y + _ROW - 1, "hover")]
    parts += [text(_LEFT, y + 13, label, "name"), text(WIDTH - _LEFT, y + 13, right, "axis", "end")]
    if isinstance(one, Interval):
        parts.append(line(x(one.low), middle, x(one.high), middle, f"bar {line_}"))
        for beyond, end, back in ((one.low < x.low, x.left, 7), (one.high > x.high, x.right, -7)):
            if beyond:
                parts.append(element("path", d=f"M{end:.1f} {middle:.1f}l{back} -4v8z", class_=f"arrow {area}"))
        if x.low <= one.estimate <= x.high:
            parts.append(_mark(x(one.estimate), middle, bad))
    else:
        parts.append(text(_LEFT, middle + 4, one.reason, "axis"))
    return element("g", *parts, title=said)


def _mark(x: float, y: float, bad: bool) -> str:
    """A square for what is bad, a disc for the rest: told apart without colour."""
    if bad:
        return element("rect", x=x - 4, y=y - 4, width=8.0, height=8.0, class_="shape fail")
    return element("circle", cx=x, cy=y, r=4.0, class_="shape f0")
