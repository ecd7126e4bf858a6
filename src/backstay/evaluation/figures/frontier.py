"""The frontier: cost against gap, a point a policy with the limits of its gap, and the model as it is."""

from __future__ import annotations

from collections.abc import Sequence

from backstay.core.drawing import WIDTH, Scale, drawing, element, line, text, ticks
from backstay.evaluation.fairness.frontier import Frontier, Point
from backstay.evaluation.interval import Interval

_HIGH, _LEFT, _BELOW = 300.0, 70.0, 40.0


def frontier_figure(found: Frontier, others: Sequence[Point] = ()) -> str:
    """The frontier of a criterion; `others` are points of other models on the same rows."""
    given = [found.now, found.single, *others]
    points = [one for one in (*found.points, *given) if isinstance(one.gap, Interval)]
    costs = [one.cost for one in points] or [0.0, 1.0]
    widest = max((one.gap.high for one in points if isinstance(one.gap, Interval)), default=1.0)
    span = max(max(costs) - min(costs), 1e-6)
    x = Scale(0.0, widest, _LEFT, WIDTH - 12)
    y = Scale(min(costs) - span / 10, max(costs) + span / 10, _HIGH - _BELOW, 12)
    across, places = ticks(x.low, x.high)
    up, decimals = ticks(y.low, y.high)
    parts = [line(x(at), 12, x(at), _HIGH - _BELOW, "grid") for at in across]
    parts += [text(x(at), _HIGH - _BELOW + 16, f"{at:.{places}f}", "tick", "middle") for at in across]
    parts += [line(_LEFT, y(at), WIDTH - 12, y(at), "grid") for at in up]
    parts += [text(_LEFT - 6, y(at) + 4, f"{at:.{decimals}f}", "tick", "end") for at in up]
    parts.append(text((_LEFT + WIDTH) / 2, _HIGH - 4, f"gap in {found.criterion.replace('_', ' ')}", "tick", "middle"))
    parts.append(text(4, 10, "cost a row", "axis"))
    path = [(x(one.gap.estimate), y(one.cost)) for one in found.points if isinstance(one.gap, Interval)]
    parts.append(element("polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in path), class_="rule"))
    for one in points:
        now = any(one is other for other in given)
        assert isinstance(one.gap, Interval)
        needs = ", needs the attribute when it decides" if one.needs_attribute else ""
        said = f"{one.name}: cost {one.cost:.4f}, gap {one.gap.estimate:.3f}"
        said += f" ({one.gap.low:.3f} to {one.gap.high:.3f}){needs}"
        height = y(one.cost)
        parts.append(line(x(one.gap.low), height, x(one.gap.high), height, "bar s1" if now else "bar s0", said))
        mark = "f1" if now else "f0"
        parts.append(element("circle", title=said, cx=x(one.gap.estimate), cy=height, r=4.0, class_=mark))
    return drawing("frontier", _HIGH, f"what a smaller gap costs, by {found.partition}", parts)
