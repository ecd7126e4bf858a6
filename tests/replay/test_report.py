"""The report: one page that needs nothing else, holds what the summary holds, and says what it lacks."""

from __future__ import annotations

import json
import math
import random
import re
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from backstay.replay.report import render

Json = dict[str, Any]
HOSTILE = "<script>alert(1)</script> & \"quoted\" 'single' </title></svg> \x07"
VOID = {"meta", "br"}
BETTER, UNITS = "better_than_champion: ", "trained_as_served: "
SAME_UNITS = UNITS + "31 of 43 features have a scale, and are served in the one trained in"


def interval(estimate: float, half: float, n: int, clusters: int) -> Json:
    low, high = round(estimate - half * 1.04, 6), round(estimate + half * 0.97, 6)
    return {"estimate": estimate, "low": low, "high": high, "level": 0.95, "n": n, "clusters": clusters}


def week_starts(weeks: int) -> list[date]:
    return [date(2013, 4, 1) + timedelta(days=7 * index) for index in range(weeks)]


def moment(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def candidate(dice: random.Random, number: int, day: date, champion: int | None, gain: Json | None) -> Json:
    verdict, reason = "INSUFFICIENT", BETTER + "there are 642 rows, and the policy asks for 1000"
    if gain:
        verdict = "PASS" if gain["low"] > 0.002 else "FAIL" if gain["high"] < 0.002 else "INSUFFICIENT"
        says = {"PASS": "the candidate is better than the champion", "FAIL": "the candidate is worse than the champion"}
        found = f"AUC better by {gain['estimate']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
        reason = f"{BETTER}{says.get(verdict, 'the rows can not tell')}: {found} on {gain['n']} rows from 14 days"
    return {
        "version": number,
        "digest": f"{dice.getrandbits(256):064x}",
        "trained_at": moment(day),
        "cutoff": moment(day - timedelta(days=8)),
        "training_rows": 60493 + 6400 * (number - 1),
        "against": champion,
        "verdict": verdict,
        "reason": reason + (f"; {SAME_UNITS}" if verdict == "PASS" else ""),
        "interval": gain,
        "metric": "auc",
        "margin": 0.002,
        "rows": gain["n"] if gain else 642,
        "final": gain is not None,
        "promoted": verdict == "PASS",
        "note": "",
        "judged_from": moment(day - timedelta(days=7)),
        "judged_to": moment(day + timedelta(days=7)),
        "checks": [
            {"name": "better_than_champion", "verdict": verdict, "reason": reason.removeprefix(BETTER)},
            {"name": "trained_as_served", "verdict": "PASS", "reason": SAME_UNITS.removeprefix(UNITS)},
        ],
    }


def planted(row: Json) -> Json:
    """The same candidate, trained with a feature in the wrong unit."""
    shift = "feature mean_delay_route_1d was trained on values 0.0167 times those served (median 0.183 against 11)"
    return row | {
        "note": "planted fault: mean_delay_route_1d was trained in hours and is served in minutes",
        "reason": f"{row['reason']}; {UNITS}{shift}: a unit error?",
    }


def offered(dice: random.Random, count: int) -> tuple[list[Json], list[Json]]:
    """So many candidates, the first included, and the promotions they came to."""
    rows = [candidate(dice, 1, date(2013, 4, 1), None, interval(0.2034, 0.0113, 14022, 18))]
    rows[0]["reason"] = "better_than_constant: the candidate is better than the constant base rate 0.157"
    for number, day in enumerate(week_starts(count)[1:], start=2):
        champion = max(row["version"] for row in rows if row["promoted"])
        estimate = round(dice.gauss(0.0072 if number % 3 == 0 else 0.0015, 0.0008), 4)
        gain = interval(estimate, round(dice.uniform(0.0024, 0.0042), 4), 11874 + number, 14)
        if number == 8:
            rows.append(planted(candidate(dice, number, day, champion, interval(-0.0871, 0.0121, 11790, 14))))
        else:
            rows.append(candidate(dice, number, day, champion, gain if number > 2 else None))
    promotions: list[Json] = []
    for row in rows:
        if row["promoted"]:
            move = {"version": row["version"], "at": row["trained_at"], "previous": row["against"], "by": "backstay"}
            promotions.append(move | {"reason": row["reason"], "interval": row["interval"]})
    return rows, promotions


def quality(dice: random.Random, weeks: int, promotions: list[Json]) -> tuple[list[Json], list[Json]]:
    known, seen = [], []
    for index, day in enumerate(week_starts(weeks)):
        served, void = 6400 + dice.randrange(400), 60 + dice.randrange(280)
        auc = interval(round(0.741 + 0.018 * math.sin(index / 2.1) + dice.gauss(0, 0.004), 4), 0.0118, served - void, 7)
        before = [row["version"] for row in promotions if row["at"] <= moment(day)][-1:]
        known.append({
            "week": day.isoformat(), "served": served, "mature": served, "maturity": 1.0, "void": void,
            "labelled": served - void, "positives": round((served - void) * dice.uniform(0.11, 0.22)), "auc": auc,
            "log_loss": round(0.37 + dice.gauss(0, 0.02), 4), "why": "", "champions": before,
        })  # fmt: skip
        early = interval(round(auc["estimate"] - 0.006 + dice.gauss(0, 0.003), 4), 0.0134, round(0.79 * served), 6)
        then, share = moment(day + timedelta(days=7)), round(dice.uniform(0.77, 0.84), 4)
        seen.append({"week": day.isoformat(), "as_of": then, "maturity": share, "auc": early})
    nothing = {"mature": 0, "labelled": 0, "positives": 0, "auc": None, "log_loss": None}
    known[-1] |= nothing | {"maturity": 0.3104, "why": "too few labels are mature"}
    seen[-1] |= {"auc": None, "maturity": 0.3104}
    return known, seen


def sample(weeks: int = 13, count: int = 14) -> Json:
    """What a replay of that many weeks comes to; `backstay.replay.summary` makes the real one."""
    dice = random.Random(5)
    candidates, promotions = offered(dice, count)
    known, seen = quality(dice, weeks, promotions)
    ends = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 18.231)
    counts = (0, 41, 2203, 9120, 21044, 18230, 19777, 8011, 3905, 2440, 420, 160, 18)
    return {
        "project": "flights",
        "model": "late30",
        "description": "Will this flight land 30 or more minutes late? Asked two hours before each departure.",
        "start": "2013-04-01T00:00:00Z",
        "end": moment(week_starts(weeks + 1)[-1]),
        "version": "0.1.0",
        "served": sum(counts),
        "errors": 0,
        "error_messages": [],
        "rows_void": 2602,
        "latency_ms": {"p50": 1.912, "p90": 3.877, "p99": 7.203, "max": 18.231},
        "latency_histogram": [{"upto_ms": end, "count": n} for end, n in zip(ends, counts, strict=True)],
        "in_flight": 16,
        "requests_per_second": 1811.44,
        "parity_checked": 12000,
        "parity_equal": 12000,
        "parity_differences": {},
        "candidates": candidates,
        "promotions": promotions,
        "auc_by_week": known,
        "label_maturity": seen,
        "sources": [
            {"name": "landings", "events": 327346, "last_known": "2013-12-31T23:59:00Z"},
            {"name": "takeoffs", "events": 328521, "last_known": "2013-12-31T23:41:00Z"},
            {"name": "weather", "events": 26115, "last_known": None},
        ],
        "feature_set": {"name": "flight", "hash": f"{dice.getrandbits(256):064x}", "features": 43},
        "first_version": {
            "number": 1,
            "digest": f"{dice.getrandbits(256):064x}",
            "training_rows": 60493,
            "dataset_digest": f"{dice.getrandbits(256):064x}",
            "commit": f"{dice.getrandbits(160):040x}",
            "dirty": False,
        },
        "seconds": {"ingest": 6.2, "train": 8.4, "replay": 121.9, "verify": 31.5},
    }


