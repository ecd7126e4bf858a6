"""Something changes: is it found, and how soon?

One of 50 features drifts, by a true PSI of 0.2 against a threshold of 0.1, so it has to stand out among all. Where rows
lean on each other, windows (and references) are as many times longer as it takes for an equal effective size; and what
is found in windows of the same *rows* is told as well: an honest answer there is mostly UNDERPOWERED.
"""

from __future__ import annotations

from typing import Any

from bench.harness import Measured, Result, limited, say
from bench.monitoring.sides import beside, ours, peer, scaled, tried
from bench.monitoring.streams import KINDS, WORTH, lasting, named, risen, rows, shifted, spread

FEATURES, ROWS, REFERENCE, INDEX, NULLS = 50, 2_000, 50_000, 0.2, 0.05
TIMES, TOGETHER = 200, 60
CHANGES = ("mean", "spread", "nulls", "words")


def run() -> list[Result]:
    times = scaled(TIMES, 20)
    results = []
    for change in CHANGES:
        one = _ours(change, "iid", change, ROWS, REFERENCE, times)
        results.append(limited(f"power at PSI {INDEX}, {ROWS:,} rows: {change}", [one], "power", "share", least=0.9))
        if change == "mean":
            results.append(limited("mean: windows until an alarm", [one], "delay", "x", most=2.0))
            results += _peers(one, times)
    for kind in KINDS[1:]:
        long = int(ROWS / WORTH[kind]), int(REFERENCE / WORTH[kind])
        equal = _ours(f"{kind}, equal effective size", kind, "mean", *long, scaled(60, 10))
        results.append(limited(f"{kind}: power at equal effective size", [equal], "power", "share", least=0.5))
        same = _ours(f"{kind}, equal rows", kind, "mean", ROWS, REFERENCE, times)
        say(f"    {kind} at equal rows: power {same['power']:.2f}, UNDERPOWERED {same['underpowered']:.0%}")
        many = ours(f"{kind}, windows together", "power", "together", kind=kind, times=scaled(20, 5)).run()
        results.append(limited(f"{kind}: power of {TOGETHER} such windows", [many], "power", "share", least=0.5))
    return results


def _ours(name: str, kind: str, change: str, count: int, reference: int, times: int) -> Measured:
    side = ours(name, "power", "found", kind=kind, change=change, count=count, reference=reference, times=times)
    return side.run()


def _peers(mine: Measured, times: int) -> list[Result]:
    results = []
    for name, module, function in (
        ("Evidently", "evidently_side", "power_"), ("Evidently by PSI", "evidently_side", "power_psi"),
        ("NannyML", "nannyml_side", "power_"),
    ):  # fmt: skip
        theirs = tried(peer(name, module, function, times=min(times, 20), count=ROWS, reference=REFERENCE))
        if theirs is not None:
            results.append(beside(f"mean: power, {name}", mine["power"], theirs["power"], "share", mine, theirs))
    return results


def changed(kind: str, random: Any, count: int, change: str) -> tuple[Any, Any]:
    """The column that drifts, and its rows' entities."""
    values, entity = rows(kind, random, count, 1)
    column = values[:, 0]
    if change == "mean":
        return column + shifted(INDEX), entity
    if change == "spread":
        return column * spread(INDEX), entity
    if change == "nulls":
        column[random.random(count) < risen(NULLS, INDEX)] = float("nan")
        return column, entity
    return random.choice(list("abcde"), count, p=WORDS[1]), entity


WORDS = ([0.4, 0.3, 0.15, 0.1, 0.05], [0.2473, 0.2633, 0.1869, 0.1769, 0.1256])
"""Shares of five words, and such that their PSI is 0.2."""


def before(kind: str, random: Any, count: int, change: str) -> tuple[Any, Any]:
    """The same column as it was trained on."""
    values, entity = rows(kind, random, count, 1)
    column = values[:, 0]
    if change == "nulls":
        column[random.random(count) < NULLS] = float("nan")
    return (random.choice(list("abcde"), count, p=WORDS[0]) if change == "words" else column), entity


def found(kind: str, change: str, count: int, reference: int, times: int) -> dict[str, Any]:
    """How often it is called drifted in one window, and after how many an alarm comes."""
    import numpy as np

    from backstay.evaluation.drift import Reference, References, assess_all
    from backstay.evaluation.states import State

    random = np.random.default_rng(1)
    others, entity = rows("iid", random, REFERENCE, FEATURES - 1)
    quiet = References.of(named(others))
    trained, entity = before(kind, random, reference, change)
    references = References({**quiet.columns, "moved": Reference.of(trained, entity=entity)})
    calm = [quiet.count(named(rows("iid", random, ROWS, FEATURES - 1)[0])) for _ in range(10)]
    states = []
    for one in range(times):
        values, entity = changed(kind, random, count, change)
        window = calm[one % len(calm)]
        counted = type(window)(
            window.rows, {**window.columns, "moved": references["moved"].count(values, entity=entity)}
        )
        states.append(assess_all(references, counted)["moved"].state)
    drifted = [state is State.DRIFT for state in states]
    delays = [next((place for place, one in enumerate(lasting([[one] for one in drifted[at : at + 10]]), 1) if one), 10)
              for at in range(0, times - 9, 10)]  # fmt: skip
    return {"power": float(np.mean(drifted)), "delay": float(np.median(delays)), "mean_delay": float(np.mean(delays)),
            "underpowered": float(np.mean([state is State.UNDERPOWERED for state in states]))}  # fmt: skip


def together(kind: str, times: int) -> dict[str, Any]:
    """How often it is found in the latest of some windows put together, of 2,000 rows each."""
    import numpy as np

    from backstay.evaluation.drift import Counted, Reference, References, assess_latest
    from backstay.evaluation.states import State

    random = np.random.default_rng(2)
    trained, entity = before(kind, random, int(REFERENCE / WORTH[kind]), "mean")
    references = References({"moved": Reference.of(trained, entity=entity)})
    hits = 0
    for _ in range(times):
        windows = []
        for _ in range(TOGETHER):
            values, entity = changed(kind, random, ROWS, "mean")
            windows.append(Counted(ROWS, {"moved": references["moved"].count(values, entity=entity)}))
        hits += assess_latest(references, windows)["moved"].state is State.DRIFT
    return {"power": hits / times}
