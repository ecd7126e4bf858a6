"""Gates on what is around a candidate: its data, its features, its files, and what was proven of it.

    contracts_kept   how much of the training window's events is in quarantine?
    parity_proven    is what was served lately the same when it is computed again?
    tests_passed     have the feature tests of this definition run, and passed?
    within_budget    is one row scored in time, and are the files small enough?
    reproducible     can the version be made again?

Each answers about evidence that somebody gathered; evidence that is not there is INSUFFICIENT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.times import age_text, duration_text
from backstay.evaluation.quantiles import binomial_quantiles
from backstay.rollout.verdict import Check, Verdict

P99, LEVEL = 0.99, 0.95


class Proof(Protocol):
    """What came of computing predictions again. `lifecycle.verify.ParityReport` is one."""

    checked: int
    equal: int
    stale: int
    logged: int
    degraded: int
    other_definition: int
    given: int


def contracts_kept(counts: Mapping[str, tuple[int, int]], bound: float, reasons: Mapping[str, str]) -> Check:
    """Is no source's share of quarantined events in the training window above `bound`?

    counts:  by source with a contract, events that were taken and events in quarantine
    reasons: by source, what most of its quarantined events broke

    >>> contracts_kept({"orders": (990, 10)}, 0.05, {}).reason
    'most in quarantine of orders: 10 of 1,000 events (1.0%)'
    """
    name, evidence = "contracts_kept", {"bound": bound, "sources": {one: list(pair) for one, pair in counts.items()}}
    if not counts:
        nothing = "no source has a contract: nothing is ever found wrong"
        return Check(name, Verdict.INSUFFICIENT, nothing, evidence)
    shares = {source: bad / (good + bad) for source, (good, bad) in counts.items() if good + bad}
    told = sorted(shares, key=lambda source: -shares[source])
    over = [source for source in told if shares[source] > bound]

    def said(source: str) -> str:
        good, bad = counts[source]
        why = f"; most of them: {reasons[source]}" if bad and source in reasons else ""
        return f"{source}: {bad:,} of {good + bad:,} events ({shares[source]:.1%}){why}"

    if over:
        listed = "; ".join(said(source) for source in over)
        return Check(name, Verdict.FAIL, f"in quarantine, and {bound:.1%} is allowed: {listed}", evidence)
    if empty := [source for source in counts if source not in shares]:
        return Check(name, Verdict.INSUFFICIENT, f"no event of {', '.join(empty)} is in the window", evidence)
    return Check(name, Verdict.PASS, f"most in quarantine of {said(told[0])}", evidence)


def parity_proven(found: Proof | None, minimum: int, max_stale: float | None) -> Check:
    """Is every prediction that was computed again the same, bit for bit, and are there enough of them?"""
    name = "parity_proven"
    if found is None:
        return Check(name, Verdict.INSUFFICIENT, "no prediction was computed again", {"minimum": minimum})
    fields = ("logged", "checked", "equal", "stale", "degraded", "other_definition", "given")
    evidence: dict[str, object] = {one: getattr(found, one) for one in fields}
    evidence |= {"minimum": minimum, "max_stale": max_stale}
    if found.equal < found.checked:
        said = f"{found.checked - found.equal:,} of {found.checked:,} predictions come out differently"
        return Check(name, Verdict.FAIL, said, evidence)
    if found.checked < minimum:
        apart = {"answered by policy": found.degraded, "of another definition": found.other_definition,
                 "with inputs of their own": found.given}  # fmt: skip
        why = ", ".join(f"{number:,} {what}" for what, number in apart.items() if number)
        said = f"{found.checked:,} predictions can be computed again, and the policy asks for {minimum:,}"
        return Check(name, Verdict.INSUFFICIENT, f"{said}{f' ({why} can not)' if why else ''}", evidence)
    if max_stale is not None and found.stale > max_stale * found.checked:
        said = f"{found.stale:,} of {found.checked:,} predictions were answered before a known event had arrived"
        return Check(name, Verdict.FAIL, f"{said}: {max_stale:.1%} is allowed", evidence)
    return Check(name, Verdict.PASS, f"{found.checked:,} of {found.checked:,} predictions are the same", evidence)


def tests_passed(report: Mapping[str, int] | None, *, same: bool, age: int | None, max_age: int) -> Check:
    """Have feature tests run, of this definition and lately, and did all of them pass?

    report: `tests`, `failures`, `errors` and `skipped` of the run that was recorded last; None: none was
    same:   it was of this definition of the features; age, max_age: microseconds

    >>> print(tests_passed({"tests": 3, "failures": 0, "errors": 0, "skipped": 3}, same=True, age=0, max_age=1).reason)
    3 tests were there, and none was run
    """
    name = "feature_tests"
    if report is None:
        return Check(name, Verdict.INSUFFICIENT, "no run of feature tests is recorded: backstay check --tests FILE")
    evidence = {**report, "same_definition": same, "age": age}
    wrong = report["failures"] + report["errors"]
    if wrong:
        return Check(name, Verdict.FAIL, f"{wrong:,} of {report['tests']:,} feature tests failed", evidence)
    if not same:
        said = "the last run of feature tests was of another definition of the features"
        return Check(name, Verdict.INSUFFICIENT, said, evidence)
    if age is None or not 0 <= age <= max_age:
        told = "of an unknown time" if age is None or age < 0 else f"{age_text(age)} old"
        said = f"the last run of feature tests is {told}, at most {duration_text(max_age)} is allowed"
        return Check(name, Verdict.INSUFFICIENT, said, evidence)
    ran = report["tests"] - report["skipped"]
    if ran <= 0:
        said = f"{report['tests']:,} tests were there, and none was run"
        return Check(name, Verdict.INSUFFICIENT, said, evidence)
    return Check(name, Verdict.PASS, f"all {ran:,} feature tests passed", evidence)


def within_budget(
    took: ArrayLike | None, size: int | None, latency: int | None, most: int | None, machine: str = ""
) -> Check:
    """Is one row scored within the budget at the 99th percentile, and are the files no larger than declared?

    took:    how long each row took, in microseconds; the p99 has a 95% interval by order statistics
    size:    bytes of the files; latency (microseconds) and most (bytes): the budget, None where not asked

    >>> within_budget(np.arange(1000) / 10, 2_000, 100, 1_000_000).reason
    'p99 98.9 us [98.2, 99.6] of 1,000 rows is at most 100us; 2,000 bytes are at most 1,000,000'
    """
    name, told = "within_budget", []
    evidence: dict[str, object] = {"latency": latency, "most": most, "bytes": size, "machine": machine}
    if latency is None and most is None:
        return Check(name, Verdict.INSUFFICIENT, "no budget is declared", evidence)
    if latency is not None:
        told.append(_latency(np.sort(np.asarray([] if took is None else took, np.float64)), latency, evidence))
    if most is not None and not size:
        told.append((Verdict.INSUFFICIENT, "the size of the files is not known"))
    elif most is not None and size:
        within = size <= most
        words = "are at most" if within else "are more than"
        told.append((Verdict.PASS if within else Verdict.FAIL, f"{size:,} bytes {words} {most:,}"))
    for verdict in (Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.PASS):
        if said := [reason for one, reason in told if one is verdict]:
            return Check(name, verdict, "; ".join(said), evidence)
    raise AssertionError("one of the answers is there")


def _latency(
    took: np.ndarray[tuple[int, ...], np.dtype[np.float64]], latency: int, evidence: dict[str, object]
) -> tuple[Verdict, str]:
    n = took.size
    if not n or not np.isfinite(took).all():
        return Verdict.INSUFFICIENT, "no row was timed" if not n else "a time is no number"
    ranks = [int(binomial_quantiles(tail, n, P99)) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    if ranks[1] + 1 > n:
        return Verdict.INSUFFICIENT, f"{n:,} rows were timed, too few for a p99"
    p99, low, high = (float(took[place]) for place in (int(np.ceil(P99 * n)) - 1, max(ranks[0] - 1, 0), ranks[1]))
    evidence |= {"p50": float(np.median(took)), "p99": p99, "p99_low": low, "p99_high": high, "rows": n}
    numbers = f"p99 {p99:.1f} us [{low:.1f}, {high:.1f}] of {n:,} rows"
    if high <= latency:
        return Verdict.PASS, f"{numbers} is at most {duration_text(latency)}"
    if low > latency:
        return Verdict.FAIL, f"{numbers} is more than {duration_text(latency)}"
    return Verdict.INSUFFICIENT, f"cannot tell whether {numbers} is at most {duration_text(latency)}"


def reproducible(
    asked: str, missing: Sequence[str], *, clean: bool, made: str | None, age: int | None, max_age: int
) -> Check:
    """Can the version be made again: is it said of what ("lineage"), or was it done ("exact")?

    missing: parts of the manifest that are not there; clean: nothing was uncommitted
    made:    the outcome of making it again that was recorded last; None: it was never tried; age, max_age: microseconds

    >>> print(reproducible("exact", [], clean=True, made="equivalent", age=0, max_age=1).verdict)
    FAIL
    """
    name = "reproducible"
    evidence = {"asked": asked, "missing": list(missing), "clean": clean, "made": made, "age": age}
    if asked == "exact":
        if made is None:
            return Check(name, Verdict.INSUFFICIENT, "it was never made again: backstay check --reproduce", evidence)
        if made != "exact":
            return Check(name, Verdict.FAIL, f"made again, it was {made}", evidence)
        if age is None or not 0 <= age <= max_age:
            said = f"it was made again too long ago: at most {duration_text(max_age)} is allowed"
            return Check(name, Verdict.INSUFFICIENT, said, evidence)
        return Check(name, Verdict.PASS, "made again, it had the same bytes", evidence)
    if missing:
        return Check(name, Verdict.INSUFFICIENT, f"its lineage lacks {', '.join(missing)}", evidence)
    if not clean:
        return Check(name, Verdict.FAIL, "it was made from a working tree with changes that no commit holds", evidence)
    return Check(name, Verdict.PASS, "its lineage is complete, and of one commit", evidence)
