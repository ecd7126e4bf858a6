"""How often intervals of 95% cover the truth, in 2,000 simulated samples each.

The bar is 93%. The truths are computed, not simulated, wherever there is a formula.
"""

from __future__ import annotations

from bench.evaluation.sides import ours
from bench.harness import Result, alternate, limited

MEASURED = ("areas",)


def run() -> list[Result]:
    results = []
    for (measured,) in alternate([ours(f"coverage of {name}", "covered", name) for name in MEASURED], 1):
        results += [
            limited(f"covered: {name}", [{**measured, "share": share}], "share", "share", least=0.93)
            for name, share in measured.items()
            if isinstance(share, float)
        ]
    return results
