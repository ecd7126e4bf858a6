"""The forest of one rate: a line a cell with its interval, and where all rows together stand."""

from __future__ import annotations

from backstay.core.drawing import LETTER, WIDTH, Scale, drawing, element, line, text, ticks
from backstay.evaluation.fairness.rates import SHORT
from backstay.evaluation.fairness.report import Group
from backstay.evaluation.interval import Interval

_ROW, _TOP = 20.0, 24.0


def rates_figure(group: Group, rate: str) -> str:
    """One rate over the cells of a group; a cell that can't be told has its reason in the place of an interval."""
    left = min(max((len(cell.name) for cell in group.cells), default=1) * LETTER + 12, WIDTH / 2)
    told = [one for cell in group.cells if isinstance(one := cell.rates[rate], Interval)]
    high = max((one.high for one in told), default=1.0)
    low = min((one.low for one in told), default=0.0)
    x = Scale(max(low - 0.02, 0.0), min(high + 0.02, 1.0), left, WIDTH - 8)
    marks, decimals = ticks(x.low, x.high)
    bottom = _TOP + _ROW * len(group.cells)
    parts = [line(x(at), _TOP - 4, x(at), bottom, "grid") for at in marks]
    parts += [text(x(at), 12, f"{at:.{decimals}f}", "tick", "middle") for at in marks]
    for place, cell in enumerate(group.cells):
        y = _TOP + _ROW * (place + 0.5)
        parts.append(text(left - 8, y + 4, cell.name, anchor="end"))
        one = cell.rates[rate]
        if isinstance(one, Interval):
            said = f"{cell.name}: {SHORT[rate]} {one.estimate:.3f}, {one.low:.3f} to {one.high:.3f}, of {one.n} rows"
            parts.append(line(x(one.low), y, x(one.high), y, "bar s0", said))
            parts.append(element("circle", title=said, cx=x(one.estimate), cy=y, r=4.0, class_="f0"))
        else:
            parts.append(text(left + 4, y + 4, one.reason, "axis"))
    return drawing("rates", bottom + 4, f"{SHORT[rate]} by {group.name}", parts)
