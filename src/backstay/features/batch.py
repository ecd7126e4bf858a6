"""The requests in flight, each about an entity of its own, asked together.

A history of which all that had happened at T was known at T is asked with a few bisections; what is left to compute,
the rounding of sums above all, is then done once for all rows. That is nearly always so: what came late has come before
it is asked about. Any other history, or one with corrections, is asked in full. The values are those of `History.ask`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from backstay.features.exact import Floats, Ints
from backstay.features.history import History
from backstay.features.question import Answer, Question
from backstay.features.totals import Part

_ONE = np.zeros(1, np.int64)
Layout = tuple[tuple[int, int, int], ...]


def ask_each(question: Question, histories: Sequence[History | None], at: Sequence[int]) -> Answer:
    """What each history says at its own T; None is an entity that was never seen."""
    windows, picks = question.windows, [one for one in question.picks if one.kind != "std"]
    groups: dict[Layout, _Group] = {}
    whole: list[int] = []
    for row, (history, moment) in enumerate(zip(histories, at, strict=True)):
        if history is None:
            continue
        settled = history.settled
        entered = -1 if settled is None else settled.entered(moment)
        if settled is None or entered < 0:
            whole.append(row)
            continue
        if not entered:
            continue
        group = groups.get(settled.layout)
        if group is None:
            group = groups[settled.layout] = _Group(settled.layout)
        group.rows.append(row)
        group.event_time.append(settled.event_time[entered - 1])
        group.last.append(settled.values[entered - 1])
        if windows:
            # With what is known by a delay, the window may begin behind the last event that is visible.
            left = [min(bisect_left(settled.event_time, window.begin(moment)), entered) for window in windows]
            group.entered.append(settled.prefix[entered])
            group.left.extend([settled.prefix[place] for place in left])
            group.scales.append(settled.scales)
            group.picked.append([settled.pick(pick, left[pick.window], entered) for pick in picks])
    if len(groups) == 1:
        (group,) = groups.values()
        if len(group.rows) == len(at):
            return group.answer(question)
    out = Answer.nothing(len(at), question)
    for some in groups.values():
        out.put(some.rows, some.answer(question))
    for row in whole:
        history = histories[row]
        assert history is not None
        out.put([row], history.ask(_ONE, np.array([at[row]])))
    return out


@dataclass(slots=True)
class _Group:
    """Rows whose sums are laid out alike: only their scales differ."""

    layout: Layout
    rows: list[int] = field(default_factory=list)
    event_time: list[int] = field(default_factory=list)
    last: list[Floats] = field(default_factory=list)
    entered: list[Ints] = field(default_factory=list)
    left: list[Ints] = field(default_factory=list)
    scales: list[list[int]] = field(default_factory=list)
    picked: list[list[float]] = field(default_factory=list)

    def answer(self, question: Question) -> Answer:
        """What is asked, of these rows."""
        rows, windows = len(self.rows), len(question.windows)
        seen, event_time = np.ones(rows, bool), np.array(self.event_time)
        last = np.array(self.last) if question.latest else np.full((rows, question.columns), np.nan)
        if not windows:
            count = np.empty((rows, 0), np.int64)
            valid, sums = np.empty((rows, 0, 0), np.int64), np.empty((rows, 0, 0))
            return Answer(seen, event_time, last, count, valid, sums, np.empty((rows, 0)))
        totals = np.array(self.entered)[:, None] - np.array(self.left).reshape(rows, windows, -1)
        scales = np.array(self.scales, np.int64).reshape(rows, -1)
        parts = [
            Part(begin, end, scales[:, None, number], bits) for number, (begin, end, bits) in enumerate(self.layout)
        ]
        summed = len(question.summed)
        picked = np.array(self.picked, np.float64).reshape(rows, -1)
        if question.spread:
            picked = self._with_deviations(question, picked, totals, parts)
        count, valid = totals[:, :, 0], totals[:, :, 1 : 1 + summed]
        return Answer(seen, event_time, last, count, valid, question.sums(totals, parts), picked)

    def _with_deviations(self, question: Question, picked: Floats, totals: Ints, parts: list[Part]) -> Floats:
        out, others = np.empty((len(self.rows), len(question.picks))), 0
        for place, pick in enumerate(question.picks):
            if pick.kind == "std":
                out[:, place] = question.deviation(pick, totals, parts)
            else:
                out[:, place], others = picked[:, others], others + 1
        return out
