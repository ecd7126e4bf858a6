"""The report: one page that needs nothing else, holds what the summary holds, and says what it lacks."""

from __future__ import annotations

import copy
import json
import math
import re
import random
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from backstay.replay.report import render

Json = dict[str, Any]
HOSTILE = "<script>alert(1)</script> & \"quoted\" 'single' </title></svg> \x07"
VOID = {"meta", "br", "link", "img", "hr", "input"}


def interval(estimate: float, half: float, n: int, clusters: int) -> Json:
    low, high = estimate - half * 1.04, estimate + half * 0.97
    return {"estimate": estimate, "low": low, "high": high, "level": 0.95, "n": n, "clusters": clusters}


def week_starts(weeks: int) -> list[date]:
    return [date(2013, 4, 1) + timedelta(days=7 * index) for index in range(weeks)]


def moment(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def candidate(dice: random.Random, number: int, day: date, champion: int, gain: Json | None, verdict: str) -> Json:
    found = f"{gain['estimate']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]" if gain else ""
    words = {
        "PASS": f"better_than_champion: the candidate is better than the champion: AUC better by {found} on 11874 rows"
        " from 14 days, margin 0.002; trained_as_served: 31 of 43 features have a scale, and are served in the one trained in",
        "FAIL": "better_than_champion: the candidate is not better by the margin",
        "INSUFFICIENT": f"better_than_champion: can't tell: AUC better by {found} on 11874 rows from 14 days, margin 0.002"
        if gain
        else "better_than_champion: there are 642 rows, and the policy asks for 1000",
    }
    return {
        "version": number,
        "digest": f"{dice.getrandbits(256):064x}",
        "trained_at": moment(day),
        "cutoff": moment(day - timedelta(days=8)),
        "training_rows": 60493 + 6400 * (number - 1),
        "against": champion,
        "verdict": verdict,
        "reason": words[verdict],
        "interval": gain,
        "metric": "auc",
        "margin": 0.002,
        "promoted": verdict == "PASS",
        "note": "",
        "judged_from": moment(day - timedelta(days=7)),
        "judged_to": moment(day + timedelta(days=7)),
        "checks": [
            {"name": "better_than_champion", "verdict": verdict, "reason": words[verdict]},
            {"name": "trained_as_served", "verdict": "PASS", "reason": "31 of 43 features have a scale"},
        ],
    }


def candidates_and_promotions(dice: random.Random, count: int) -> tuple[list[Json], list[Json]]:
    first = {"version": 1, "at": moment(date(2013, 4, 1)), "previous": None, "by": "backstay"}
    first["reason"] = "better_than_constant: AUC better by +0.2034 [+0.1921, +0.2147] on 14022 rows from 18 days"
    judged = interval(0.2034, 0.0113, 14022, 18)
    alone = candidate(dice, 1, date(2013, 4, 1), 0, judged, "PASS") | {"against": None, "reason": first["reason"]}
    candidates, promotions, champion = [alone], [first], 1
    for number, day in enumerate(week_starts(count)[1:], start=2):
        share = number / 3 % 1
        estimate = round(dice.gauss(0.0072 if share < 0.3 else 0.0015, 0.0008), 4)
        gain = interval(estimate, round(dice.uniform(0.0024, 0.0042), 4), 11874 + number, 14)
        verdict = "PASS" if gain["low"] > 0.002 else "FAIL" if gain["high"] < 0.002 else "INSUFFICIENT"
        new = candidate(dice, number, day, champion, None if number == 2 else gain, "INSUFFICIENT" if number == 2 else verdict)
        if number == 8:
            planted = interval(-0.0871, 0.0121, 11790, 14)
            new |= {"interval": planted, "verdict": "FAIL", "promoted": False}
            new["note"] = "planted fault: mean_delay_route_1d was trained in hours and is served in minutes"
            new["reason"] = (
                "better_than_champion: the candidate is worse than the champion: AUC better by -0.0871 [-0.0997, -0.0754] on "
                "11790 rows from 14 days, margin 0.002; trained_as_served: feature mean_delay_route_1d was trained on values "
                "0.0167 times those served (median 0.183 against 11): a unit error?"
            )
        candidates.append(new)
        if new["promoted"]:
            promotions.append({"version": number, "at": moment(day), "previous": champion, "by": "backstay", "reason": new["reason"]})
            champion = number
    return candidates, promotions


def quality(dice: random.Random, weeks: int, promotions: list[Json]) -> tuple[list[Json], list[Json]]:
    known, seen = [], []
    for index, day in enumerate(week_starts(weeks)):
        served, void = 6400 + dice.randrange(400), 60 + dice.randrange(280)
        auc = interval(round(0.741 + 0.018 * math.sin(index / 2.1) + dice.gauss(0, 0.004), 4), 0.0118, served - void, 7)
        before = [row["version"] for row in promotions if row["at"] <= moment(day)][-1:]
        known.append(
            {"week": day.isoformat(), "served": served, "mature": served, "maturity": 1.0, "void": void,
             "labelled": served - void, "positives": round((served - void) * dice.uniform(0.11, 0.22)), "auc": auc,
             "log_loss": round(0.37 + dice.gauss(0, 0.02), 4), "why": "", "champions": before}
        )  # fmt: skip
        early = interval(auc["estimate"] - 0.006 + dice.gauss(0, 0.003), 0.0134, round(0.79 * served), 6)
        share = round(dice.uniform(0.77, 0.84), 4)
        seen.append({"week": day.isoformat(), "as_of": moment(day + timedelta(days=7)), "maturity": share, "auc": early})
    known[-1] |= {"auc": None, "log_loss": None, "why": "only 31% of the labels are mature", "maturity": 0.3104, "labelled": 0}
    seen[-1] |= {"auc": None, "maturity": 0.3104}
    return known, seen


def sample(weeks: int = 13, count: int = 14) -> Json:
    """What a replay of that many weeks comes to; `backstay.replay.summary` makes the real one."""
    dice = random.Random(5)
    candidates, promotions = candidates_and_promotions(dice, count)
    known, seen = quality(dice, weeks, promotions)
    ends = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 18.231)
    counts = (0, 41, 2203, 9120, 21044, 18230, 19777, 8011, 3905, 2440, 420, 160, 18)
    return {
        "project": "flights",
        "model": "late30",
        "description": "Will this flight land 30 or more minutes late? Asked two hours before each scheduled departure.",
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
        "first_version": {"number": 1, "digest": f"{dice.getrandbits(256):064x}", "training_rows": 60493,
                          "dataset_digest": f"{dice.getrandbits(256):064x}", "commit": f"{dice.getrandbits(160):040x}", "dirty": False},
        "seconds": {"ingest": 6.2, "train": 8.4, "replay": 121.9, "verify": 31.5},
    }  # fmt: skip
