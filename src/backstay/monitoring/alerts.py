"""Prometheus alert rules and a Grafana dashboard, made of what a project declares. Pure: definitions in, documents out.

Rules of a model's objective are those of the Google SRE workbook, the same that `backstay objectives` judges by. Rules
of incidents go by their severity: a loss pages, what may become one makes a ticket. An incident that somebody has
acknowledged or snoozed rings no more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from backstay.core.times import SECOND, duration_text
from backstay.definitions import Model
from backstay.definitions.objectives import Objective
from backstay.evaluation.budgets import RULE
from backstay.monitoring.gauges import SEVERITIES
from backstay.monitoring.incidents import words
from backstay.monitoring.signals import ESTIMATED_LOSS, REALISED_LOSS

PAGES = (ESTIMATED_LOSS, REALISED_LOSS)
"""Severities for which somebody is woken up; the others can wait for the morning."""


def rules(project: str, models: Sequence[Model]) -> dict[str, Any]:
    """The groups of a Prometheus rules file: objectives and incidents of each model, and the servers.

    A group's name has the project's, a rule's labels the model's and what is to be done: `page` or `ticket`.
    """
    groups = [_group(project, "servers", _servers(project))]
    for one in models:
        found = [*([] if one.objective is None else _objective(one.name, one.objective)), *_incidents(one)]
        groups.append(_group(project, one.name, found))
    return {"groups": groups}


def _group(project: str, name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    for one in found:
        one["labels"] = {"project": project, **one["labels"]}
    return {"name": f"backstay {project}: {name}", "rules": found}


def _rule(
    name: str, expr: str, lasts: str, action: str, summary: str, labels: Mapping[str, str], **more: str
) -> dict[str, Any]:  # fmt: skip
    notes = {"summary": summary, **{key: said for key, said in more.items() if said}}
    return {"alert": name, "expr": expr, "for": lasts, "labels": {"action": action, **labels}, "annotations": notes}


def _servers(project: str) -> list[dict[str, Any]]:
    return [
        _rule(
            "BackstayPredictionsLost", "increase(backstay_predictions_lost[15m]) > 0", "0m", "ticket",
            f"A server of {project} answered, and lost what it answered: nothing of it can be checked.", {},
        ),
        _rule(
            "BackstayOnlineStateDown", "backstay_online_open > 0", "5m", "page",
            f"A server of {project} cannot read its online state: features are what the policy puts in their place.",
            {},
        ),
        _rule(
            "BackstayNotToldOf", "backstay_notifications_failed > 0", "30m", "ticket",
            "There is an incident that people could not be told of.", {},
            description="backstay incidents show NUMBER has what each notifier answered.",
        ),
    ]  # fmt: skip


def _objective(model: str, objective: Objective) -> list[dict[str, Any]]:
    """The alarms of a model's budgets: several windows and burn rates."""
    of = f'{{model="{model}"}}'
    total = "backstay_objective_requests_total" + of
    failed, slow = f"backstay_objective_failed_total{of}", f"backstay_objective_slow_total{of}"
    promises = (
        ("answered", "BackstayRequestsFail", objective.availability, failed, (total,)),
        ("fast", "BackstayAnswersSlow", objective.share, slow, (total, failed)),
    )
    out = []
    for promise, name, target, bad, parts in promises:
        allowed = round(1 - target, 12)
        for action, long, short, burn in RULE:
            spans = [_span(long), _span(short)]
            expr = " and ".join(f"({_share(bad, parts, span)} > {burn * allowed:.10g})" for span in spans)
            said = f"{model}: the budget of what is {promise} burns {burn:g} times as fast as it may, over {spans[0]}"
            out.append(_rule(name, expr, "0m", action, said, {"model": model, "window": spans[0]}))
    return out


def _share(bad: str, parts: Sequence[str], span: str) -> str:
    """The share of bad ones among those that count, over all servers."""
    whole = " - ".join(f"sum(rate({one}[{span}]))" for one in parts)
    return f"sum(rate({bad}[{span}])) / {f'({whole})' if len(parts) > 1 else whole}"


def _span(micros: int) -> str:
    return duration_text(micros)


def _incidents(model: Model) -> list[dict[str, Any]]:
    name, out = model.name, []
    for severity in SEVERITIES:
        expr = f'sum(backstay_incidents{{model="{name}",severity="{severity}",state="open"}}) > 0'
        out.append(
            _rule(
                "BackstayIncident", expr, "0m", "page" if severity in PAGES else "ticket",
                f"{name}: there is an incident, {words(severity)}, and nobody has acknowledged it.",
                {"model": name, "severity": severity}, runbook_url=model.incidents.runbook_of(severity),
                description=f"backstay incidents --model {name}",
            )
        )  # fmt: skip
    if model.monitor is not None:
        late = 2 * model.monitor.width // SECOND
        expr = f'time() - max(backstay_monitor_window_end_seconds{{model="{name}"}}) > {late}'
        said = f"{name}: no window has been looked at for two windows. Does a tick run?"
        out.append(_rule("BackstayMonitorLate", expr, "1h", "ticket", said, {"model": name}))
    return out


def as_yaml(document: Any, indent: int = 0) -> str:
    """Plain data as YAML, texts quoted: no line of it means anything but what it says.

    >>> print(as_yaml({"groups": [{"name": "a: b", "rules": []}]}), end="")
    groups:
      - name: "a: b"
        rules: []
    """
    pad = "  " * indent
    if isinstance(document, Mapping):
        return "".join(f"{pad}{key}:{_value(one, indent)}" for key, one in document.items())
    lines = []
    for one in document:
        inner = as_yaml(one, indent + 1) if isinstance(one, (Mapping, list)) and one else f"{pad}  {_scalar(one)}\n"
        lines.append(f"{pad}- {inner[len(pad) + 2 :]}")
    return "".join(lines)


def _value(one: Any, indent: int) -> str:
    if isinstance(one, (Mapping, list)) and one:
        return f"\n{as_yaml(one, indent + 1)}"
    return f" {_scalar(one)}\n"


def _scalar(one: Any) -> str:
    return json.dumps(one, ensure_ascii=False)
