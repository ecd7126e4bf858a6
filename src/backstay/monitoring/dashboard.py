"""A Grafana dashboard of a project: incidents, what windows say, how requests fare. Made of the metrics there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDE = 24
_OF = 'model=~"$model"'
_QUANTILES = (0.5, 0.95, 0.99)


def dashboard(project: str, models: Sequence[str]) -> dict[str, Any]:
    """The dashboard as Grafana imports it (schema 39, Grafana 10 and newer); it asks for its data source by itself."""
    panels: list[dict[str, Any]] = []
    _row(panels, [
        _panel("stat", "Open incidents", [(f'sum(backstay_incidents{{{_OF},state="open"}})', "open")]),
        _panel("stat", "Estimated cost of a day", [(f"sum(backstay_incidents_cost{{{_OF}}})", "cost")]),
        _panel("stat", "Not delivered", [(f"sum(backstay_notifications_failed{{{_OF}}})", "messages")]),
        _panel(
            "stat", "Last window ended",
            [(f"time() - max by (model) (backstay_monitor_window_end_seconds{{{_OF}}})", "{{model}}")], "s",
        ),
    ], 4)  # fmt: skip
    _row(panels, [
        _panel(
            "timeseries", "Incidents by severity",
            [(f"sum by (model, severity) (backstay_incidents{{{_OF}}})", "{{model}} {{severity}}")],
        ),
        _panel(
            "timeseries", "Effect over what is tolerated",
            [(f"backstay_signal_effect{{{_OF}}} / backstay_signal_threshold{{{_OF}}}", "{{kind}} {{what}}")],
        ),
    ], 8)  # fmt: skip
    _row(panels, [
        _panel(
            "timeseries", "What windows say",
            [(f"sum by (kind, state) (backstay_monitor_findings{{{_OF}}})", "{{kind}} {{state}}")],
        ),
        _panel("timeseries", "Rows in a window", [(f"sum by (model) (backstay_monitor_rows{{{_OF}}})", "{{model}}")]),
    ], 8)  # fmt: skip
    latency = "histogram_quantile({}, sum by (le) (rate(backstay_request_seconds_bucket[$__rate_interval])))"
    _row(panels, [
        _panel(
            "timeseries", "Requests a second",
            [("sum by (status) (rate(backstay_requests_total[$__rate_interval]))", "{{status}}")], "reqps",
        ),
        _panel("timeseries", "Latency", [(latency.format(one), f"p{100 * one:g}") for one in _QUANTILES], "s"),
        _panel(
            "timeseries", "Share that failed, or was slow",
            [
                (_share("failed"), "{{model}} failed"),
                (_share("slow"), "{{model}} slow"),
            ], "percentunit",
        ),
    ], 8)  # fmt: skip
    return {
        "title": f"Backstay: {project}", "uid": None, "tags": ["backstay"], "timezone": "utc", "editable": True,
        "schemaVersion": 39, "version": 1, "refresh": "1m", "time": {"from": "now-30d", "to": "now"},
        "annotations": {"list": []}, "templating": {"list": _variables(models)}, "panels": panels,
    }  # fmt: skip


def _share(what: str) -> str:
    """The share of requests with an objective that failed, or were slow."""
    return (
        f"sum by (model) (rate(backstay_objective_{what}_total{{{_OF}}}[$__rate_interval])) / "
        f"sum by (model) (rate(backstay_objective_requests_total{{{_OF}}}[$__rate_interval]))"
    )


def _panel(kind: str, title: str, queries: Sequence[tuple[str, str]], unit: str = "short") -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": expr, "legendFormat": legend}
        for place, (expr, legend) in enumerate(queries)
    ]
    return {
        "type": kind, "title": title, "datasource": _SOURCE, "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []}, "options": {},
    }  # fmt: skip


def _row(panels: list[dict[str, Any]], some: Sequence[dict[str, Any]], height: int) -> None:
    """Add panels side by side, below what there is."""
    top = max((one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels), default=0)
    width = _WIDE // len(some)
    for place, one in enumerate(some):
        place_of = {"x": place * width, "y": top, "w": width, "h": height}
        panels.append({"id": len(panels) + 1, **one, "gridPos": place_of})


def _variables(models: Sequence[str]) -> list[dict[str, Any]]:
    """What a person chooses: the data source, and models."""
    options = [{"selected": True, "text": "All", "value": "$__all"}]
    options += [{"selected": False, "text": one, "value": one} for one in models]
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {
            "name": "model", "label": "Model", "type": "custom", "query": ",".join(models), "multi": True,
            "includeAll": True, "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "options": options,
        },
    ]  # fmt: skip
