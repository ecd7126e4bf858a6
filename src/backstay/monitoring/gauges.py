"""Gauges of what is watched, in Prometheus' text form: incidents, what the last window said, what people were not told.

They are numbers about the records, so whoever can read these may write them down: `backstay watch --metrics FILE`, or
`backstay alerts --metrics FILE` after each tick, for the textfile collector of node_exporter. A file that nobody renews
is told by its own figures: the end of the last window does not move on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.times import SECOND
from backstay.monitoring.grouping import Looked
from backstay.monitoring.incidents import DRIFTS, RESOLVED, STATES, Incident
from backstay.monitoring.signals import INPUT_DRIFT, LADDER

SEVERITIES = (INPUT_DRIFT, *LADDER)
MEANINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "incidents": ("Incidents that are not resolved.", ("model", "severity", "state")),
    "incidents_cost": ("Estimated cost of a day of these incidents, in the policy's units.", ("model",)),
    "monitor_window_end_seconds": ("End of the last window that was looked at, in Unix time.", ("model",)),
    "monitor_rows": ("Rows that were asked in it.", ("model",)),
    "monitor_findings": ("What it said of columns and metrics, counted by state.", ("model", "kind", "state")),
    "signal_effect": ("Effect of what is wrong in it.", ("model", "kind", "what")),
    "signal_threshold": ("Effect that is tolerated.", ("model", "kind", "what")),
    "notifications_failed": ("Messages about incidents that have not been delivered.", ("model",)),
    "watched_seconds": ("When these gauges were written, in Unix time.", ()),
}
"""By name, without `backstay_`, what each gauge says, and its labels."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of a model that is watched.

    looked: the last window; None: there was none
    failed: how many messages have not been delivered
    """

    model: str
    incidents: Sequence[Incident] = ()
    looked: Looked | None = None
    failed: int = 0


def gauges(watches: Sequence[Watch], now: int) -> dict[str, list[tuple[tuple[str, ...], float]]]:
    """Every gauge of `MEANINGS`, by name, with its labels' values. Incidents of no state are told as 0: alarms end."""
    out: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in MEANINGS}
    for one in watches:
        active = [each for each in one.incidents if each.active]
        for severity in SEVERITIES:
            for state in STATES:
                if state != RESOLVED:
                    count = sum((each.severity, each.state) == (severity, state) for each in active)
                    out["incidents"].append(((one.model, severity, state), count))
        out["incidents_cost"].append(((one.model,), sum(each.cost or 0.0 for each in active)))
        out["notifications_failed"].append(((one.model,), one.failed))
        if one.looked is None:
            continue
        for kind, states in one.looked.states.items():
            out["monitor_findings"] += [((one.model, kind, state), count) for state, count in states.items()]
        out["monitor_window_end_seconds"].append(((one.model,), one.looked.window[1] / SECOND))
        out["monitor_rows"].append(((one.model,), one.looked.rows))
        for signal in one.looked.signals:
            if signal.state == DRIFTS:
                labels = (one.model, signal.kind, signal.what)
                out["signal_effect"].append((labels, signal.effect))
                out["signal_threshold"].append((labels, signal.threshold))
    out["watched_seconds"].append(((), now / SECOND))
    return out


class _Collector:
    def __init__(self, found: Mapping[str, list[tuple[tuple[str, ...], float]]]) -> None:
        self._found = found

    def collect(self) -> Iterator[Any]:
        """What `prometheus_client` writes out."""
        from prometheus_client.core import GaugeMetricFamily

        for name, (meaning, labels) in MEANINGS.items():
            family = GaugeMetricFamily(f"backstay_{name}", meaning, labels=labels)
            for values, number in self._found[name]:
                family.add_metric(list(values), number)
            yield family


def written(watches: Sequence[Watch], now: int) -> str:
    """The gauges in Prometheus' text form.

    >>> print(written([], 60_000_000).splitlines()[-1])
    backstay_watched_seconds 60.0
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(gauges(watches, now)))
    return generate_latest(registry).decode()
