"""Odd columns: what each side says of them, and whether it says anything at all."""

from __future__ import annotations

import math
from typing import Any

from bench.harness import Result, limited
from bench.monitoring.sides import beside, ours, peer, tried

ROWS, REFERENCE = 2_000, 20_000


def run() -> list[Result]:
    mine = ours("odd columns", "edge", "states").run()
    results = [limited("odd columns: a right state", [mine], "right", "share", least=1.0)]
    for name, module in (("Evidently", "evidently_side"), ("NannyML", "nannyml_side")):
        theirs = tried(peer(f"{name}, odd columns", module, "odd"))
        if theirs is not None:
            for figure, what in (("answered", "each by itself"), ("together", "all in one report")):
                own = mine["right"] if figure == "answered" else mine["together"]
                results.append(
                    beside(f"odd columns, {what}: answered, {name}", own, theirs[figure], "share", mine, theirs)
                )
    return results


def cases() -> dict[str, tuple[list[Any], list[Any], tuple[str, ...]]]:
    """What was trained on, what came, and what may be said of it."""
    import numpy as np

    random = np.random.default_rng(0)
    numbers, words = random.normal(size=REFERENCE).tolist(), random.choice(["a", "b", "c"], REFERENCE).tolist()
    now, same = random.normal(size=ROWS).tolist(), random.choice(["a", "b", "c"], ROWS).tolist()
    flags = (random.random(REFERENCE) < 0.3).tolist()
    return {
        "as it was": (numbers, now, ("OK",)),
        "empty": (numbers, [], ("NO_DATA",)),
        "constant, as it was": ([5.0] * REFERENCE, [5.0] * ROWS, ("OK",)),
        "constant, another one": ([5.0] * REFERENCE, [6.0] * ROWS, ("DRIFT",)),
        "all null": (numbers, [None] * ROWS, ("DRIFT",)),
        "all null, as it was": ([None] * REFERENCE, [None] * ROWS, ("OK",)),
        "eight rows": (numbers, now[:8], ("UNDERPOWERED",)),
        "a new category": (words, ["new" if place % 4 == 0 else one for place, one in enumerate(same)], ("DRIFT",)),
        "a new category, once": (words, [*same[:-1], "new"], ("OK",)),
        "infinite, all": (numbers, [math.inf] * ROWS, ("DRIFT",)),
        "infinite, once": (numbers, [math.inf, *now[1:]], ("OK",)),
        "truth values": (flags, (random.random(ROWS) < 0.3).tolist(), ("OK",)),
        "truth values, other shares": (flags, (random.random(ROWS) < 0.8).tolist(), ("DRIFT",)),
        "mixed types": (numbers, ["n/a" if place % 100 == 0 else one for place, one in enumerate(now)], ("OK",)),
        "words for numbers": (numbers, ["n/a"] * ROWS, ("DRIFT",)),
    }  # fmt: skip


def states() -> dict[str, Any]:
    """Our side: each column alone, then all in one report, and one that is not there."""
    from backstay.evaluation.drift import Counted, References, assess_all

    odd = cases()
    references = References.of({name: trained for name, (trained, _, _) in odd.items()} | {"gone": [1.0, 2.0]})
    counted = Counted(ROWS, {name: references[name].count(now) for name, (_, now, _) in odd.items()})
    found = assess_all(references, counted)
    right = [found[name].state.value in said for name, (_, _, said) in odd.items()]
    right.append(found["gone"].state.value == "NO_DATA")
    return {"right": sum(right) / len(right), "together": len(found) / (len(odd) + 1),
            "states": {name: one.state.value for name, one in found.items()}}  # fmt: skip
