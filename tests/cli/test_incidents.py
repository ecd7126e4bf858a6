"""`incidents` and `alerts`: what they say, what they do, and what a tick says of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from backstay.core.times import DAY, instant
from backstay.lifecycle.incidents import MONITOR
from backstay.monitoring.signals import Signal
from backstay.project import Project
from tests.cli.conftest import MODELS, TOML, Life, Run, write_project
from tests.monitoring.web_server import listening

Cli = Callable[..., Run]
DECLARED = MODELS.replace("Share, Windowed", "IncidentPolicy, Share, Windowed").replace(
    "    ask=Ask(", '    incidents=IncidentPolicy(owner="desk", runbook="https://wiki/late"),\n    ask=Ask('
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A project whose last window says that features of its orders drift, and the scores too."""
    path = write_project(tmp_path / "shop", DECLARED)
    with_window(path)
    return path


DRIFTS = (("input_drift", "shop_late_1d"), ("input_drift", "size"), ("score_drift", "score"))


def with_window(path: Path, *signals: tuple[str, str], apart: bool = False) -> None:
    """A window with these signals; apart: that began long after each other."""
    project = Project(path)
    end = project.clock.now() // DAY * DAY
    told = [
        Signal(kind, what, "DRIFT", 0.31, 0.1, end - (1 + 99 * place * apart) * DAY, (end - DAY, end), cost=3.5)
        for place, (kind, what) in enumerate(signals or DRIFTS)
    ]
    body = {"window": [end - DAY, end], "rows": 900, "signals": [one.as_dict() for one in told]}
    project.records.ledger.append(MONITOR, "late", body, at=end, actor="monitor")
    project.close()


def test_from_the_tick_that_opens_it_to_its_resolution(cli: Cli, path: Path) -> None:
    at = ("--project", path)
    assert "none is open" in cli("incidents", *at).out
    ticked = cli("tick", *at)
    assert "1 opened: input drift from orders, the caller: shop_late_1d 0.31, tolerated 0.1, and 1 more" in ticked.out
    assert cli("tick", *at, "--json").json["incidents"] == []
    listed = cli("incidents", *at)
    assert ("score drift" in listed.out, "desk" in listed.out) == (True, True)
    assert f"next: backstay incidents show 1 --model late --project {path}" in listed.err
    assert "#1, open: input drift from orders" in cli("status", *at).out
    shown = cli("incidents", "show", 1, *at)
    for said in ("https://wiki/late", "ledger entry 1", "Timeline", "In the day before it began", "Who was told"):
        assert said in shown.out
    assert cli("incidents", "ack", 1, "--why", "on it", *at, "--json").json["state"] == "acknowledged"
    assert "weather team" in cli("incidents", "own", 1, "weather team", *at).out
    assert cli("incidents", "snooze", 1, "--for", "3d", *at, "--json").json["state"] == "snoozed"
    assert cli("incidents", "resolve", 1, "--why", "mended", *at).code == 0
    assert "none is open" in cli("incidents", *at).out
    (one,) = cli("incidents", "list", "--all", *at, "--json").json["incidents"]
    assert (one["state"], one["severity"], one["cause"], one["cost"]) == (
        "resolved", "score_drift", "input_drift", 3.5,
    )  # fmt: skip
    whole = cli("incidents", "show", 1, *at, "--json").json
    first, *_, last = steps = whole["timeline"]
    then = ("--as-of", first["at"], *at, "--json")
    (as_it_was,) = cli("incidents", *then).json["incidents"]
    assert (as_it_was["state"], as_it_was["owner"], as_it_was["at"]) == ("open", "desk", first["at"])
    shown = cli("incidents", "show", 1, *then).json
    assert (shown["state"], [step["event"] for step in shown["timeline"]]) == ("open", ["opened"])
    assert shown["so_far"] <= whole["so_far"]
    assert (cli("incidents", "--as-of", first["at"], *at).err, last["event"]) == (
        f"next: backstay incidents show 1 --model late --as-of {first['at']} --project {path}\n", "resolved",
    )  # fmt: skip
    assert "next: " not in cli("incidents", "show", 1, "--as-of", first["at"], *at).err
    assert cli("incidents", "--as-of", "2001-01-01", *at, "--json").json["incidents"] == []
    refused = cli("incidents", "show", 1, "--as-of", "2001-01-01", *at)
    assert (refused.code, "there is no incident 1 as of 2001-01-01T00:00:00Z" in refused.err) == (2, True)
    assert [step["event"] for step in steps] == ["opened", "acknowledged", "owned", "snoozed", "resolved"]
    assert steps[1]["why"] == "on it"


def test_moments_are_text_in_utc_wherever_json_tells_of_them(cli: Cli, path: Path) -> None:
    at = ("--project", path, "--json")
    ticked = cli("tick", *at).json
    shown, (listed,) = cli("incidents", "show", 1, *at).json, cli("incidents", *at).json["incidents"]
    for told in (shown, listed, *ticked["incidents"]):
        for member in told["members"]:
            assert (member["since"], member["last"]) == (told["onset"], told["seen"])
        assert instant(told["seen"]) - instant(told["onset"]) == DAY
        assert _moments(told) == []
    assert _moments(ticked) == []


