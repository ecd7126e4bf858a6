"""NannyML's univariate drift: a calculator fitted on the reference once, asked window by window; its own thresholds."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any

import nannyml as nml
import numpy as np
import pandas as pd

from bench.monitoring import edge, power, speed
from bench.monitoring.stationary import FEATURES, REFERENCE, ROWS
from bench.monitoring.streams import episodes, lasting, named, rows

warnings.simplefilter("ignore")


def stationary(kind: str, days: int) -> dict[str, Any]:
    """By its default, the Jensen-Shannon distance."""
    return _stationary(kind, days, "jensen_shannon")


def stationary_ks(kind: str, days: int) -> dict[str, Any]:
    return _stationary(kind, days, "kolmogorov_smirnov")


def _stationary(kind: str, days: int, method: str) -> dict[str, Any]:
    random = np.random.default_rng(0)
    calculator = _fitted(pd.DataFrame(named(rows(kind, random, REFERENCE, FEATURES)[0])), method)
    windows = pd.concat([pd.DataFrame(named(rows(kind, random, ROWS, FEATURES)[0])) for _ in range(days)])
    alarms = _alarms(calculator, windows, method)
    return {"incidents": episodes(lasting(alarms)) * 365 / days, "columns": float(alarms.sum()) * 365 / days}


def power_(times: int, count: int, reference: int) -> dict[str, Any]:
    random = np.random.default_rng(1)
    trained, _ = power.before("iid", random, reference, "mean")
    calculator = _fitted(pd.DataFrame({"x": trained}), "jensen_shannon", chunk=count)
    windows = pd.concat([pd.DataFrame({"x": power.changed("iid", random, count, "mean")[0]}) for _ in range(times)])
    return {"power": float(_alarms(calculator, windows, "jensen_shannon").mean())}


def speed_(count: int, columns: int, method: str = "jensen_shannon") -> dict[str, Any]:
    """The window alone is timed: the reference is fitted before."""
    calculator = _fitted(pd.DataFrame(speed.columns(count, columns, 0)), method, chunk=count)
    window = pd.DataFrame(speed.columns(count, columns, 1))
    begin = perf_counter()
    calculator.calculate(window)
    return {"seconds": perf_counter() - begin}


def speed_ks(count: int, columns: int) -> dict[str, Any]:
    return speed_(count, columns, "kolmogorov_smirnov")


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
        calculator = _fitted(pd.DataFrame(trained), "jensen_shannon", chunk=len(next(iter(now.values()))) or None)
        found = calculator.calculate(pd.DataFrame(now)).filter(period="analysis").to_df()
        values = [found[(name, "jensen_shannon", "value")].iloc[-1] for name in trained]
        return all(value is not None and np.isfinite(value) for value in values)
    except Exception:  # noqa: BLE001  whatever it raises is no answer
        return False


def _fitted(reference: pd.DataFrame, method: str, chunk: int | None = ROWS) -> Any:
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(reference.columns), chunk_size=chunk,
        continuous_methods=[method],
        categorical_methods=["jensen_shannon"],
    )  # fmt: skip
    return calculator.fit(reference)


def _alarms(calculator: Any, windows: pd.DataFrame, method: str) -> Any:
    found = calculator.calculate(windows.reset_index(drop=True)).filter(period="analysis").to_df()
    return np.stack([found[(name, method, "alert")].to_numpy(bool) for name in windows.columns], axis=1)
