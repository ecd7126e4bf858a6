"""A heat map of drift: a line a column, a cell a window, the darker the further it lies from its reference.

Colour says how large the effect is, a bar below the cell that it was shown to be: what is dark and has none may be
chance. A window without rows is left blank; the state is in the mark's title.

>>> cells = [Cell(0.02, "OK"), Cell(0.31, "DRIFT"), Cell(None, "NO_DATA")]
>>> told = heat_map([("distance", cells)], [0, 86_400_000_000, 172_800_000_000], "drift", edges=(0.1, 0.2))
>>> told.count("<title>"), "distance, 1970-01-02: PSI 0.310, DRIFT" in told
(5, True)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from backstay.core.drawing import LETTER, WIDTH, drawing, element, line, rect, text
from backstay.core.times import instant_datetime

ROW, _TOP, _BELOW = 15, 26, 26
_NAMES = 26
"""Letters of a name that are shown; the whole of it is in the mark's title."""
_SHADES = 6


class Cell(NamedTuple):
    """One column in one window: its effect (None: there is none), and its state."""

    effect: float | None
    state: str
    note: str = ""


def heat_map(
    rows: Sequence[tuple[str, Sequence[Cell]]],
    starts: Sequence[int],
    title: str,
    *,
    edges: tuple[float, float],
    marks: Sequence[tuple[int, str]] = (),
) -> str:
    """The drawing: `rows` from above, `starts` of windows in microseconds, from left to right.

    edges: the effect that is tolerated, and the one that must not be missed: shades step at these
    marks: moments with a word each, such as promotions: a dashed line through all columns
    """
    if not rows or not starts:
        return ""
    left = min(_NAMES, max(len(name) for name, _ in rows)) * LETTER + 10
    wide = min((WIDTH - left) / len(starts), 34.0)
    foot = _TOP + ROW * len(rows)
    bounds = _bounds(edges)
    parts = [part for place, row in enumerate(rows) for part in _line(row, place, starts, left, wide, bounds)]
    parts += _times(starts, left, wide, foot) + _legend(bounds, left)
    parts += [part for at, word in marks for part in _mark(at, word, starts, left, wide, foot)]
    return drawing("heat", foot + _BELOW, title, parts)


def _bounds(edges: tuple[float, float]) -> list[float]:
    """Where shades step: half of what is tolerated, that, what must not be missed, and from there by doubling."""
    low, high = edges
    return [low / 2, low, high, 2 * high, 4 * high]


def _line(
    row: tuple[str, Sequence[Cell]], place: int, starts: Sequence[int], left: float, wide: float, bounds: list[float]
) -> list[str]:  # fmt: skip
    name, cells = row
    top = _TOP + ROW * place
    short = name if len(name) <= _NAMES else name[: _NAMES - 1] + "…"
    parts = [element("g", text(left - 6, top + 11, short, "tick", "end"), title=name)]
    for start, cell, at in zip(starts, cells, range(len(starts)), strict=False):
        x = left + wide * at
        said = "no rows" if cell.effect is None else f"PSI {cell.effect:.3f}"
        words = f"{name}, {_day(start)}: {said}, {cell.state}" + (f"; {cell.note}" if cell.note else "")
        if cell.effect is None:
            parts.append(rect(x, top + 1, x + wide - 0.4, top + ROW - 3, "hover", words))
            continue
        shade = 0.05 + 0.95 * bisect_right(bounds, cell.effect) / (_SHADES - 1)
        box = {"x": x, "y": top + 1.0, "width": max(wide - 0.4, 0.6), "height": ROW - 4.0}
        parts.append(element("rect", title=words, class_="cell", fill_opacity=f"{shade:.2f}", **box))
        if cell.state == "DRIFT":
            parts.append(rect(x, top + ROW - 2.4, x + wide, top + ROW - 0.4, "drifts"))
    return parts


def _times(starts: Sequence[int], left: float, wide: float, foot: float) -> list[str]:
    """The days below, as many as have room."""
    step = max(1, -(-52 // max(1, int(wide))))
    parts = []
    for at in range(0, len(starts), step):
        day, x = instant_datetime(starts[at]), left + wide * at
        if x + 6 * LETTER <= WIDTH or not at:
            parts.append(text(x, foot + 13, f"{day.day} {day:%b}", "tick"))
    return parts


def _legend(bounds: list[float], left: float) -> list[str]:
    parts, x = [text(left, 11, "PSI", "axis")], left + 28
    for place in range(_SHADES):
        shade = 0.05 + 0.95 * place / (_SHADES - 1)
        label = f"<{bounds[0]:g}" if not place else f"{bounds[place - 1]:g}"
        parts.append(
            element("rect", class_="cell", fill_opacity=f"{shade:.2f}", x=float(x), y=2.0, width=12.0, height=11.0)
        )
        parts.append(text(x + 16, 11, label, "tick"))
        x += 24 + LETTER * len(label)
    return [*parts, rect(x + 4, 8, x + 20, 10, "drifts"), text(x + 24, 11, "drifts, by the evidence", "tick")]


def _mark(at: int, word: str, starts: Sequence[int], left: float, wide: float, foot: float) -> list[str]:
    span = starts[1] - starts[0] if len(starts) > 1 else 1
    place = (at - starts[0]) / span
    if not 0 <= place <= len(starts):
        return []
    x = left + wide * place
    return [line(x, _TOP - 2, x, foot, "rule", word), _flag(x, word)]


def _flag(x: float, word: str) -> str:
    """The word at a line: behind it, or before it where the drawing ends."""
    ends = x + 2 + LETTER * len(word) > WIDTH
    return text(x - 2 if ends else x + 2, _TOP - 3, word, "flag axis", "end" if ends else "")


def _day(start: int) -> str:
    moment = instant_datetime(start)
    return f"{moment:%Y-%m-%d}" if not (moment.hour or moment.minute) else f"{moment:%Y-%m-%d %H:%M}"
