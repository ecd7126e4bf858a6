"""The waterfall of a gap: from one quality to the other, a bar for each step, with the interval of what it costs.

What makes it worse and what is not explained are drawn in colours of their own, and are said in words; the first and
the last bar are the two qualities, and the scale begins where they differ, not at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from backstay.core.drawing import LETTER, WIDTH, Scale, drawing, element, line, rect, signed, text, ticks

_ROW, _TOP, _LEFT = 34.0, 30.0, 8.0
_NAMES, _FIGURES = 178.0, 196.0


class WaterfallStep(NamedTuple):
    """A step: its name, by how much it makes it worse (estimate, low, high), and whether it is left over."""

    label: str
    effect: float
    low: float
    high: float
    rest: bool = False


def waterfall(
    before: tuple[str, float], after: tuple[str, float], steps: Sequence[WaterfallStep], title: str, *, larger: bool
) -> str:
    """The way from `before` to `after`, each a name and a value in the metric's unit.

    steps:  in order; their effects sum to the difference, positive is worse
    larger: whether larger is better: a step that makes it worse goes to the left then

    >>> step = WaterfallStep("unit change", 0.05, 0.03, 0.07)
    >>> waterfall(("offline", 0.82), ("online", 0.77), [step], "the gap", larger=True)[:39]
    '<svg class="chart waterfall" viewBox="0'
    """
    sign = -1.0 if larger else 1.0
    starts = [before[1]]
    for one in steps:
        starts.append(starts[-1] + sign * one.effect)
    x = Scale(*_limits(starts, steps, sign), _LEFT + _NAMES, WIDTH - _FIGURES)
    marks, decimals = ticks(x.low, x.high, 5)
    bottom = _TOP + _ROW * (len(steps) + 2)
    parts = [line(x(at), _TOP - 6, x(at), bottom, "grid") for at in marks]
    parts += [text(x(at), _TOP - 11, f"{at:.{decimals}f}", "tick", "middle") for at in marks]
    parts.append(_end(before, x, _TOP))
    for place, one in enumerate(steps):
        parts.append(_step(one, starts[place], sign, x, _TOP + _ROW * (place + 1)))
    parts.append(_end(after, x, _TOP + _ROW * (len(steps) + 1)))
    return drawing("waterfall", bottom + 4, title, parts)


def _limits(starts: Sequence[float], steps: Sequence[WaterfallStep], sign: float) -> tuple[float, float]:
    """Both qualities, every step, and the ends of the intervals unless these are many times wider than the steps."""
    low, high = min(starts), max(starts)
    room = max(high - low, 1e-9)
    for one, start in zip(steps, starts, strict=False):
        ends = sorted((start + sign * one.low, start + sign * one.high))
        low, high = min(low, max(ends[0], min(starts) - room)), max(high, min(ends[1], max(starts) + room))
    pad = 0.06 * (high - low) or 0.01
    return low - pad, high + pad


def _end(quality: tuple[str, float], x: Scale, y: float) -> str:
    name, value = quality
    middle = y + _ROW / 2
    parts = [
        rect(0, y + 1, WIDTH, y + _ROW - 1, "hover"), text(_LEFT, middle + 4, name, "name"),
        line(x(value), y + 5, x(value), y + _ROW - 5, "bar s0"),
        element("circle", cx=x(value), cy=middle, r=5.0, class_="shape f0"),
        text(WIDTH - _LEFT, middle + 4, f"{value:.4f}", "axis", "end"),
    ]  # fmt: skip
    return element("g", *parts, title=f"{name}: {value:.4f}")


def _step(one: WaterfallStep, start: float, sign: float, x: Scale, y: float) -> str:
    end, middle = start + sign * one.effect, y + _ROW / 2
    said = f"{signed(one.effect)} [{signed(one.low)}, {signed(one.high)}]"
    colour = "insufficient" if one.rest else "fail" if one.effect > 0 else "pass"
    left, right = sorted((x(start), x(end)))
    low, high = sorted((x(start + sign * one.low), x(start + sign * one.high)))
    most = int(_NAMES / LETTER)
    name = one.label if len(one.label) <= most else f"{one.label[: most - 1]}\u2026"
    parts = [
        rect(0, y + 1, WIDTH, y + _ROW - 1, "hover"), text(_LEFT, middle + 4, name, "name" if not one.rest else "axis"),
        rect(left, y + 8, max(right, left + 1.5), y + _ROW - 8, f"part count {colour}"),
        line(low, middle, high, middle, f"bar {colour}"),
        line(x(end), y + _ROW - 8, x(end), y + _ROW + 8, "rule"),
        text(WIDTH - _LEFT, middle + 4, said, "axis", "end"),
    ]  # fmt: skip
    return element("g", *parts, title=f"{one.label}: {said}, {'worse' if one.effect > 0 else 'better'}")
