"""Changes in streams of errors: who finds them, how soon, and how often for nothing, by F1 and delay.

A change counts as found by an alarm within `AFTER` rows of its onset, which is the tolerance. An alarm before, or in a
stream without a change, is false. F1 is of all streams together. The delay is the mean over changes without a false
alarm before, and one that is not found counts as the whole tolerance: who finds the easy ones alone is not quick.
Nobody is tuned: peers run as they come, ours at its default level.

The tolerance is what the weakest stream takes: of one error in six it makes one in four, which no detector with a false
alarm in a million rows finds in fewer than about 800 rows on average (Lorden 1971), and gradually in 1,000.

Who cries often is early, too. So ours is shown at a level of one false alarm in 5,000 rows as well, and the bar is that
each peer is outdone in both by one of the two.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from bench.harness import ROOT, Measured, Result, say
from bench.monitoring.change_streams import AFTER, NAMES, stream
from bench.monitoring.sides import ours, peer, scaled

PATH = ROOT / "bench" / ".data" / "changes.npz"
PEERS = ("ADWIN", "KSWIN", "PageHinkley", "DDM", "STEPD")
OURS = {"by default": {}, "both sides": {"side": "both"}, "1 in 5,000": {"level": 2e-4}}
SLOW = {"KSWIN": 4}
"""Run on every fourth stream alone; it is then held against ours on the same."""
SEEDS, BLOCK = scaled(16, 1), 10


def written() -> dict[str, Any]:
    """Write every stream; what it tells is (name, seed, onset, whether it changes) in the files' order."""
    from bench.monitoring.acs import surveys

    survey, kept, told = surveys()[0], {}, []
    for name in NAMES:
        for seed in range(SEEDS + -(-SEEDS // 2)):
            errors, onset = stream(name, seed, survey, changes=seed < SEEDS)
            kept[f"{len(kept):05d}"] = errors.astype(np.int8)
            told.append((name, seed, onset, seed < SEEDS))
    PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(PATH, **kept)
    return {"streams": told}


def alarms(**options: Any) -> dict[str, Any]:
    """Ours, looked at every ten rows: the row of the first alarm of each stream; -1: none."""
    from backstay.evaluation.detectors import ChangeDetector

    found = []
    with np.load(PATH) as kept:
        streams = [kept[key].astype(float) for key in sorted(kept.files)]
    begin = perf_counter()
    for errors in streams:
        detector, at = ChangeDetector(**options), -1
        for start in range(0, errors.size, BLOCK):
            detector = detector.update(errors[start : start + BLOCK])
            if detector.alarm:
                at = min(start + BLOCK, errors.size) - 1
                break
        found.append(at)
    return {"alarms": found, "seconds": perf_counter() - begin}


def scored(streams: list[Any], found: list[int | None], only: str | None = None) -> dict[str, float]:
    """F1, delay, and how many were found, false and missed."""
    hits, false, missed, delays = 0, 0, 0, []
    for (name, _, onset, changes), at in zip(streams, found, strict=True):
        if at is None or (only is not None and name != only):
            continue
        early = 0 <= at < onset
        false += early
        hit = changes and at >= onset
        hits += hit
        missed += changes and not hit
        if changes and not early:
            delays.append(at - onset if hit else AFTER)
    total = 2 * hits + false + missed
    delay = sum(delays) / len(delays) if delays else float(AFTER)
    return {"f1": 2 * hits / total if total else 1.0, "delay": delay, "hits": hits, "false": false, "missed": missed}


def run() -> list[Result]:
    streams = ours("streams", "changes", "written").run()["streams"]
    sides = {f"ours, {name}": ours(name, "changes", "alarms", **options) for name, options in OURS.items()}
    sides |= {
        name: peer(name, "change_detectors", "alarms", path=str(PATH), detector=name, every=SLOW.get(name, 1))
        for name in PEERS
    }
    measured = {name: side.run() for name, side in sides.items()}
    scores = {name: scored(streams, one["alarms"]) for name, one in measured.items()}
    say(_table(streams, measured, scores))
    best = max(
        (name for name in PEERS if name not in SLOW), key=lambda name: (scores[name]["f1"], -scores[name]["delay"])
    )
    results = []
    name, mine = "ours, by default", scores["ours, by default"]
    for figure, better in (("f1", 1.0), ("delay", -1.0)):
        holds = better * mine[figure] >= better * scores[best][figure]
        bar = f"changes: {figure}, by default, beside the peer with the best F1, {best}"
        results.append(_result(bar, mine[figure], scores[best][figure], figure, holds, measured[name], measured[best]))
    for name in PEERS:
        theirs = scores[name]
        ran = [at is not None for at in measured[name]["alarms"]]
        mine_of = {
            one: scored(streams, [at if used else None for at, used in zip(measured[one]["alarms"], ran, strict=True)])
            for one in ("ours, by default", "ours, 1 in 5,000")
        }
        outdone = [
            one for one, score in mine_of.items()
            if score["f1"] >= theirs["f1"] and score["delay"] <= theirs["delay"]
        ]  # fmt: skip
        shown = outdone[0] if outdone else "ours, 1 in 5,000"
        bar = f"changes: F1 and delay of {name} outdone; the delay ({shown})"
        one, other = mine_of[shown]["delay"], theirs["delay"]
        results.append(_result(bar, one, other, "delay", bool(outdone), measured[shown], measured[name]))
    return results


def _result(bar: str, mine: float, theirs: float, figure: str, holds: bool, one: Measured, other: Measured) -> Result:
    ratio = mine / theirs if theirs else 0.0
    versions = {"ours": one["versions"], "peer": other["versions"]}
    return Result(bar, mine, theirs, "share" if figure == "f1" else "rows", ratio, 0.0, holds, versions)


def _table(streams: list[Any], measured: dict[str, Measured], scores: dict[str, dict[str, float]]) -> str:
    head = f"{'':18}" + "".join(f"{name[:17]:>18}" for name in ("all: F1", *NAMES)) + "   false  us a row"
    lines = [head]
    for name, one in measured.items():
        cells = [f"{scores[name]['f1']:.3f} {scores[name]['delay']:6.0f}"]
        for generator in NAMES:
            some = scored(streams, one["alarms"], generator)
            cells.append(f"{some['f1']:.2f} {some['delay']:6.0f}")
        rows = sum(
            told[2] + (AFTER if told[3] else 0)
            for told, at in zip(streams, one["alarms"], strict=True) if at is not None
        )  # fmt: skip
        lines.append(
            f"{name:18}" + "".join(f"{cell:>18}" for cell in cells)
            + f"{scores[name]['false']:8.0f}{one['seconds'] / rows * 1e6:10.0f}"
        )  # fmt: skip
    return "\n".join(lines)
