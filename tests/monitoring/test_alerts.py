"""Alert rules, dashboard and gauges: of metrics that there are, in forms that Prometheus and Grafana take."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.lifecycle.signalled import START, Watched, made
from tests.serving.environments import promtool

from backstay import Objective
from backstay.core.times import DAY
from backstay.definitions import IncidentPolicy, Monitor
from backstay.lifecycle.incidents import last_looked, standing
from backstay.monitoring.alerts import as_yaml, rules
from backstay.monitoring.dashboard import dashboard
from backstay.monitoring.gauges import MEANINGS, Watch, written
from backstay.serving import desk
from backstay.serving.metrics import Metrics

OBJECTIVE = Objective(latency="50ms", availability=0.999, why="the checkout waits for it")
MODEL = made(IncidentPolicy(runbook={"skew": "https://wiki/skew"}), objective=OBJECTIVE, monitor=Monitor(window="6h"))
RULES = rules('the "shop"', [MODEL, made(name="bare", monitor=None)])


def lines(text: str) -> dict[str, float]:
    return {
        name: float(number)
        for name, number in (one.rsplit(" ", 1) for one in text.splitlines() if not one.startswith("#"))
    }


def watched() -> dict[str, float]:
    life = Watched()
    life.window({"place_wind": "input_drift", "score": "score_drift"})
    life.settle()
    looked = last_looked(life.records, "late")
    return lines(written([Watch("late", standing(life.records, life.model), looked, failed=2)], START + DAY))


def test_gauges_tell_what_is_wrong_and_that_the_rest_is_not() -> None:
    told = watched()
    assert told['backstay_incidents{model="late",severity="score_drift",state="open"}'] == 1
    assert told['backstay_incidents{model="late",severity="realised_loss",state="open"}'] == 0
    assert told['backstay_incidents_cost{model="late"}'] == 2
    assert told['backstay_monitor_window_end_seconds{model="late"}'] == (START + DAY) / 1_000_000
    assert told['backstay_signal_effect{kind="input_drift",model="late",what="place_wind"}'] == 0.3
    assert told['backstay_notifications_failed{model="late"}'] == 2
    assert lines(written([Watch("late")], 0))['backstay_incidents{model="late",severity="skew",state="open"}'] == 0


def test_the_rules_file_is_yaml_that_says_the_same() -> None:
    assert yaml.safe_load(as_yaml(RULES)) == RULES
    for group in RULES["groups"]:
        assert set(group) == {"name", "rules"}
        for one in group["rules"]:
            assert set(one) == {"alert", "expr", "for", "labels", "annotations"}
            assert all(isinstance(said, str) for part in ("labels", "annotations") for said in one[part].values())
    names = [group["name"] for group in RULES["groups"]]
    assert names[0] == 'backstay the "shop": servers'


def test_rules_are_of_what_is_declared() -> None:
    _, late, bare = RULES["groups"]
    fast = [one for one in late["rules"] if one["alert"] == "BackstayAnswersSlow"]
    assert [(one["labels"]["action"], one["labels"]["window"]) for one in fast] == [
        ("page", "1h"), ("page", "6h"), ("ticket", "3d"),
    ]  # fmt: skip
    assert "> 0.144)" in fast[0]["expr"]  # 14.4 times the 1% that may be slow
    assert "[5m]" in fast[0]["expr"]
    incidents = [one for one in late["rules"] if one["alert"] == "BackstayIncident"]
    assert {one["labels"]["severity"]: one["labels"]["action"] for one in incidents}["realised_loss"] == "page"
    links = {one["labels"]["severity"]: one["annotations"].get("runbook_url") for one in incidents}
    assert (links["skew"], links["score_drift"]) == ("https://wiki/skew", None)
    assert any(one["expr"].endswith(f"> {12 * 3600}") for one in late["rules"])  # two windows of six hours
    assert {one["alert"] for one in bare["rules"]} == {"BackstayIncident"}


def exported() -> set[str]:
    """Every metric that a server or the gauges write, as it is scraped."""
    metrics = Metrics()
    metrics.keep({"late": OBJECTIVE})
    metrics.answered("predict", 200)
    text = metrics.written()[0].decode()
    names = set(re.findall(r"^(backstay_\w+?)[{ ]", text, re.MULTILINE))
    names |= {f"backstay_{name}" for name in re.findall(r'gauges\["(\w+)"\]', inspect.getsource(desk))}
    return names | {f"backstay_{name}" for name in MEANINGS}


def test_everything_that_is_asked_for_is_exported() -> None:
    board = dashboard("shop", ["late"])
    asked = [one["expr"] for group in RULES["groups"] for one in group["rules"]]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {name for expr in asked for name in re.findall(r"backstay_\w+", expr)}
    assert len(names) > 10
    assert names <= exported()


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board: dict[str, Any] = json.loads(json.dumps(dashboard("shop", ["late", "fraud"])))
    panels = board["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for one in panels:
        place = one["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, one["title"]
        taken |= cells
        assert [target["refId"] for target in one["targets"]] == [chr(65 + n) for n in range(len(one["targets"]))]
    assert {one["name"] for one in board["templating"]["list"]} == {"datasource", "model"}


def test_prometheus_takes_the_rules_and_they_ring(tmp_path: Path) -> None:
    tool = promtool()
    if tool is None and "CI" not in os.environ:
        pytest.skip("promtool comes with Prometheus, and there are no Debian packages here to take it from")
    assert tool is not None
    (tmp_path / "rules.yml").write_text(as_yaml(RULES))
    done = subprocess.run([tool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    gauge = 'backstay_incidents{model="late",severity="skew",state="open"}'
    ringing = next(one for one in RULES["groups"][1]["rules"] if one["labels"].get("severity") == "skew")
    alert = {"exp_labels": ringing["labels"], "exp_annotations": ringing["annotations"]}
    late = {**RULES, "groups": RULES["groups"][1:2]}
    (tmp_path / "late.yml").write_text(as_yaml(late))
    case = {
        "interval": "1m", "input_series": [{"series": gauge, "values": "0x5 1x10"}],
        "alert_rule_test": [
            {"eval_time": "4m", "alertname": "BackstayIncident", "exp_alerts": []},
            {"eval_time": "8m", "alertname": "BackstayIncident", "exp_alerts": [alert]},
        ],
    }  # fmt: skip
    (tmp_path / "test.yml").write_text(as_yaml({"rule_files": ["late.yml"], "tests": [case]}))
    done = subprocess.run([tool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
