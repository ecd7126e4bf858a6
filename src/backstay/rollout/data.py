"""The data gates: is a training set fit to be learned from? Asked before anything is trained.

    rows_suffice      are there enough rows, and not far fewer than the last time?
    label_rate_holds  is the outcome about as frequent as it was?
    inputs_hold       are the inputs distributed as they were?
    nothing_missing   have values gone missing that used to be there?
    no_leak           does one input alone tell the outcome too well to be true?

What is compared with is the training set that was accepted last. Without one there is nothing to compare, which is no
fault: a first training set passes on what can be said of it alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.distributions import shift
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import auc
from backstay.rollout.verdict import Check, Verdict

_Z = 2.5758  # both limits of a 99% interval
_NAMED = 5  # features that a sentence names

Columns = Mapping[str, NDArray[np.float32]]


class DataRule(Protocol):
    """What the data gates go by. `definitions.DataPolicy` is one."""

    @property
    def minimum_rows(self) -> int: ...

    @property
    def volume(self) -> float: ...

    @property
    def label_rate(self) -> float: ...

    @property
    def drift(self) -> float: ...

    @property
    def missing(self) -> float: ...

    @property
    def leak(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """The training set that was accepted last: of which version, and what is known of it.

    sample: rows of it, by input
    """

    name: str
    rows: int
    label_rate: float
    sample: Columns


def rows_suffice(rows: int, before: Accepted | None, rule: DataRule) -> Check:
    """At least `minimum_rows`, and at least the share `volume` of what there was the last time."""
    evidence = {"rows": rows, "before": None if before is None else before.rows}
    if rows < rule.minimum_rows:
        said = f"{rows:,} rows, and the policy wants {rule.minimum_rows:,}"
        return Check("rows_suffice", Verdict.FAIL, said, evidence)
    if before is None:
        return Check("rows_suffice", Verdict.PASS, f"{rows:,} rows, and none before to compare with", evidence)
    verdict = Verdict.PASS if rows >= rule.volume * before.rows else Verdict.FAIL
    return Check("rows_suffice", verdict, f"{rows:,} rows, {before.rows:,} in {before.name}", evidence)


def label_rate_holds(positives: int, rows: int, before: Accepted | None, rule: DataRule) -> Check:
    """The odds of the outcome within a factor of `label_rate`, as far as chance allows to say (a 99% interval)."""
    rate = positives / rows
    evidence = {"rate": rate, "before": None if before is None else before.label_rate}
    if before is None:
        return Check("label_rate_holds", Verdict.PASS, f"{rate:.4g}, and none before to compare with", evidence)
    said = f"{rate:.4g} of the rows are positive, {before.label_rate:.4g} in {before.name}"
    ratio = math.log(_odds(positives, rows - positives)) - math.log(before.label_rate / (1 - before.label_rate))
    spread = _Z * math.sqrt(1 / (positives + 0.5) + 1 / (rows - positives + 0.5))
    verdict = Verdict.FAIL if abs(ratio) - spread > math.log(rule.label_rate) else Verdict.PASS
    return Check("label_rate_holds", verdict, said, evidence | {"log_odds_ratio": ratio, "half_width": spread})


def inputs_hold(sample: Columns, before: Accepted | None, rule: DataRule) -> Check:
    """No input further from the last sample than `drift` (population stability index), beyond what chance does."""
    if before is None:
        return Check("inputs_hold", Verdict.PASS, "there is none before to compare with")
    if list(sample) != list(before.sample):
        said = f"{before.name} has other inputs: there is nothing to compare"
        return Check("inputs_hold", Verdict.PASS, said, {"inputs": list(sample), "before": list(before.sample)})
    found = {name: shift(before.sample[name], values) for name, values in sample.items()}
    far = {name: one for name, one in found.items() if one.psi - one.floor > rule.drift}
    evidence = {name: {"psi": one.psi, "floor": one.floor, "mean": [one.reference_mean, one.mean]}
                for name, one in found.items()}  # fmt: skip
    if not far:
        most = max(found, key=lambda name: found[name].psi)
        return Check("inputs_hold", Verdict.PASS, f"furthest is {most}, PSI {found[most].psi:.3f}", evidence)
    told = sorted(far, key=lambda name: -far[name].psi)
    said = f"{_named(told)} {'are' if len(told) > 1 else 'is'} far from {before.name}: PSI {far[told[0]].psi:.3f}"
    return Check("inputs_hold", Verdict.FAIL, f"{said}, and the policy allows {rule.drift:g}", evidence)


def nothing_missing(sample: Columns, before: Accepted | None, rule: DataRule) -> Check:
    """No input without values altogether, and none with a share of missing ones grown by more than `missing`."""
    now = {name: float(np.isnan(values).mean()) for name, values in sample.items()}
    empty = [name for name, share in now.items() if share == 1.0]
    if empty:
        return Check("nothing_missing", Verdict.FAIL, f"{_named(empty)}: no row has a value", {"missing": now})
    then = {} if before is None else {name: float(np.isnan(one).mean()) for name, one in before.sample.items()}
    grown = {name: share - then[name] for name, share in now.items() if share - then.get(name, share) > rule.missing}
    evidence = {"missing": now, "before": then}
    if grown:
        told = sorted(grown, key=lambda name: -grown[name])
        said = f"{_named(told)}: {now[told[0]]:.1%} of the rows have no value, {then[told[0]]:.1%} before"
        return Check("nothing_missing", Verdict.FAIL, said, evidence)
    most = max(now, key=lambda name: now[name])
    return Check("nothing_missing", Verdict.PASS, f"most in {most}: {now[most]:.1%} of the rows", evidence)


def no_leak(columns: Columns, outcome: NDArray[np.int8], rule: DataRule) -> Check:
    """No single input whose AUC, in either direction, is above `leak`; a missing value counts as lower than any."""
    alone = {name: separation(values, outcome) for name, values in columns.items()}
    known = {name: value for name, value in alone.items() if value is not None}
    if not known:
        return Check("no_leak", Verdict.PASS, "no input has two values in it", {"auc": alone})
    told = sorted(known, key=lambda name: -known[name])
    if known[told[0]] > rule.leak:
        leaks = [name for name in told if known[name] > rule.leak]
        said = f"{_named(leaks)} alone {'tell' if len(leaks) > 1 else 'tells'} the outcome: AUC {known[told[0]]:.3f}"
        return Check("no_leak", Verdict.FAIL, f"{said}; is it known only afterwards?", {"auc": alone})
    return Check("no_leak", Verdict.PASS, f"best alone is {told[0]}, AUC {known[told[0]]:.3f}", {"auc": alone})


def separation(values: NDArray[np.float32], outcome: NDArray[np.int8]) -> float | None:
    """How well one input alone tells two classes apart: its AUC, or 1 less it; None where it has but one value.

    >>> separation(np.array([1, 2, 3, np.nan], np.float32), np.array([1, 0, 0, 1], np.int8))
    1.0
    """
    ranked = np.where(np.isnan(values), -np.inf, values.astype(np.float64))
    if len(ranked) < 2 or (ranked == ranked[0]).all():
        return None
    try:
        area = auc(outcome, ranked)
    except NotEnough:
        return None
    return max(area, 1 - area)


def _odds(yes: int, no: int) -> float:
    return (yes + 0.5) / (no + 0.5)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
