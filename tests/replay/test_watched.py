"""What was watched, in the report of a replay: the heat map, signals, incidents; and a page without them."""

from __future__ import annotations

from typing import Any

from backstay.evaluation.interval import Interval
from backstay.monitoring.quality import WEEK, Cohort
from backstay.replay.report import render
from backstay.replay.watched_section import watched_section
from backstay.replay.worst import worst_month

HOSTILE = "<script>alert(1)</script>"
WATCHED: dict[str, Any] = {
    "effect": 0.1, "severe": 0.2, "columns": 45, "windows": 3,
    "starts": ["2013-06-01T00:00:00Z", "2013-06-02T00:00:00Z", "2013-06-03T00:00:00Z"],
    "cells": {"origin_temp": [[3.1, "UNDERPOWERED"], [3.3, "DRIFT"], [None, "NO_DATA"]], HOSTILE: [[0.01, "OK"]] * 3},
    "signals": [
        {"kind": "input_drift", "what": "origin_temp", "windows": 2, "effect": 3.3, "threshold": 0.1,
         "since": "2013-06-01T00:00:00Z", "until": "2013-06-03T00:00:00Z"},
    ],
    "incidents": [
        {"incident": "1", "opened": "2013-06-02T00:00:00Z", "onset": "2013-06-01T00:00:00Z", "state": "open",
         "ended": None, "severity": "input_drift", "origins": ["weather"],
         "members": [{"kind": "input_drift", "what": f"f{place}"} for place in range(6)]},
    ],
}  # fmt: skip


def test_a_summary_without_it_has_no_such_section() -> None:
    assert watched_section({}) is None
    assert 'id="watched"' not in render({"model": "late30"})


def test_what_was_watched_is_shown_and_escaped() -> None:
    promotions = [{"version": 8, "at": "2013-06-02T00:00:00Z"}]
    why = {"since": "2013-06-01", "until": "2013-07-01", "text": "it rained", "causes": [{"cause": "covariate shift"}]}
    page = render({"model": "late30", "watched": WATCHED, "promotions": promotions, "why": why})
    assert page.count('<svg class="chart heat"') == 1
    assert "<script" not in page
    assert "origin_temp, 2013-06-02: PSI 3.300, DRIFT" in page
    assert "f0, f1, f2, f3, and 2 more" in page
    assert "from weather" in page
    assert "covariate shift" in page
    assert "The 2 columns that drifted most" in page


def test_a_quiet_replay_says_so() -> None:
    page = render({"model": "late30", "watched": {**WATCHED, "signals": [], "incidents": []}})
    assert "nothing was large, proven and lasting" in page


def test_the_waterfall_of_the_worst_month_is_drawn() -> None:
    step = {"label": "covariate shift", "effect": 0.03, "low": 0.01, "high": 0.05, "rest": False}
    drawn = {"metric": "auc", "larger": True, "offline": 0.78, "online": 0.75, "steps": [step]}
    why = {"since": "2013-06-01", "until": "2013-06-29", "text": "worse by 0.03", "causes": [], "waterfall": drawn}
    page = render({"model": "late30", "watched": WATCHED, "why": why})
    assert page.count('<svg class="chart waterfall"') == 1
    assert "worse by 0.03" in page


def test_the_worst_month_is_the_four_weeks_with_the_lowest_auc() -> None:
    def week(number: int, auc: float | None) -> Cohort:
        area = None if auc is None else Interval(auc, auc - 0.02, auc + 0.02, 0.95, 900, 7)
        return Cohort(number * WEEK, 900, 900, 0, 900, 90, area, None)

    told = [week(number, auc) for number, auc in enumerate([0.8, 0.7, 0.7, 0.75, 0.6, None, 0.9])]
    assert [one.start // WEEK for one in worst_month(told) or ()] == [1, 2, 3, 4]
    assert [one.start // WEEK for one in worst_month(told[:2]) or ()] == [0, 1]
    assert worst_month([week(0, None)]) is None
