"""Why online is worse than offline: twelve planted causes and loops without a fault, and what the investigator says.

python3 -m bench.monitoring why                                all of it: 12 x 20 loops, 200 without a fault
python3 -m bench.monitoring why --seeds 3 --controls 10        a small run
python3 -m bench.monitoring why --causes stale_feature --seeds 100-104 --controls 0 --no-fix
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bench.harness import Result


def run(arguments: Sequence[str] = ()) -> list[Result]:
    """The bars of the investigator, from a run of this size."""
    from backstay.investigation import Cause
    from bench.monitoring.why.grade import run_grades

    parser = argparse.ArgumentParser(prog="bench.monitoring why")
    parser.add_argument("--seeds", default="20", help="how many, or from-to")
    parser.add_argument("--causes", default=",".join(Cause), help="some of them, with commas; empty: none")
    parser.add_argument("--controls", default="200", help="how many loops without a fault, or from-to")
    parser.add_argument("--pairs", default="20", help="how many loops with two faults, or from-to")
    parser.add_argument("--no-fix", action="store_true", help="do not mend, and measure again")
    asked = parser.parse_args(list(arguments))
    causes = [Cause(name) for name in asked.causes.split(",") if name]
    table = run_grades(_range(asked.seeds), causes, _range(asked.controls), _range(asked.pairs), fix=not asked.no_fix)
    print("\n" + "\n".join(table.lines()))
    return _bars(table.rows)


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1) if last else range(int(first))


def _bars(rows) -> list[Result]:  # type: ignore[no-untyped-def]
    single = [one for one in rows if len(one.planted) == 1]
    pairs = [one for one in rows if len(one.planted) == 2]
    controls = [one for one in rows if not one.planted]
    shut = [one.closed for one in single if one.closed is not None]
    out = []
    for name, told, least in (
        ("the first cause is right", [one.first for one in single], 0.85),
        ("it is within the first two", [one.two for one in single], 0.95),
        ("the fix closes the gap", shut, 0.9),
        ("two causes: the first is one of them", [one.first for one in pairs], 0.85),
    ):
        if told:
            share = sum(told) / len(told)
            out.append(_result(f"why, {len(told)} loops: {name}", share, least, share >= least))
    if controls:
        share = sum(bool(one.found) for one in controls) / len(controls)
        out.append(_result(f"why, {len(controls)} loops without a fault: false causes", share, 0.05, share <= 0.05))
    return out


def _result(bar: str, share: float, limit: float, holds: bool) -> Result:
    return Result(bar, share, limit, "share", share / limit, 0.0, holds, {"ours": {}, "peer": {}})
