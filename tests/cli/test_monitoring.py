"""`monitor`: what drifts, as a table, as data, and as a page; it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backstay.cli.rollouts import watched
from backstay.core.times import DAY, instant
from backstay.lifecycle.monitoring import Looked
from backstay.monitoring.signals import Signal
from backstay.monitoring.windows import Window
from tests.cli.conftest import AS_OF, Life, Run, write_project

Cli = Callable[..., Run]


def test_what_was_served_is_told_by_effect_and_evidence(cli: Cli, life: Life, tmp_path: Path) -> None:
    page = tmp_path / "monitor.html"
    asked = ("monitor", "--since", AS_OF, "--until", "2024-03-04", "--project", life.project)
    run = cli(*asked, "--html", page, "--json")
    answer = run.json
    assert (answer["model"], answer["rows"], answer["versions"]) == ("late", 100, {"1": 100})
    assert answer["open"] is None  # the span ends long before it
    assert answer["states"]["input_drift"].keys() <= {"OK", "DRIFT", "UNDERPOWERED"}
    assert answer["windows"][0]["start"].startswith(AS_OF)
    skew = [one for one in answer["found"] if one["kind"] == "skew"]
    assert [(one["what"], one["state"]) for one in skew] == [("parity", "OK")]
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert '<svg class="chart heat"' in text
    shown = cli(*asked, "--quick")
    assert shown.out.startswith("model late")
    assert "next: backstay tick" in shown.err


def test_nothing_served_and_a_span_without_a_window(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path)
    answer = cli("monitor", "--project", project, "--json").json
    assert (answer["rows"], answer["open"]["rows"]) == (0, 0)
    assert instant(answer["open"]["end"]) - instant(answer["open"]["start"]) == DAY
    shown = cli("monitor", "--project", project)
    assert f"until {answer['open']['end']}, 0 rows so far; the first tick after that looks at it" in shown.out
    assert shown.err.startswith(f"next: backstay serve --project {project}")
    refused = cli("monitor", "--since", "2999-01-01", "--project", project)
    assert refused.code == 2
    assert "no window is closed" in refused.err


def test_windows_in_a_row_that_say_the_same_are_one_line() -> None:
    moved = Signal("input_drift", "size", "DRIFT", 0.3, 0.1, 0, (0, DAY))

    def window(day: int, rows: int, *signals: Signal, version: int | None = 1) -> Looked:
        return Looked(day + 1, 0, Window(day * DAY, (day + 1) * DAY), version, rows, {}, (), signals)

    looks = [*(window(day, 1000 + day) for day in range(3)), window(3, 9, moved), window(4, 8, moved)]
    looks += [window(5, 7), window(6, 0, version=None)]
    assert watched(looks) == [
        (1, "1970-01-01 to 1970-01-03, 3 windows: 3,003 rows, no signal"),
        (1, "1970-01-04 to 1970-01-05, 2 windows: 17 rows, input drift of size"),
        (1, "1970-01-06: 7 rows, no signal"),
        (None, "1970-01-07: 0 rows, no signal"),
    ]
    assert watched([]) == []
