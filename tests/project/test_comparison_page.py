"""The comparison as a page: lines that break where a value is not finite, and as many points as can be seen."""

from __future__ import annotations

import math
import re

from backstay.project.comparison_figure import COLOURS, plot, ticks


def test_a_line_breaks_where_a_value_is_not_finite() -> None:
    drawn = plot("loss", [[(0, 1.0), (1, math.nan), (2, 2.0), (3, math.inf), (4, 3.0)], []], ["a", "b"])
    assert drawn.count("<polyline") == 3
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert "no value is a finite number" in plot("loss", [[(0, math.nan)]], ["a"])


def test_a_long_line_has_as_many_points_as_can_be_seen_and_keeps_its_spikes() -> None:
    curve = [(step, 100.0 if step == 54_321 else math.sin(step)) for step in range(100_000)]
    (points,) = re.findall(r'points="([^"]+)"', plot("loss", [curve], ["a"]))
    assert len(points.split()) <= 400
    assert min(float(point.split(",")[1]) for point in points.split()) == 8.0


def test_names_are_escaped_and_many_runs_told_apart() -> None:
    drawn = plot("<b>", [[(0, 1.0), (1, 1.0)] for _ in range(2 * len(COLOURS))], ["<i>"] * 2 * len(COLOURS))
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert drawn.count("stroke-dasharray") == len(COLOURS)


def test_ticks_are_round_whatever_the_range() -> None:
    for low, high in ((0, 1), (-1e-9, 1e-9), (1e300, 2e300), (5, 5), (0, 0), (-3, 100), (1e15, 1e15 + 1)):
        found = ticks(low, high)
        assert 1 <= len(found) <= 12
        assert found == sorted(set(found))