class Page(HTMLParser):
    """Reads a page, and refuses a tag that is not closed, or closed in the wrong order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text = " ".join([self.text.rstrip(), *data.split(), ""])


def drawings(page: str) -> list[ElementTree.Element]:
    """Every chart, read as XML."""
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def hostile(value: Any) -> Any:
    """The same data with every text in it hostile, times and dates excepted."""
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    is_text = isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}", value)
    return HOSTILE if is_text else value


def without(value: Any) -> Any:
    """The same data with every number and text in it None, times, dates and names of things excepted."""
    if isinstance(value, dict):
        kept = ("week", "version", "name", "number")
        return {key: item if key in kept else without(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item) for item in value]
    return None


def test_is_one_well_formed_page_that_needs_nothing_else() -> None:
    page = render(sample())
    found = Page(page)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not re.search(r"https?://|\bsrc\s*=|@import|url\(|href", page)
    charts = [svg for svg in drawings(page) if svg.get("role") == "img"]
    assert [svg.get("class") for svg in charts] == ["chart weeks", "chart forest", "chart histogram", "chart share"]
    assert all(svg[0].tag == "title" and svg[0].text for svg in charts)


def test_shows_the_headline() -> None:
    text = Page(render(sample())).text
    for shown in (
        "late30 in flights", "from 1 Apr 2013 to 1 Jul 2013, 13 weeks", "predictions served 85,369 1,811 a second",
        "errors 0 2,602 void outcomes", "equal bit for bit 12,000 of 12,000 recomputed",
        "p99 latency 7.20 ms 16 in flight",
        "promotions 5 v12 is champion",
        "candidates stopped 8 1 FAIL, 7 INSUFFICIENT; 1 not yet due; the planted fault among them",
    ):  # fmt: skip
        assert shown in text


def test_shows_every_number_of_every_week_and_candidate() -> None:
    summary = sample()
    text = Page(render(summary)).text
    for row in summary["auc_by_week"]:
        for count in ("served", "void", "labelled", "positives"):
            assert f" {row[count]:,} " in text
        if row["auc"]:
            assert f"{row['auc']['estimate']:.4f} [{row['auc']['low']:.4f}, {row['auc']['high']:.4f}]" in text
            assert f" {row['log_loss']:.4f} " in text
    for row in summary["label_maturity"][:-1]:
        assert f"{100 * row['maturity']:.1f}%" in text
        assert f" {row['auc']['estimate']:.4f} " in text
    for row in summary["candidates"]:
        assert row["reason"] in text
        assert f"{row['training_rows']:,}" in text
        if row["interval"] and row["against"]:
            signed = [f"{row['interval'][key]:+.4f}".replace("-", "\u2212") for key in ("estimate", "low", "high")]
            assert f"{signed[0]} [{signed[1]}, {signed[2]}]" in text
        for check in row["checks"]:
            assert f"{check['name']} {check['verdict']}: {check['reason']}" in text


def test_shows_latency_lineage_and_what_was_ingested() -> None:
    summary = sample()
    text = Page(render(summary)).text
    for shown in (
        "p50 1.91 ms",
        "p90 3.88 ms",
        "p99 7.20 ms",
        "max 18.2 ms",
        "bar 25 ms",
        "12,000 of 12,000 predictions",
    ):
        assert shown in text
    for shown in ("landings 327,346 31 Dec 2013, 23:59 UTC", "flight, 43 features", "replay 122 s", "backstay 0.1.0"):
        assert shown in text
    assert "uncommitted changes no" in text
    first = summary["first_version"]
    for digest in (first["digest"], first["dataset_digest"], first["commit"], summary["feature_set"]["hash"]):
        assert digest in text
    for row in summary["promotions"]:
        assert f"v{row['version']} promoted" in text


def test_a_week_without_an_auc_says_why() -> None:
    page = render(sample())
    assert "too few labels are mature" in Page(page).text
    assert len([mark for svg in drawings(page) for mark in svg.iter("path") if mark.get("class") == "none"]) == 2


def test_the_planted_fault_is_marked_in_the_plot_and_explained_in_the_table() -> None:
    page = render(sample())
    assert ">planted fault</text>" in page
    assert "planted fault: mean_delay_route_1d was trained in hours" in Page(page).text


def test_the_first_candidate_met_no_champion_and_does_not_stretch_the_plot() -> None:
    forest = next(svg for svg in drawings(render(sample())) if svg.get("class") == "chart forest")
    names = [text.text for text in forest.iter("text") if text.get("class") == "name"]
    assert names == [f"v{number}" for number in range(2, 15)]


def test_what_went_wrong_is_said() -> None:
    summary = sample()
    summary |= {"errors": 12, "error_messages": ["HTTP 503: the queue is full"], "parity_equal": 11990}
    summary["parity_differences"] = {"score": 4, "mean_delay_route_1d": 10}
    summary["latency_ms"] = {"p50": 1.9, "p99": 31.0, "max": 240.0}
    next(row for row in summary["candidates"] if row["note"])["promoted"] = True
    page = render(summary)
    text = Page(page).text
    assert page.count('<div class="bad">') == 4
    assert "a planted fault was promoted" in text
    assert "HTTP 503: the queue is full" in text
    assert "11,990 of 12,000 predictions are equal bit for bit: that is not all." in text
    assert "mean_delay_route_1d 10 score 4" in text
    assert "p99 latency 31.0 ms the bar is 25 ms" in text


def test_hostile_text_stays_text() -> None:
    page = render(hostile(sample()))
    found = Page(page)
    assert "script" not in found.tags
    assert "<script" not in page
    assert "<script>alert(1)</script>" in found.text
    assert all(svg.tag == "svg" for svg in drawings(page))


@pytest.mark.parametrize("summary", [{}, without(sample()), dict.fromkeys(sample())])
def test_what_is_missing_is_said_to_be_missing(summary: Json) -> None:
    page = render(summary)
    text = Page(page).text
    assert "Parity was not checked" in text
    assert "nothing was timed" in text
    assert not re.search(r"\b(None|nan|inf|Undefined)\b", text)
    assert drawings(page)


def test_no_number_that_json_can_not_hold_is_drawn() -> None:
    summary = sample()
    summary["latency_ms"]["p99"] = math.inf
    summary["auc_by_week"][3]["auc"]["low"] = math.nan
    summary["candidates"][4]["interval"]["high"] = -math.inf
    summary["latency_histogram"].append({"upto_ms": None, "count": 3})
    page = render(summary)
    assert not re.search(r"\b(nan|inf|infinity)\b", page.lower())
    assert drawings(page)


def test_a_long_replay_is_split_into_plots_that_fit_a_page() -> None:
    page = render(sample(weeks=100, count=101))
    Page(page)
    forests = [svg for svg in drawings(page) if svg.get("class") == "chart forest"]
    assert [len([text for text in svg.iter("text") if text.get("class") == "name"]) for svg in forests] == [40, 40, 20]
    zeros = [line.get("x1") for svg in forests for line in svg.iter("line") if line.get("class") == "zero"]
    assert len(zeros) == 3
    assert len(set(zeros)) == 1


def test_another_margin_or_metric_gets_a_plot_of_its_own() -> None:
    summary = sample()
    summary["candidates"][-1] |= {"metric": "log_loss", "margin": 0.0}
    page = render(summary)
    assert page.count('class="chart forest"') == 2
    assert ">gain in log loss</text>" in page


def test_is_the_same_for_the_same_summary_read_back() -> None:
    summary = sample()
    assert render(json.loads(json.dumps(summary))) == render(summary)
