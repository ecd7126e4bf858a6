"""Training-serving skew in a window: a share of its rows, computed again from the events record."""

from __future__ import annotations

import math

from backstay.definitions import Model, Monitor
from backstay.evaluation.quantiles import binomial_tail
from backstay.evaluation.states import State
from backstay.lifecycle.records import Records
from backstay.lifecycle.verify import Chosen, ParityReport, verify
from backstay.monitoring.assess import Found
from backstay.monitoring.signals import SKEW
from backstay.monitoring.windows import Window

PARITY = "parity"
TOLERATED = 0.0
"""The share of rows that may differ: a row that differs is a defect, and none is usual."""


def parity(records: Records, model: Model, monitor: Monitor, window: Window, rows: int) -> list[Found]:
    """Rows of a window computed again, bit for bit; and for each feature that differs, how often it does.

    Which rows is decided by what was asked, so that everybody takes the same ones.
    """
    wanted = min(math.ceil(monitor.parity * rows), monitor.parity_rows)
    if not wanted:
        return [_none(f"{rows} rows" if monitor.parity else "the policy asks for none")]
    report = verify(records, model, Chosen(sample=wanted, since=window.start, until=window.end))
    if not report.checked:
        return [_none(_unchecked(report))]
    differ = report.checked - report.equal
    state = State.DRIFT if differ else State.OK
    why = f"{report.equal:,} of {report.checked:,} rows computed again are equal, bit for bit"
    evidence = {"checked": report.checked, "equal": report.equal, "stale": report.stale}
    out = [Found(SKEW, PARITY, state, differ / report.checked, TOLERATED, why, evidence)]
    for name, count in report.features.most_common():
        share = count / report.checked
        said = f"it differs in {count:,} of {report.checked:,} rows computed again"
        low = _at_least(count, report.checked, monitor.level)
        out.append(Found(SKEW, name, State.DRIFT, share, TOLERATED, said, {"at_least": low, "rows": report.checked}))
    return out


def _none(why: str) -> Found:
    return Found(SKEW, PARITY, State.NO_DATA, None, TOLERATED, f"nothing was computed again: {why}")


def _unchecked(report: ParityReport) -> str:
    told = {
        "served from another definition of the features": report.other_definition,
        "brought the inputs themselves": report.given, "answered while the state could not be asked": report.degraded,
    }  # fmt: skip
    return ", ".join(f"{count:,} rows {name}" for name, count in told.items() if count) or "no row"


def _at_least(count: int, rows: int, level: float) -> float:
    """The share that is surely exceeded (Clopper and Pearson 1934, one-sided), to three digits."""
    low, high = 0.0, count / rows
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if binomial_tail(count, rows, middle) <= level else (low, middle)
    return round(low, 3)
