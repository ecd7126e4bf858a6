"""A plane of pairs: how many rows have this score from one model, and that one from another. Darker is more.

>>> told = {"low": 0.0, "high": 1.0, "bins": 2, "cells": [[0, 0, 5], [1, 0, 2]]}
>>> density(told, ("champion", "candidate"), (0.5, 0.5), "Scores")[:36]
'<svg class="chart density" viewBox="'
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from backstay.core.drawing import Scale, drawing, element, line, text, ticks

_SIDE, _LEFT, _TOP, _BELOW = 400.0, 64.0, 26.0, 40.0


def density(told: Mapping[str, Any], names: tuple[str, str], thresholds: tuple[float, float] | None, title: str) -> str:
    """The drawing of a grid of pairs. names: across and up; thresholds: where their decisions change."""
    low, high, bins = told["low"], told["high"], told["bins"]
    x, y = Scale(low, high, _LEFT, _LEFT + _SIDE), Scale(low, high, _TOP + _SIDE, _TOP)
    most = max((count for _, _, count in told["cells"]), default=1)
    parts = [*_axes(x, y, names)]
    step = (high - low) / bins
    for across, up, count in told["cells"]:
        left, right = low + across * step, low + (across + 1) * step
        bottom, top = low + up * step, low + (up + 1) * step
        said = f"{names[0]} {left:.3f} to {right:.3f}, {names[1]} {bottom:.3f} to {top:.3f}: {count:,} rows"
        shade = 0.15 + 0.85 * math.log1p(count) / math.log1p(most)
        parts.append(
            element(
                "rect", title=said, x=x(left), y=y(top), width=x(right) - x(left) + 0.3,
                height=y(bottom) - y(top) + 0.3, class_="f0", opacity=f"{shade:.2f}",
            )
        )  # fmt: skip
    parts.append(line(x(low), y(low), x(high), y(high), "rule", "both say the same"))
    parts += _quadrants(x, y, thresholds, names)
    return drawing("density", _TOP + _SIDE + _BELOW, title, parts)


def _axes(x: Scale, y: Scale, names: tuple[str, str]) -> list[str]:
    marks, decimals = ticks(x.low, x.high)
    out = [text(0, 12, names[1], "axis"), text(x.right, y.left + 34, names[0], "axis", "end")]
    for at in marks:
        said = f"{at:.{decimals}f}"
        out.append(line(x.left, y(at), x.right, y(at), "grid"))
        out.append(line(x(at), y.left, x(at), y.right, "grid"))
        out.append(text(x.left - 8, y(at) + 4, said, "tick", "end"))
        out.append(text(x(at), y.left + 16, said, "tick", "middle"))
    return out


def _quadrants(x: Scale, y: Scale, thresholds: tuple[float, float] | None, names: tuple[str, str]) -> list[str]:
    """The thresholds, and in words the two corners where the decisions differ, beside the plane."""
    if thresholds is None:
        return []
    first, second = thresholds
    out = []
    if x.low < first < x.high:
        out.append(line(x(first), y.left, x(first), y.right, "zero", f"{names[0]} decides true from {first:g} on"))
    if y.low < second < y.high:
        out.append(line(x.left, y(second), x.right, y(second), "zero", f"{names[1]} decides true from {second:g} on"))
    beside = x.right + 14
    words = ["above left of the lines: the decision would", "be true and was false;", "",
             "below right: it would be false and was true"]  # fmt: skip
    return out + [text(beside, y.right + 14 + 15 * place, one, "axis") for place, one in enumerate(words) if one]
