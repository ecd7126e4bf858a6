"""A plane: two axes with round ticks, and curves, bands, marks and rules drawn over them.

>>> plane = Plane("recall", "precision", (0, 1), (0, 1))
>>> plane.curve([(0, 1), (1, 0.2)], "model", place=0)
>>> plane.svg("Precision and recall")[:34]
'<svg class="chart plane" viewBox="'
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from backstay.core.drawing import LETTER, Scale, drawing, element, line, rect, text, ticks

Point = tuple[float, float]

WIDE, HIGH = 760, 330
_LEFT, _RIGHT, _TOP, _BELOW = 52, 12, 26, 40
COLOURS = 6


class Plane:
    """Draws on two linear axes, or a logarithmic x. Points that are not finite interrupt a curve."""

    def __init__(self, across: str, up: str, x: Point, y: Point, *, log: bool = False) -> None:
        self.x = Scale(*_some(x), _LEFT, WIDE - _RIGHT, log=log)
        self.y = Scale(*_some(y), HIGH - _BELOW, _TOP)
        self._across, self._up = across, up
        self._back: list[str] = []
        self._front: list[str] = []
        self._legend: list[tuple[str, str]] = []

    def curve(self, points: Sequence[Point], label: str, place: int, *, title: str = "") -> None:
        """A line through points, in the colour of its place, named in the legend."""
        for part in _unbroken(points):
            path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in part)
            kind = f"curve s{place % COLOURS}"
            self._front.append(element("polyline", title=title or label, points=path, class_=kind))
        self._legend.append((label, f"f{place % COLOURS}"))

    def band(self, low: Sequence[Point], high: Sequence[Point], place: int) -> None:
        """The area between two lines with the same x."""
        corners = [*low, *reversed(high)]
        if corners and all(map(_finite, corners)):
            path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in corners)
            self._back.append(element("polygon", points=path, class_=f"band f{place % COLOURS}"))

    def mark(self, x: float, y: float, title: str, place: int, span: Point | None = None) -> None:
        """A point, with the bar of its interval."""
        if not _finite((x, y)):
            return
        parts = []
        if span is not None:
            parts.append(line(self.x(x), self.y(span[0]), self.x(x), self.y(span[1]), f"bar s{place % COLOURS}"))
        parts.append(element("circle", cx=self.x(x), cy=self.y(y), r=3.6, class_=f"f{place % COLOURS}"))
        self._front.append(element("g", *parts, title=title))

    def column(self, left: float, right: float, height: float, title: str, place: int) -> None:
        """A bar from the x axis up."""
        box = rect(
            self.x(left) + 0.5, self.y(height), self.x(right) - 0.5, self.y.left, f"count f{place % COLOURS}", title
        )
        self._back.append(box)

    def across(self, y: float, label: str) -> None:
        """A dashed horizontal line with its label above it, at the left."""
        at = self.y(y)
        self._back.append(line(self.x.left, at, self.x.right, at, "rule", label))
        self._front.append(text(self.x.left + 6, at - 5, label, "flag axis"))

    def upright(self, x: float, label: str) -> None:
        """A dashed vertical line with its label at the top."""
        at = self.x(x)
        self._back.append(line(at, self.y.right, at, self.y.left, "rule", label))
        near = at + LETTER * len(label) + 8 > self.x.right
        self._front.append(text(at + (-5 if near else 5), self.y.right + 11, label, "flag axis", "end" if near else ""))

    def slope(self, start: Point, end: Point, label: str) -> None:
        """A dashed line between two points."""
        ends = (self.x(start[0]), self.y(start[1]), self.x(end[0]), self.y(end[1]))
        self._back.append(line(*ends, "rule", label))

    def svg(self, title: str) -> str:
        """The drawing, named by its title."""
        return drawing("plane", HIGH, title, [*self._axes(), *self._back, *self._front, *self._names()])

    def _axes(self) -> list[str]:
        out = []
        values, decimals = ticks(self.y.low, self.y.high)
        for value in values:
            out.append(line(self.x.left, self.y(value), self.x.right, self.y(value), "grid"))
            out.append(text(self.x.left - 8, self.y(value) + 4, f"{value:,.{decimals}f}", "tick", "end"))
        marks = self._powers() if self.x.log else ticks(self.x.low, self.x.high, 8)
        for value in marks[0]:
            label = f"{value:g}" if self.x.log else f"{value:,.{marks[1]}f}"
            out.append(line(self.x(value), self.y.left, self.x(value), self.y.left + 4, "grid"))
            out.append(text(self.x(value), self.y.left + 16, label, "tick", "middle"))
        out.append(text(0, 11, self._up, "axis"))
        out.append(text(self.x.right, HIGH - 6, self._across, "axis", "end"))
        return out

    def _powers(self) -> tuple[list[float], int]:
        first, last = math.floor(math.log10(self.x.low)), math.ceil(math.log10(self.x.high))
        return [10.0**power for power in range(first, last + 1) if self.x.low <= 10.0**power <= self.x.high], 0

    def _names(self) -> list[str]:
        """The legend, from the right end of the first line leftwards."""
        out, at = [], self.x.right
        for label, kind in reversed(self._legend):
            at -= LETTER * len(label)
            out.append(text(at, 11, label))
            out.append(element("circle", cx=at - 9, cy=7.5, r=4.0, class_=kind))
            at -= 26
        return out


def _finite(point: Point) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _some(span: Point) -> Point:
    """Limits that are apart."""
    low, high = span
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _unbroken(points: Sequence[Point]) -> list[list[Point]]:
    parts: list[list[Point]] = [[]]
    for point in points:
        if _finite(point):
            parts[-1].append(point)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]
