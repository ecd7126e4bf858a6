"""Evidently's drift report: the reference is read anew for each window; its own test and threshold, or a named one."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

from bench.monitoring import edge, power, speed
from bench.monitoring.stationary import FEATURES, REFERENCE, ROWS
from bench.monitoring.streams import episodes, lasting, named, rows

warnings.simplefilter("ignore")


def stationary(kind: str, days: int) -> dict[str, Any]:
    """By its default, which it chooses by the size of the samples: here the normed Wasserstein distance above 0.1."""
    return _stationary(kind, days)


def stationary_psi(kind: str, days: int) -> dict[str, Any]:
    return _stationary(kind, days, method="psi")


def _stationary(kind: str, days: int, **how: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    reference = pd.DataFrame(named(rows(kind, random, REFERENCE, FEATURES)[0]))
    windows = [pd.DataFrame(named(rows(kind, random, ROWS, FEATURES)[0])) for _ in range(days)]
    alarms = np.array([_drifted(reference, window, **how) for window in windows], bool)
    return {"incidents": episodes(lasting(alarms)) * 365 / days, "columns": float(alarms.sum()) * 365 / days}


def power_(times: int, count: int, reference: int, **how: Any) -> dict[str, Any]:
    random = np.random.default_rng(1)
    trained = pd.DataFrame({"x": power.before("iid", random, reference, "mean")[0]})
    windows = [pd.DataFrame({"x": power.changed("iid", random, count, "mean")[0]}) for _ in range(times)]
    return {"power": float(np.mean([_drifted(trained, window, **how)[0] for window in windows]))}


def power_psi(times: int, count: int, reference: int) -> dict[str, Any]:
    return power_(times, count, reference, method="psi")


def speed_(count: int, columns: int) -> dict[str, Any]:
    reference = pd.DataFrame(speed.columns(count, columns, 0))
    window = pd.DataFrame(speed.columns(count, columns, 1))
    begin = perf_counter()
    Report([DataDriftPreset()]).run(window, reference).dict()
    return {"seconds": perf_counter() - begin}


def odd() -> dict[str, Any]:
    """How many of the odd columns it says something of, each by itself; and whether one report has them all."""
    answered, together, window = 0, {}, {}
    for name, (whole, now, _) in edge.cases().items():
        trained = whole[: edge.ROWS]
        together[name], window[name] = trained, (now + [None] * edge.ROWS)[: edge.ROWS]
        answered += _answers({name: trained}, {name: now})
    return {"answered": answered / len(together), "together": float(_answers(together, window))}


def _answers(trained: dict[str, Any], now: dict[str, Any]) -> bool:
    try:
        return len(_drifted(pd.DataFrame(trained), pd.DataFrame(now))) == len(trained)
    except Exception:  # noqa: BLE001  whatever it raises is no answer
        return False


def _drifted(reference: pd.DataFrame, window: pd.DataFrame, **how: Any) -> list[bool]:
    """Whether each column is said to have drifted: by its tests, of the same method and threshold as the report."""
    found = Report([DataDriftPreset(**how)], include_tests=True).run(window, reference).dict()
    tests = [test for test in found["tests"] if "column" in test.get("metric_config", {}).get("params", {})]
    return [str(getattr(test["status"], "value", test["status"])).upper().endswith("FAIL") for test in tests]