def _moments(value: object, name: str = "") -> list[str]:
    """Under which names a number stands that can only be microseconds."""
    if isinstance(value, dict):
        return [bad for key, one in value.items() for bad in _moments(one, key)]
    if isinstance(value, list):
        return [bad for one in value for bad in _moments(one, name)]
    return [name] if isinstance(value, int | float) and abs(value) > 1e12 else []


def test_a_training_that_waits_names_every_incident_and_how_to_get_there(
    cli: Cli, life: Life, tmp_path: Path
) -> None:  # fmt: skip
    path = Path(shutil.copytree(life.project, tmp_path / "shop"))
    with_window(path, ("data_quality", "size"), ("data_quality", "shop_late_1d"), apart=True)
    at = ("--project", path)
    run = cli("tick", *at)
    assert "nothing is learned while data are bad: incident" in " ".join(run.out.split())
    for number in (1, 2):
        assert f"next: backstay incidents show {number} --model late --project {path}" in run.err
    assert cli("incidents", "show", 2, "--model", "late", "--project", path).code == 0
    assert cli("tick", *at, "--json").json["blocked"]["incidents"] in ([1, 2], [2, 1])


def test_what_cannot_be_done_is_told(cli: Cli, path: Path) -> None:
    at = ("--project", path)
    cli("tick", *at)
    assert "there is no incident 7" in cli("incidents", "show", 7, *at).err
    assert "takes one of until and for" in cli("incidents", "snooze", 1, *at).err
    assert "has passed" in cli("incidents", "snooze", 1, "--until", "2001-01-01", *at).err
    assert "Missing option '--why'" in cli("incidents", "resolve", 1, *at).err
    cli("incidents", "resolve", 1, "--why", "mended", *at)
    again = cli("incidents", "ack", 1, *at)
    assert (again.code, "it is resolved: mended" in again.err) == (1, True)
    assert "there is nothing to do" in cli("alerts", *at).err


def test_a_notifier_that_fails_stops_no_tick(cli: Cli, tmp_path: Path) -> None:
    toml = f'{TOML}\n[notify]\nwebhook = "http://127.0.0.1:9/hook"\nslack = "${{NO_SUCH_VARIABLE}}"\ntimeout_ms = 500\n'
    path = write_project(tmp_path / "shop", DECLARED, toml)
    with_window(path)
    ticked = cli("tick", "--project", path, "--json")
    assert ticked.code == 0
    failed = {one["notifier"]: one["error"] for one in ticked.json["notified"]}
    assert failed["webhook"].startswith("it cannot be reached: ")
    assert failed["slack"] == "the environment has no variable 'NO_SUCH_VARIABLE' (at notify.slack)"
    assert cli("tick", "--project", path, "--json").json["notified"] == []  # not yet again
    doctor = cli("doctor", "--project", path, "--json").json["findings"]
    told = [(one["state"], one["what"]) for one in doctor if one["check"] == "notifiers"]
    assert told[0] == ("OK", "webhook is as it should be; whether it answers shows the first incident")
    assert told[1] == ("FAIL", "the environment has no variable 'NO_SUCH_VARIABLE' (at notify.slack)")
    assert "try" in cli("incidents", "show", 1, "--project", path).out


def test_a_trial_shows_whether_messages_arrive(cli: Cli, tmp_path: Path) -> None:
    assert "none is configured" in cli("alerts", "--trial", "--project", write_project(tmp_path / "bare")).out
    with listening() as there:
        toml = f'{TOML}\n[notify]\nwebhook = "{there.url}"\n'
        path = write_project(tmp_path / "shop", DECLARED, toml)
        run = cli("alerts", "--trial", "--project", path, "--json")
    assert (run.code, run.json["told"]) == (0, {"webhook": ""})
    assert there.requests[0][2]["data"]["text"] == "this is a trial: nothing is wrong"
    failed = cli("alerts", "--trial", "--project", path)
    assert (failed.code, "it cannot be reached" in failed.out) == (1, True)


def test_alerts_are_written(cli: Cli, path: Path, tmp_path: Path) -> None:
    out, gauges = tmp_path / "out", tmp_path / "backstay.prom"
    cli("tick", "--project", path)
    run = cli("alerts", "--out", out, "--metrics", gauges, "--project", path, "--json")
    assert run.json["files"] == [
        str(out / "backstay-rules.yml"), str(out / "backstay-dashboard.json"), str(gauges),
    ]  # fmt: skip
    assert yaml.safe_load((out / "backstay-rules.yml").read_text())["groups"][1]["name"] == "backstay shop: late"
    assert json.loads((out / "backstay-dashboard.json").read_text())["title"] == "Backstay: shop"
    assert 'backstay_incidents{model="late",severity="score_drift",state="open"} 1.0' in gauges.read_text()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["backstay.prom", "out", "shop"]
