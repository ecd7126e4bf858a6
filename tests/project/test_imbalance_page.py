"""The page of an advice: its numbers are those of the JSON, whatever is missing, and texts are escaped."""

from __future__ import annotations

import json
import re

import numpy as np

from backstay.evaluation.decided import Costs
from backstay.evaluation.imbalance import Rows, Tried, advise
from backstay.lifecycle.imbalance import FoldFacts, ImbalanceReport
from backstay.project.imbalance_page import render

RNG = np.random.default_rng(3)
N = 6_000
SIGNAL = RNG.normal(size=N)
CHANCE = 1 / (1 + np.exp(4.5 - 1.5 * SIGNAL))
ROWS = Rows(RNG.random(N) < CHANCE, np.arange(N) // 100, np.arange(N) // 3_000, np.full(N, 0.02))


def report(tried: list[Tried], rows: Rows = ROWS, **more) -> dict:
    fold = FoldFacts(0, 86_400_000_000, 1_000, 20, 1_000, 20)
    found = ImbalanceReport("<i>late", "sklearn.X", 0, 0, N, 200, [fold], 2, "key", advise(rows, tried, **more))
    return json.loads(json.dumps(found.as_dict(), allow_nan=False))


def test_every_number_of_the_page_is_in_the_json() -> None:
    tried = [
        Tried("plain", "plain", CHANCE, CHANCE, 1.5),
        Tried("bad", "<b>bad", np.clip(3 * CHANCE, 0, 1), None, 2.5, ("fold 1: a & b",)),
        Tried("gone", "gone", reason="no <package>"),
    ]
    told = report(tried, costs=Costs(1, 30), k=2)
    page = render(told)
    assert "<b>bad" not in page
    assert "<i>late" not in page
    assert "no &lt;package&gt;" in page
    assert (told["advice"]["decision"]["arm"], told["advice"]["ranking"]["arm"]) == ("plain", "plain")
    known = [abs(one) for one in _numbers(told)]
    known += [told["advice"]["costs"]["false_negative"] / told["advice"]["costs"]["false_positive"]]
    known += [1 / told["advice"]["resolution"]["prevalence"]]
    tables = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)
    tables = re.sub(r"\d{4}-\d\d-\d\d(T[\d:]+)?|95%|Elkan 2001", " ", tables)
    for text in re.findall(r"(?<![\w.])[+-]?\d[\d,]*\.?\d*(?:e-?\d+)?", tables):
        value, places = abs(float(text.replace(",", ""))), len(text.partition(".")[2])
        assert any(abs(value - one) <= max(0.51 * 10**-places, 0.06 * one) for one in known), text


def _numbers(told: object) -> list[float]:
    if isinstance(told, dict):
        return [one for part in told.values() for one in _numbers(part)]
    if isinstance(told, list):
        return [float(len(told)), *(one for part in told for one in _numbers(part))]
    if isinstance(told, str):
        return [float(one) for one in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", told)]
    return [float(told)] if isinstance(told, int | float) else []


def test_what_could_not_be_told_is_said() -> None:
    few = np.zeros(N, bool)
    few[:4] = few[3_000:3_004] = True
    page = render(
        report([Tried("plain", "plain", CHANCE, CHANCE)], Rows(few, ROWS.clusters, ROWS.folds, ROWS.constant))
    )
    assert "INSUFFICIENT" in page
    assert "Nothing is recommended" in page
    page = render(report([Tried("plain", "plain", reason="why not")]))
    assert "no arm could be tried" in page
    assert "<svg" not in page


def test_where_nothing_is_better_than_the_constant() -> None:
    noise = np.clip(RNG.random(N), 0.01, 0.99)
    told = report([Tried("noise", "noise", noise, noise)])
    assert told["advice"]["decision"]["arm"] is None
    assert told["advice"]["not_tried"] == {}
    assert "For decisions, by log loss: nothing" in render(told)
