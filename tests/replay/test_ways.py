"""The section "From candidate to champion": where each version ended, and why, in words and as a picture."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.replay.test_report import Page, drawings, hostile, sample, without

from backstay.core.drawing import WIDTH
from backstay.core.times import instant
from backstay.replay.charts import Bar, Mark, Way, ways
from backstay.replay.report import render

Json = dict[str, Any]
HARM = "canary 50%: decisions +0.1579 [+0.1006, +0.2151] at 50%; beyond the margin of 0.1"
STAGED = (("05-02", "05-09", "05-16"), "05-22"), (("05-22", "05-29", "06-05"), "06-12")
UNITS = "trained_as_served: feature hour was trained on values 59.9 times those served: a unit error?"


def day(text: str) -> str:
    return f"2013-{text}T00:00:00Z"


def gate(at: str, verdict: str, against: int | None = 1) -> Json:
    return {"at": day(at), "verdict": verdict, "against": against, "final": True}


def stages(*times: str, last: str | None) -> list[Json]:
    """A shadow and two steps of a canary, from these days to `last`."""
    ends = [*times[1:], last]
    kinds = [("shadow", 1.0), ("canary", 0.05), ("canary", 0.5)]
    return [
        {"stage": kind, "share": share, "from": day(since), "to": to and day(to), "reason": f"why {kind} {share}"}
        for (kind, share), since, to in zip(kinds, times, ends, strict=False)
    ]


def way(version: int, end: str, at: str | None = None, **more: Any) -> Json:
    found = {
        "version": version, "note": "", "trained_at": day("04-15"), "gates": [], "stages": [], "champion": [],
        "end": end, "at": at and day(at), "cause": "", "reason": "",
    }  # fmt: skip
    return found | more


def told() -> list[Json]:
    """The ways of a replay in which one is stopped at its gate, one in its canary, and one becomes champion."""
    four, six = (stages(*days, last=last) for days, last in STAGED)
    reigns = [{"from": day("04-01"), "to": day("06-12")}], [{"from": day("06-12"), "to": None}]
    return [
        way(1, "replaced", "06-12", gates=[gate("04-01", "PASS", None)], champion=reigns[0], reason="v6 took it"),
        way(2, "gate", "04-25", gates=[gate("04-25", "INSUFFICIENT")], cause="INSUFFICIENT", reason="cannot tell"),
        way(3, "gate", "04-25", gates=[gate("04-25", "FAIL")], cause="FAIL", reason=UNITS, note="planted fault: hour"),
        way(
            4, "rolled back", "05-22", gates=[gate("05-02", "PASS")], stages=four,
            cause="harm", guards=["log_loss: too few labels yet"], reason=HARM,
            note="planted fault: a code taken for a dew point",
        ),
        way(
            6, "champion", "06-12", gates=[gate("05-16", "PASS")], stages=six,
            champion=reigns[1], reason="it passed all",
        ),
        way(7, "gate", "06-12", gates=[gate("05-23", "PASS"), gate("06-12", "INSUFFICIENT", 6)], cause="INSUFFICIENT"),
        way(8, "waits", "06-20", gates=[gate("06-20", "PASS", 6)], reason="it passed its gate, and waits"),
        way(9, "under way", "06-25", gates=[gate("06-20", "PASS", 6)], stages=stages("06-25", last=None)),
        way(10, "not due"),
    ]  # fmt: skip


def picture(page: str) -> ElementTree.Element:
    return next(svg for svg in drawings(page) if svg.get("class") == "chart ways")


def test_where_each_version_ended_is_said_and_why() -> None:
    text = Page(render(sample() | {"ways": told()})).text
    for shown in (
        "v1 PASS 1 Apr 1 Apr to 12 Jun replaced 12 Jun v6 took it",
        "v2 INSUFFICIENT 25 Apr, against v1 stopped at its gate 25 Apr",
        f"v3 FAIL 25 Apr, against v1 stopped at its gate 25 Apr {UNITS} planted fault: hour",
        "v4 PASS 2 May, against v1 2 May to 9 May 5% 9 May to 16 May 50% 16 May to 22 May rolled back 22 May "
        f"harm: {HARM} planted fault: a code taken for a dew point what each guard saw log_loss: too few labels yet",
        "since 12 Jun champion 12 Jun it passed all",
        "v7 PASS 23 May, against v1 INSUFFICIENT 12 Jun, against v6 stopped at its gate 12 Jun",
        "v8 PASS 20 Jun, against v6 waits 20 Jun it passed its gate, and waits",
        "v10 not due yet",
    ):
        assert shown in text
    assert "cannot tell v3" not in text  # that stands among the candidates


def test_the_picture_has_a_bar_a_stage_and_marks_what_was_planted() -> None:
    svg = picture(render(sample() | {"ways": told()}))
    kinds = [str(item.get("class")) for item in svg.iter("rect")]
    assert [kinds.count(f"stage {kind}") for kind in ("shadow", "canary", "champion", "waits")] == [3, 4, 2, 4]
    assert kinds.count("planted") == 2
    assert len([item for item in svg.iter("line") if item.get("class") == "stop"]) == 1
    heights = {item.get("class"): float(item.attrib["height"]) for item in svg.iter("rect")}
    assert heights["stage champion"] > heights["stage canary"] > heights["stage waits"]
    assert "v4 canary 5%, 9 May to 16 May 2013: why canary 0.05" in "".join(svg.itertext())


def test_the_headline_counts_what_was_rolled_back() -> None:
    summary = sample() | {"ways": [way(7, "rolled back", "05-22"), way(8, "gate"), way(4, "waits", "05-22")]}
    text = Page(render(summary)).text
    assert "candidates stopped 7 1 FAIL, 5 INSUFFICIENT, 1 rolled back; 1 not yet due; 1 on the way;" in text


def test_what_is_outside_the_period_is_drawn_at_its_edge() -> None:
    start, end = instant("2013-04-01"), instant("2013-05-01")
    late = Bar(start - 5, end + 5, "champion", 1.0, "champion", "outside")
    row = Way("v1", start - 9, (late,), (Mark(end + 9, "", "late", "PASS"),), end + 1, "end", "pass", "v1", "")
    svg = ElementTree.fromstring(ways([row], start, end, "one"))
    assert all(0 <= float(item.attrib["x"]) <= WIDTH for item in svg.iter("rect"))
    assert all(0 <= float(item.attrib["cx"]) <= WIDTH for item in svg.iter("circle"))


@pytest.mark.parametrize("change", [hostile, without])
def test_hostile_and_missing_values(change: Any) -> None:
    page = render(sample() | {"ways": change(told())})
    Page(page)
    assert "<script" not in page
    assert not re.search(r"\b(None|nan|Undefined)\b", Page(page).text)


def test_without_ways_it_says_so() -> None:
    assert "Nothing is recorded of the ways of versions." in Page(render(sample())).text
