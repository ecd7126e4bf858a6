"""A drift report on a million rows of 20 columns against a stored reference; ten million of 50 in parts, by memory.

The limit is the least that anybody has to do: to count, column by column, how many values lie below each stored edge.
Ours also counts what is missing, sums, measures how rows lean on each other, and tests. Reading is in nobody's time.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from bench.harness import Result, alternate, compared, limited
from bench.monitoring.sides import ours, peer, scaled, tried

ROWS, COLUMNS, REPEATS = 1_000_000, 20, 7
LARGE, WIDE, PART = 10_000_000, 50, 250_000


def run() -> list[Result]:
    count = scaled(ROWS, 20_000)
    bare, mine = alternate([ours("counting alone", "speed", "bare", count=count),
                            ours("report", "speed", "report", count=count)], 3)  # fmt: skip
    results = [compared("report, x counting alone", mine, bare, "seconds", "s", most=3.0)]
    (clustered,) = alternate([ours("report by entity", "speed", "report", count=count, entities=count // 10)], 3)
    results.append(compared("report by entity, x counting alone", clustered, bare, "seconds", "s", most=6.0))
    for name, module, function, times in (
        ("NannyML, Jensen-Shannon", "nannyml_side", "speed_", 5), ("NannyML, KS", "nannyml_side", "speed_ks", 5),
        ("Evidently", "evidently_side", "speed_", 50), ("whylogs", "whylogs_side", "speed_", 50),
    ):  # fmt: skip
        theirs = tried(peer(name, module, function, count=count, columns=COLUMNS))
        if theirs is not None:
            results.append(compared(f"{name}, x ours", mine, [theirs], "seconds", "s", least=times))
    large = ours("large", "speed", "large", count=scaled(LARGE, PART)).run()
    results.append(limited(f"{LARGE:,} x {WIDE} in parts of {PART:,}: memory", [large], "peak", "MB", most=2_000))
    results.append(limited(f"{LARGE:,} x {WIDE}: counted and judged", [large], "seconds", "s", most=60.0))
    return results


def columns(count: int, number: int, seed: int) -> dict[str, Any]:
    """Columns as a model gets them: float32."""
    import numpy as np

    random = np.random.default_rng(seed)
    return {f"x{place:02}": random.standard_normal(count, np.float32) for place in range(number)}


def bare(count: int) -> dict[str, float]:
    """The limit: stored edges, a comparison and a count for each."""
    import numpy as np

    window = columns(count, COLUMNS, 1)
    edges = np.quantile(window["x00"][:100_000], np.linspace(0, 1, 11)).astype(np.float32)

    def counted() -> list[int]:
        return [int(np.count_nonzero(values < edge)) for values in window.values() for edge in edges]

    return {"seconds": _best(counted)}


def report(count: int, entities: int = 0) -> dict[str, float]:
    """Our side: counts, effective sizes, tests, states."""
    import numpy as np

    from backstay.evaluation.drift import References, assess_all
    from backstay.evaluation.states import State

    references = References.of(columns(scaled(ROWS, 20_000), COLUMNS, 0))
    window = columns(count, COLUMNS, 1)
    entity = np.random.default_rng(2).integers(0, entities, count) if entities else None

    def judged() -> int:
        return len(assess_all(references, references.count(window, entity=entity)).named(State.DRIFT))

    assert judged() == 0, "nothing has changed"
    return {"seconds": _best(judged)}


def large(count: int) -> dict[str, float]:
    """A window that comes in parts, each counted and forgotten; making the rows is in nobody's time."""
    from backstay.evaluation.drift import Counted, References, assess_all
    from backstay.evaluation.states import State

    references = References.of(columns(PART, WIDE, 0))
    whole, seconds = Counted(), 0.0
    for part in range(count // PART):
        rows = columns(PART, WIDE, part + 1)
        begin = perf_counter()
        whole = whole + references.count(rows)
        seconds += perf_counter() - begin
    begin = perf_counter()
    found = assess_all(references, whole)
    seconds += perf_counter() - begin
    assert whole.rows == count
    assert not found.named(State.DRIFT)
    return {"seconds": seconds}


def _best(ask: Any) -> float:
    times = []
    for _ in range(REPEATS):
        begin = perf_counter()
        ask()
        times.append(perf_counter() - begin)
    return min(times)
