"""Causes and incidents: planted causes in fifty features of five sources, and how many incidents come of them.

Each run is 120 days of windows. One to three causes begin, each in a source of its own: from three to ten of its
features drift, found one to three windows after the onset and flapping while it lasts; half of them move the scores
too, and a third the quality, days later. In one half of the bars they begin at least eight days apart, in the other at
any distance from the same day on: what begins within two days is taken for one cause there, which is seen in the
figures. Signals are drawn here; how well a monitor finds them is another case's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.harness import Result, limited
from bench.monitoring.sides import ours, scaled

RUNS, DAYS, SOURCES, FEATURES, FIRST_SEED = 300, 120, 5, 10, 90_000
_DAY = 86_400_000_000


def run() -> list[Result]:
    apart = ours("a week apart", "incidents", "simulated", runs=scaled(RUNS, 10), apart=8).run()
    near = ours("at any distance", "incidents", "simulated", runs=scaled(RUNS, 10), apart=0).run()
    return [
        limited("incidents: as many as causes, a week apart", [apart], "exact", "share", least=0.95),
        limited("incidents: a cause, a week apart", [apart], "each", "x", most=1.05),
        limited("incidents: signals with those of their cause", [apart], "pure", "share", least=0.95),
        limited("incidents: entries a day of an incident", [apart], "entries", "x", most=0.5),
        limited("incidents: as many as causes, at any distance", [near], "exact", "share", least=0.8),
        limited("incidents: a cause, at any distance", [near], "each", "x", most=1.05),
    ]


@dataclass(frozen=True)
class Cause:
    """A source that something happens to, from a day until another."""

    source: int
    begins: int
    ends: int
    features: tuple[str, ...]
    scores: bool
    loss: bool


def causes(random: Any, apart: int) -> list[Cause]:
    """What is planted in one run, onsets at least so many days apart."""
    number = int(random.integers(1, 4))
    sources = random.choice(SOURCES, number, replace=False)
    begins, out = 5, []
    for source in sources.tolist():
        begins += int(random.integers(apart, 20))
        chosen = random.choice(FEATURES, int(random.integers(3, FEATURES + 1)), replace=False)
        names = tuple(f"s{source}f{one}" for one in sorted(chosen.tolist()))
        lasts = int(random.integers(5, 30))
        out.append(
            Cause(source, begins, begins + lasts, names, bool(random.random() < 0.5), bool(random.random() < 1 / 3))
        )
    return out


def signals(planted: list[Cause], day: int, random: Any, on: dict[tuple[str, str], int]) -> Iterator[Any]:
    """What a monitor says of a day: what drifts, each day in nine of ten while it lasts; and once that it has ended.

    on: by kind and name, since when it has been told; changed here
    """
    from backstay.monitoring.signals import Signal

    window = (day * _DAY, (day + 1) * _DAY)
    wanted: dict[tuple[str, str], int] = {}
    for one in planted:
        for name in one.features:
            late = 1 + (int(name[-1]) + one.begins) % 3
            if one.begins + late <= day < one.ends:
                wanted["input_drift", name] = one.begins + late % 2
        if one.scores and one.begins + 2 <= day < one.ends:
            wanted.setdefault(("score_drift", "score"), one.begins + 1)
        if one.loss and one.begins + 6 <= day < one.ends + 3:
            wanted.setdefault(("realised_loss", "log_loss"), one.begins + 2)
    for key, since in wanted.items():
        if random.random() < 0.9:
            began = on.setdefault(key, since)
            yield Signal(*key, "DRIFT", 0.3, 0.1, began * _DAY, window)
        elif key in on:
            yield Signal(*key, "OK", 0.05, 0.1, on.pop(key) * _DAY, window)
    for key in [one for one in on if one not in wanted]:
        yield Signal(*key, "OK", 0.01, 0.1, on.pop(key) * _DAY, window)


def simulated(runs: int, apart: int, first: int = FIRST_SEED) -> dict[str, float]:
    """Over many runs: the share with as many incidents as causes, incidents a cause, entries a day of an incident, and
    the share of feature signals that are with most others of their source."""
    import numpy as np

    from backstay.definitions import IncidentPolicy
    from backstay.monitoring.grouping import Looked, changed, fold

    origins = {f"s{source}f{one}": frozenset({f"s{source}"}) for source in range(SOURCES) for one in range(FEATURES)}
    exact = incidents = planted_all = pure = members = entries = days = 0
    for seed in range(first, first + runs):
        random = np.random.default_rng(seed)
        planted, there, on = causes(random, apart), [], dict[tuple[str, str], int]()
        for day in range(DAYS):
            looked = Looked((day * _DAY, (day + 1) * _DAY), tuple(signals(planted, day, random, on)), day)
            after = fold("m", there, looked, origins, IncidentPolicy())
            entries += len(changed(there, after))
            days += sum(one.active for one in after)
            there = after
        exact += len(there) == len(planted)
        incidents, planted_all = incidents + len(there), planted_all + len(planted)
        for one in there:
            sources = [member.what.partition("f")[0] for member in one.members if member.kind == "input_drift"]
            members += len(sources)
            pure += max((sources.count(name) for name in set(sources)), default=0)
    return {
        "exact": exact / runs, "each": incidents / planted_all, "pure": pure / members, "entries": entries / days,
    }  # fmt: skip


if __name__ == "__main__":
    print(simulated(RUNS, 8), simulated(RUNS, 0), sep="\n")
