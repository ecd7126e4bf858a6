"""The quality of a window's data: nulls, types, words, units, stand-ins, volume, freshness; by effect and evidence.

What is found here is not that the world has moved but that something is broken. So nothing is learned from such data
while it lasts. Values above all that training rows had are no corruption, summers are; their distribution says that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backstay.core.times import DAY, duration_text
from backstay.definitions import DataRules, Monitor
from backstay.evaluation.drift import (
    Counts,
    Finding,
    QualityRule,
    Reference,
    References,
    defaults,
    quality,
    volume,
)
from backstay.evaluation.states import State
from backstay.monitoring.assess import Found
from backstay.monitoring.signals import DATA_QUALITY
from backstay.monitoring.tally import Tally

VOLUME = "volume"
FRESHNESS = "freshness of"
_BACK = 4
"""How many times its freshness a source is looked back for its last event."""
_SAID = {
    "nulls": "of the rows have no value", "mistyped": "of the rows hold something of another type",
    "unseen": "of the rows have a word that no training row had", "defaults": "of the values stand in for another",
}  # fmt: skip
CORRUPTING = ("nulls", "mistyped", "unit", "failed")
"""What makes the values themselves wrong, so that nothing may be learned from them. A new word is none, nor are many or
few rows, a late source, or a stand-in that only a request got: those open an incident, and stop no training."""


def columns(references: References, tally: Tally, monitor: Monitor) -> list[Found]:
    """What is wrong with single columns; of the others, whether they are in order or it cannot be told.

    Each column is told of, since what has been wrong with it ends only where its own rows show that it is in order.
    """
    rule = _rule(monitor, len(references))
    out: list[Found] = []
    for name in dict.fromkeys([*references, *sorted(tally.standins)]):
        if name in tally.features.failed:
            why = f"it could not be counted: {tally.features.failed[name]}"
            out.append(Found(DATA_QUALITY, name, State.DRIFT, 1.0, 0.0, why, {"rule": "failed"}))
            continue
        found: list[Found] = []
        if name in references and name in tally.features:
            found += _column(name, references[name], tally.features[name], rule, monitor)
        if name in tally.standins:
            found += _told(name, {"defaults": defaults(tally.standins[name], tally.rows, 0.0, rule)}, tally.rows)
        out += [one for one in found if one.state is State.DRIFT] or [_whole(name, found)]
    # Of several findings about a column one is told: that another of them corrupts it must not be lost with it.
    corrupt = {one.what for one in out if one.state is State.DRIFT and one.evidence.get("rule") in CORRUPTING}
    return [replace(one, evidence={**one.evidence, "corrupts": one.what in corrupt}) for one in out]


def _whole(name: str, found: Sequence[Found]) -> Found:
    """What is to be said of a column that nothing is wrong with, as far as its rows show: one finding."""
    if not found:
        return Found(DATA_QUALITY, name, State.NO_DATA, None, 0.0, "its values were not counted in this window")
    unable = next((one for one in found if one.state is not State.OK), None)
    return unable or Found(DATA_QUALITY, name, State.OK, None, 0.0, "in order")


def _rule(monitor: Monitor, among: int) -> QualityRule:
    rules = monitor.data
    return QualityRule(
        nulls=rules.nulls, mistyped=rules.unseen, unseen=rules.unseen, defaults=rules.defaults,
        level=monitor.level / max(among, 1),
    )  # fmt: skip


def _column(name: str, reference: Reference, counts: Counts, rule: QualityRule, monitor: Monitor) -> Iterator[Found]:
    yield from _told(name, quality(reference, counts, rule), counts.rows)
    mean, low, high = counts.moments.mean, reference.least, reference.greatest
    if low is None or high is None or high <= low:
        return
    limit, evidence = monitor.data.outside, dict[str, Any](rows=counts.rows)
    if mean is None or counts.rows < monitor.minimum_rows:
        why = f"unit: {counts.rows:,} rows, and their mean says something from {monitor.minimum_rows:,} on"
        yield Found(DATA_QUALITY, name, State.UNDERPOWERED, None, limit, why, evidence)
        return
    beyond = max(low - mean, mean - high) / (high - low)
    why = f"unit: the mean is {mean:.6g}, and training rows were from {low:.6g} to {high:.6g}"
    evidence["rule"] = "unit"
    if beyond > limit:
        yield Found(DATA_QUALITY, name, State.DRIFT, beyond, limit, why, evidence)
    else:
        yield Found(DATA_QUALITY, name, State.OK, None, limit, why, evidence)


def _told(name: str, findings: Mapping[str, Finding], rows: int) -> Iterator[Found]:
    for what, one in findings.items():
        if what in _SAID:
            why = f"{what}: {one.why}; {_SAID[what]}"
            effect = one.effect if one.state is State.DRIFT else None
            evidence = {"rule": what, "rows": rows, "least": one.least}
            yield Found(DATA_QUALITY, name, one.state, effect, one.limit, why, evidence)


def volumes(rows: int, before: Sequence[int], monitor: Monitor) -> Found:
    """The rows of a window beside those of earlier ones at the same place in the week, or of hours in the day.

    before: the rows of the windows before it, the last one last. Windows that fill no week (or day) are at the same
            place again after several: of two days, after two weeks
    """
    rules, width = monitor.data, monitor.width
    step = math.lcm(DAY if width < DAY else 7 * DAY, width) // width
    alike = [before[place] for place in range(len(before) - step, -1, -step)]
    many = volume(rows, alike, QualityRule(volume=rules.volume_above, level=monitor.level))
    few = volume(rows, alike, QualityRule(volume=1.0 / max(rules.volume, 1e-9), level=monitor.level))
    one = many if many.effect > 1 else few
    limit = rules.volume_above if one is many else rules.volume
    return Found(
        DATA_QUALITY, VOLUME, one.state, None if one.state is State.NO_DATA else one.effect, limit, one.why,
        {"rows": rows, "corrupts": False},
    )  # fmt: skip


def looked_back(allowed: int) -> int:
    """How far a source is looked back for its last event; microseconds."""
    return max(_BACK * allowed, DAY)


def freshness(ages: Mapping[str, tuple[int | None, int]], rules: DataRules) -> list[Found]:
    """Sources that keep their freshness, and those that do not.

    ages: by source, how long before the window's end its last event became known (None: longer than is looked back),
          and the freshness that it declares; in microseconds. What could not be read is not in it: it is not late
    """
    out = []
    for name, (age, allowed) in ages.items() if rules.freshness else ():
        late = age is None or age > allowed
        effect = (looked_back(allowed) if age is None else age) / max(allowed, 1)
        known = f"the last event is {_span(age)} old" if age is not None else f"nothing in more than {effect:.3g} times"
        why = f"{known}; the source declares {duration_text(allowed)}"
        state = State.DRIFT if late else State.OK
        out.append(Found(DATA_QUALITY, f"{FRESHNESS} {name}", state, effect, 1.0, why, {"corrupts": False}))
    return out


def _span(age: int) -> str:
    minutes = age // 60_000_000
    return f"{minutes} minutes" if minutes < 300 else f"{minutes // 60} hours"
