"""The requests in flight, each about an entity of its own, asked together.

A history that stands in order (nothing late beyond its windows, nothing corrected) is asked with a few bisections; what
is left to compute, the rounding of sums above all, is then done once for all rows. Any other history is asked in full.
The values are those of `History.ask`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from backstay.features.exact import Floats, Ints
from backstay.features.history import History, Orderly
from backstay.features.question import Answer, Question
from backstay.features.totals import Part

_ONE = np.zeros(1, np.int64)


def ask_each(question: Question, histories: Sequence[History | None], at: Sequence[int]) -> Answer:
    """What each history says at its own T; None is an entity that was never seen."""
    out = Answer.nothing(len(at), question)
    windows, picks = question.windows, [(p, one) for p, one in enumerate(question.picks) if one.kind != "std"]
    groups: dict[tuple[tuple[int, int, int], ...], _Group] = {}
    seen: list[int] = []
    event_time: list[int] = []
    last: list[Floats] = []
    for row, (history, moment) in enumerate(zip(histories, at, strict=True)):
        if history is None:
            continue
        orderly = history.orderly
        if orderly is None:
            out.put([row], history.ask(_ONE, np.array([moment])))
            continue
        entered = bisect_right(orderly.visible, moment)
        if not entered:
            continue
        seen.append(row)
        event_time.append(orderly.event_time[entered - 1])
        last.append(orderly.values[entered - 1])
        if windows:
            left = [bisect_left(orderly.event_time, window.begin(moment)) for window in windows]
            group = groups.get(orderly.layout)
            if group is None:
                group = groups[orderly.layout] = _Group()
            group.rows.append(row)
            group.entered.append(orderly.prefix[entered])
            group.left.extend([orderly.prefix[place] for place in left])
            group.who.append(orderly)
            for place, pick in picks:
                out.picked[row, place] = orderly.pick(pick, left[pick.window], entered)
    if seen:
        out.seen[seen], out.event_time[seen] = True, event_time
        if question.latest:
            out.last[seen] = last
    for group in groups.values():
        entered_rows = np.array(group.entered)
        left_rows = np.array(group.left).reshape(len(group.rows), len(windows), -1)
        _put_totals(out, question, group.rows, entered_rows[:, None] - left_rows, group.who)
    return out


@dataclass(slots=True)
class _Group:
    """Rows whose sums are laid out alike, and their prefix sums."""

    rows: list[int] = field(default_factory=list)
    entered: list[Ints] = field(default_factory=list)
    left: list[Ints] = field(default_factory=list)
    who: list[Orderly] = field(default_factory=list)


def _put_totals(out: Answer, question: Question, rows: list[int], totals: Ints, who: list[Orderly]) -> None:
    """Counts, sums and deviations of rows whose sums are laid out alike; only their scales differ."""
    summed = len(question.summed)
    out.count[rows], out.valid[rows] = totals[:, :, 0], totals[:, :, 1 : 1 + summed]
    scales = np.array([one.scales for one in who]).reshape(len(who), -1)
    parts = [Part(*place[:2], scales[:, None, number], place[2]) for number, place in enumerate(who[0].layout)]
    out.sums[rows] = question.sums(totals, parts)
    for place, pick in enumerate(question.picks):
        if pick.kind == "std":
            values: Floats = question.deviation(pick, totals, parts)
            out.picked[rows, place] = values
