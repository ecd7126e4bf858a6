"""The charts of an advice on imbalance, from its JSON alone: costs, precision over recall, and reliability, by arm.

An arm has the same colour in all of them, by its place in the order of the arms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from backstay.core.drawing import WIDTH, Scale, drawing, element, line, log_ticks, text, ticks

STYLE = """
.chart{max-width:760px}.legend{list-style:none;padding:0;margin:.5rem 0 0;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;
font-size:13px}.legend svg{width:18px;height:6px;margin-right:6px}.legend line{stroke-width:3}
""" + "".join(f".legend .s{place}{{stroke:var(--s{place})}}" for place in range(6))
_LEFT, _RIGHT = 52, WIDTH - 10
_WORST = 1.6
"""Costs above so many times the constant's are drawn at the edge."""

Arms = Sequence[dict[str, Any]]


def legend(arms: Arms) -> str:
    """Which colour is which arm."""
    marks = (element("svg", line(0, 3, 18, 3, f"s{place % 6}")) for place in range(len(arms)))
    lines = (element("li", mark, escape(one["title"])) for mark, one in zip(marks, arms, strict=True))
    return element("ul", *lines, class_="legend")


def costs(arms: Arms, ratio: float | None) -> str:
    """The cost of each arm over that of the cheaper constant, by the ratio of costs; the user's ratio is marked."""
    points = [point for one in arms for point in one["cost_curve"]]
    x = Scale(min(a for a, _ in points), max(a for a, _ in points), _LEFT, _RIGHT, log=True)
    y = Scale(min(0.9, *(b for _, b in points)), _WORST, 250, 22)
    parts = [*_frame(x, y, 250, "a missed positive costs so many false alarms", "cost over the constant's")]
    parts.append(line(_LEFT, y(1), _RIGHT, y(1), "rule", "the cheaper of always yes and always no"))
    if ratio is not None and x.low <= ratio <= x.high:
        parts += [line(x(ratio), 22, x(ratio), 250, "zero", f"your costs: {ratio:g} to 1")]
        parts.append(text(x(ratio) + 5, 33, f"your costs: {ratio:g} to 1", "name"))
    parts += [_path(one["cost_curve"], x, y, place, one["title"]) for place, one in enumerate(arms)]
    return drawing("costs", 292, "What each arm's decisions cost, over the cost of the cheaper constant", parts)


def precision(arms: Arms, prevalence: float) -> str:
    """Precision over recall for each arm, over the prevalence, which a ranking by chance has."""
    curves = [
        list(zip(*(one["precision_curve"][axis] for axis in ("recall", "precision")), strict=True)) for one in arms
    ]
    top = max((b for one in curves for _, b in one), default=1.0)
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(prevalence / 2, max(top, prevalence * 4), 250, 22, log=True)
    parts = [*_frame(x, y, 250, "recall", "precision")]
    parts.append(line(_LEFT, y(prevalence), _RIGHT, y(prevalence), "rule", f"prevalence {prevalence:.3g}: chance"))
    parts.append(text(_RIGHT, y(prevalence) + 13, f"prevalence {prevalence:.3g}", "tick", "end"))
    parts += [_path(one, x, y, place, arms[place]["title"]) for place, one in enumerate(curves)]
    return drawing("precision", 292, "Precision over recall, and the prevalence", parts)


def reliability(arms: Arms) -> str:
    """What each arm said against what happened, a panel each, with intervals over days; on the line it was right."""
    said = [one["said"] for arm in arms for one in arm["reliability"] if one["said"] > 0]
    known = [one["happened"]["high"] for arm in arms for one in arm["reliability"] if "high" in one["happened"]]
    if not said or not known:
        return ""
    low, high = min(said) / 1.5, min(max(*said, *known) * 1.2, 1.0)
    parts: list[str] = []
    for place, arm in enumerate(arms):
        left, top = _LEFT + (place % 3) * 238, (place // 3) * 232 + 22
        parts += _panel(
            arm, place, Scale(low, high, left, left + 176, log=True), Scale(low, high, top + 170, top, log=True)
        )
    rows = (len(arms) + 2) // 3
    return drawing("reliability", rows * 232 + 10, "What was said against what happened", parts)


def _panel(arm: dict[str, Any], place: int, x: Scale, y: Scale) -> Iterator[str]:
    yield text(x.left, y.right - 7, arm["title"], "name")
    marks = [one for one in log_ticks(x.low, x.high) if f"{one:e}".startswith("1")]
    for one in marks:
        yield line(x.left, y(one), x.right, y(one), "grid")
        yield line(x(one), y.left, x(one), y.right, "grid")
        yield text(x.left - 5, y(one) + 4, f"{one:g}", "tick", "end")
        yield text(x(one), y.left + 14, f"{one:g}", "tick", "middle")
    yield line(x.left, y.left, x.right, y.right, "rule", "what is said happens")
    yield text(x.right, y.left + 28, "said, and happened", "axis", "end")
    for one in arm["reliability"]:
        happened = one["happened"]
        if "estimate" not in happened or one["said"] <= 0:
            continue
        at, lowest = x(one["said"]), y.low
        title = (
            f"said {one['said']:.3g}, happened {happened['estimate']:.3g} [{happened['low']:.3g}, "
            f"{happened['high']:.3g}]: {one['positives']:,} of {one['rows']:,} rows"
        )
        ends = y(max(happened["low"], lowest)), y(max(happened["high"], lowest))
        yield line(at, *ends[:1], at, *ends[1:], f"bar s{place % 6}", title)
        centre = y(max(happened["estimate"], lowest))
        yield element("circle", cx=at, cy=centre, r=3.2, class_=f"f{place % 6}", title=title)


def _frame(x: Scale, y: Scale, base: float, below: str, beside: str) -> Iterator[str]:
    """Grid, ticks and the axes' names."""
    values = log_ticks(y.low, y.high) if y.log else ticks(y.low, y.high)[0]
    for one in values:
        yield line(x.left, y(one), x.right, y(one), "grid")
        yield text(x.left - 6, y(one) + 4, f"{one:g}", "tick", "end")
    across = log_ticks(x.low, x.high) if x.log else ticks(x.low, x.high)[0]
    for one in across:
        yield text(x(one), base + 15, f"{one:g}", "tick", "middle")
    yield text(x.left, 11, beside, "axis")
    yield text(x.right, base + 32, below, "axis", "end")


def _path(points: Sequence[Sequence[float]], x: Scale, y: Scale, place: int, title: str) -> str:
    places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    return element("polyline", points=places, class_=f"curve s{place % 6}", title=title)
