"""How often intervals of 95% cover the truth, and how often no difference is called one, in 2,000 samples of each.

The bar of coverage is 93%, and that of false alarms 2.5% plus two errors of the simulation. Truths are computed and not
simulated wherever there is a formula.
"""

from __future__ import annotations

import math

from bench.evaluation.sides import ours
from bench.harness import Measured, Result, alternate, limited

COVERED = ("areas", "rankings", "losses", "days", "decisions")
FALSE = ("superiority", "non_inferiority")


def run() -> list[Result]:
    results = []
    for name in COVERED:
        results += [limited(f"covered: {case}", one, "share", "share", least=0.93) for case, one in _shares(name)]
    for name in FALSE:
        for case, one in _shares(name):
            most = 0.025 + 2 * math.sqrt(0.025 * 0.975 / one[0]["times"])
            results.append(limited(f"{name.replace('_', '-')}, false: {case}", one, "share", "share", most=most))
    return results


def _shares(name: str) -> list[tuple[str, list[Measured]]]:
    (measured,) = alternate([ours(name, "covered", name)], 1)
    return [(case, [{**measured[0], "share": one}]) for case, one in measured[0].items() if isinstance(one, float)]
