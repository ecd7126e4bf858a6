"""The quality of a window's data: nulls, types, words, units, stand-ins, volume, freshness; by effect and evidence.

What is found here is not that the world has moved but that something is broken. So nothing is learned from such data
while it lasts. Values above all that training rows had are no corruption, summers are; their distribution says that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

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
_SAID = {
    "nulls": "of the rows have no value", "mistyped": "of the rows hold something of another type",
    "unseen": "of the rows have a word that no training row had", "defaults": "of the values stand in for another",
}  # fmt: skip
CORRUPTING = ("nulls", "mistyped", "unit", "failed")
"""What makes the values themselves wrong, so that nothing may be learned from them. A new word is none, nor are many or
few rows, a late source, or a stand-in that only a request got: those open an incident, and stop no training."""


def columns(references: References, tally: Tally, monitor: Monitor) -> list[Found]:
    """What is wrong with single columns: only what is; the rest is in order."""
    rule = _rule(monitor, len(references))
    out: list[Found] = []
    for name, reference in references.items():
        if name in tally.features.failed:
            why = f"it could not be counted: {tally.features.failed[name]}"
            out.append(Found(DATA_QUALITY, name, State.DRIFT, 1.0, 0.0, why, {"rule": "failed"}))
        elif name in tally.features:
            out += _column(name, reference, tally.features[name], rule, monitor)
    for name, count in sorted(tally.standins.items()):
        out += _wrong(name, {"defaults": defaults(count, tally.rows, 0.0, rule)}, tally.rows)
    # Of several findings about a column one is told: that another of them corrupts it must not be lost with it.
    corrupt = {one.what for one in out if one.evidence["rule"] in CORRUPTING}
    return [replace(one, evidence={**one.evidence, "corrupts": one.what in corrupt}) for one in out]


def _rule(monitor: Monitor, among: int) -> QualityRule:
    rules = monitor.data
    return QualityRule(
        nulls=rules.nulls, mistyped=rules.unseen, unseen=rules.unseen, defaults=rules.defaults,
        level=monitor.level / max(among, 1),
    )  # fmt: skip


def _column(name: str, reference: Reference, counts: Counts, rule: QualityRule, monitor: Monitor) -> Iterator[Found]:
    if _suspect(reference, counts, rule):
        yield from _wrong(name, quality(reference, counts, rule), counts.rows)
    mean, low, high = counts.moments.mean, reference.least, reference.greatest
    if mean is None or low is None or high is None or counts.rows < monitor.minimum_rows or high <= low:
        return
    beyond = max(low - mean, mean - high) / (high - low)
    if beyond > monitor.data.outside:
        why = f"unit: the mean is {mean:.6g}, and training rows were from {low:.6g} to {high:.6g}"
        evidence = {"rule": "unit", "rows": counts.rows}
        yield Found(DATA_QUALITY, name, State.DRIFT, beyond, monitor.data.outside, why, evidence)


def _suspect(reference: Reference, counts: Counts, rule: QualityRule) -> bool:
    """Whether any share is beyond its limit: without that there is nothing that evidence could be asked for."""
    was = reference.counts.missing / max(reference.n, 1)
    more = counts.missing / max(counts.rows, 1) - was > rule.nulls
    return more or counts.unseen > rule.unseen * counts.rows or counts.mistyped > rule.mistyped * counts.rows


def _wrong(name: str, findings: Mapping[str, Finding], rows: int) -> Iterator[Found]:
    for what, one in findings.items():
        if one.state is State.DRIFT and what in _SAID:
            why = f"{what}: {one.why}; {_SAID[what]}"
            evidence = {"rule": what, "rows": rows, "least": one.least}
            yield Found(DATA_QUALITY, name, State.DRIFT, one.effect, one.limit, why, evidence)


def volumes(rows: int, before: Sequence[int], monitor: Monitor) -> Found:
    """The rows of a window beside those of earlier ones at the same place in the week (or the day, of hours).

    before: the rows of the windows before it, the last one last
    """
    rules, width = monitor.data, monitor.width
    step = DAY // width if width < DAY else max(7 * DAY // width, 1)
    alike = [before[place] for place in range(len(before) - step, -1, -step)]
    many = volume(rows, alike, QualityRule(volume=rules.volume_above, level=monitor.level))
    few = volume(rows, alike, QualityRule(volume=1.0 / max(rules.volume, 1e-9), level=monitor.level))
    one = many if many.effect > 1 else few
    limit = rules.volume_above if one is many else rules.volume
    return Found(
        DATA_QUALITY, VOLUME, one.state, None if one.state is State.NO_DATA else one.effect, limit, one.why,
        {"rows": rows, "corrupts": False},
    )  # fmt: skip


def freshness(ages: Mapping[str, tuple[int | None, int]], rules: DataRules) -> list[Found]:
    """Sources that keep their freshness, and those that do not.

    ages: by source, how long before the window's end its last event became known (None: longer than is looked back),
          and the freshness that it declares; in microseconds
    """
    out = []
    for name, (age, allowed) in ages.items() if rules.freshness else ():
        late = age is None or age > allowed
        known = "nothing became known for a long time" if age is None else f"the last event is {_span(age)} old"
        why = f"{known}; the source declares {duration_text(allowed)}"
        effect = None if age is None else age / max(allowed, 1)
        state = State.DRIFT if late else State.OK
        out.append(Found(DATA_QUALITY, f"freshness of {name}", state, effect, 1.0, why, {"corrupts": False}))
    return out


def _span(age: int) -> str:
    minutes = age // 60_000_000
    return f"{minutes} minutes" if minutes < 300 else f"{minutes // 60} hours"
