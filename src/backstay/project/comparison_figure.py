"""A metric over steps, a line a run, drawn as SVG that stands in a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

COLOURS = ("#1f5fa8", "#b4460f", "#176b2c", "#7a3e9d", "#8a6d00", "#0a7a7a", "#a11212", "#555555")
"""One a run, from the first again where there are more; its line is dashed then."""
_WIDE, _HIGH, _LEFT, _BELOW = 760, 240, 64, 24
_POINTS = 400
"""Points of a line at the most: of what falls together, the smallest and the largest."""

Point = tuple[int, float]


def plot(name: str, curves: Sequence[Sequence[Point]], labels: Sequence[str]) -> str:
    """The curves over common axes. Where a value is not finite its line is interrupted."""
    values = [value for one in curves for _, value in one if math.isfinite(value)]
    if not values:
        return '<p class="dim">no value is a finite number</p>'
    steps = [step for one in curves for step, _ in one]
    first, last = min(steps), max(steps)
    marks = ticks(min(values), max(values))
    low, high = min(marks[0], *values), max(marks[-1], *values)

    def x(step: float) -> float:
        return _LEFT + (step - first) / max(last - first, 1) * (_WIDE - _LEFT - 8)

    def y(value: float) -> float:
        return 8 + (high - value) / (high - low) * (_HIGH - _BELOW - 16)

    grid = "".join(
        f'<line x1="{_LEFT}" y1="{y(one):.1f}" x2="{_WIDE - 8}" y2="{y(one):.1f}" stroke="#ddd"/>'
        f'<text x="{_LEFT - 6}" y="{y(one) + 4:.1f}" text-anchor="end" fill="#555">{one:.6g}</text>'
        for one in marks
    )
    ends = "".join(
        f'<text x="{x(step):.1f}" y="{_HIGH - 4}" text-anchor="{anchor}" fill="#555">{text}</text>'
        for step, anchor, text in ((first, "start", f"step {first}"), (last, "end", f"{last}"))
    )
    lines = [
        _line(" ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in part), place, labels[place])
        for place, one in enumerate(curves)
        for part in _unbroken(one)
    ]
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" style="font:12px system-ui,sans-serif;max-width:100%" role="img">'
        f"<title>{escape(name)} over steps</title>{grid}{ends}{''.join(lines)}</svg>"
    )


def _line(points: str, place: int, label: str) -> str:
    dash = f' stroke-dasharray="{4 * (place // len(COLOURS))} 3"' if place >= len(COLOURS) else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="{COLOURS[place % len(COLOURS)]}" stroke-width="1.6"{dash} '
        f'stroke-linecap="round"><title>{escape(label)}</title></polyline>'
    )


def _unbroken(curve: Sequence[Point]) -> Iterator[list[Point]]:
    """The stretches of a curve in which every value is finite."""
    part: list[Point] = []
    for step, value in curve:
        if math.isfinite(value):
            part.append((step, value))
        elif part:
            yield _fewer(part)
            part = []
    if part:
        yield _fewer(part)


def _fewer(points: list[Point]) -> list[Point]:
    """As many points as can be seen: of each bin its smallest and its largest, in order."""
    if len(points) <= _POINTS:
        return points
    size = math.ceil(len(points) / (_POINTS // 2))
    bins = (points[at : at + size] for at in range(0, len(points), size))
    return [point for one in bins for point in sorted({min(one, key=_value), max(one, key=_value)})]


def _value(point: Point) -> float:
    return point[1]


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from low to high.

    >>> ticks(0.61, 0.83), ticks(2.0, 2.0)
    ([0.65, 0.7, 0.75, 0.8], [1.0, 1.5, 2.0, 2.5, 3.0])
    """
    if high - low <= abs(high) * 1e-9:
        low, high = low - max(abs(low) / 2, 1e-9), high + max(abs(high) / 2, 1e-9)
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * one for one in (1, 2, 5, 10) if unit * one >= rough)
    begin, end = math.ceil(low / step), math.floor(high / step)
    return [float(f"{place * step:.12g}") for place in range(begin, end + 1)]
