"""Nothing changes for a year, in 50 features looked at each day: how many incidents does a monitor open?

An incident is one a cause and not one a feature: it is open while any feature alarms, and an alarm takes two drifted
windows of the last three, on every side. What peers alarm of single windows is told as well.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from bench.harness import Result, limited
from bench.monitoring.sides import beside, ours, peer, scaled, tried
from bench.monitoring.streams import KINDS, episodes, lasting, named, rows

FEATURES, DAYS, YEARS = 50, 365, 2
ROWS, REFERENCE = 2_000, 50_000
PEER_DAYS = 5
"""Days that a slow peer is given; its year is what they come to."""
PEERS = {
    "Evidently": ("evidently_side", "stationary", PEER_DAYS),
    "Evidently by PSI": ("evidently_side", "stationary_psi", PEER_DAYS),
    "NannyML": ("nannyml_side", "stationary", 30),
    "NannyML by KS": ("nannyml_side", "stationary_ks", 30),
}


def run() -> list[Result]:
    results = []
    for kind in KINDS:
        mine = ours(f"{kind}, a year", "stationary", "year", kind=kind, days=scaled(DAYS, 20), years=YEARS).run()
        results.append(limited(f"{kind}: false incidents a model-year", [mine], "incidents", "x", most=1.0))
        results.append(limited(f"{kind}: a day's report of {FEATURES} features", [mine], "seconds", "ms", most=50.0))
        for name, (module, function, days) in PEERS.items():
            theirs = tried(peer(f"{name}, {kind}", module, function, kind=kind, days=scaled(days, 5)))
            if theirs is not None:
                for figure, what in (("incidents", "false incidents a year"), ("columns", "false columns a year")):
                    bar = f"{kind}: {what}, {name}"
                    results.append(beside(bar, mine[figure], theirs[figure], "x", mine, theirs))
    return results


def year(kind: str, days: int, years: int) -> dict[str, Any]:
    """Our side."""
    import numpy as np

    from backstay.evaluation.drift import References, assess_all
    from backstay.evaluation.states import State

    opened, called, seconds = 0.0, 0.0, []
    for seed in range(years):
        random = np.random.default_rng(seed)
        trained, entity = rows(kind, random, REFERENCE, FEATURES)
        references = References.of(named(trained), entity=entity)
        alarms = []
        for _ in range(days):
            values, entity = rows(kind, random, ROWS, FEATURES)
            window = named(values)
            begin = perf_counter()
            found = assess_all(references, references.count(window, entity=entity))
            seconds.append(perf_counter() - begin)
            alarms.append([found[name].state is State.DRIFT for name in references])
        opened += episodes(lasting(alarms)) * 365 / days / years
        called += float(np.sum(alarms)) * 365 / days / years
    return {"incidents": opened, "columns": called, "seconds": float(np.median(seconds))}
