"""The harm detector under daily looks for three years: how often it cries for nothing, and how soon it finds harm.

At one false alarm in 4,000 looks on average, 1,095 looks may cry at the most in 1,095 / 4,000 of the cases, exactly at
what is put up with. The same days are judged by a test of fixed size that is repeated daily, as many do. The baseline
is learned from 60 days, or known.

known      the loss is exactly the baseline, which is known; nothing is put up with beyond it
learned    the baseline is the upper limit of 60 days of other rows, the margin 0.01
entities   ten rows an entity and day, nearly alike, counted as one
shaken     the rate of each day is drawn anew, by a fifth up and down; the design effect is learned
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.harness import Result, limited, say
from bench.monitoring.sides import ours, scaled

CASES = ("known", "learned", "entities", "shaken")
DAYS, ROWS, BASELINE, LEVEL = 3 * 365, 200, 0.1, 1 / 4_000
MODELS, BEFORE, WITHIN = scaled(60, 4), 60, 60


def _day(case: str, random: Any, rate: float) -> tuple[Any, Any]:
    """A day's errors, and the entity of each row."""
    if case == "entities":
        first = random.random(ROWS // 10) < rate
        entity = np.repeat(np.arange(ROWS // 10), 10)
        return np.where(random.random(ROWS) < 0.9, first[entity], random.random(ROWS) < rate).astype(float), entity
    if case == "shaken":
        rate = min(rate * math.exp(0.2 * random.normal() - 0.02), 1.0)
    return (random.random(ROWS) < rate).astype(float), None


def _detector(case: str, random: Any) -> Any:
    from backstay.evaluation.detectors import HarmDetector

    if case in ("known", "entities"):
        return HarmDetector(BASELINE, level=LEVEL)
    seen = [_day(case, random, BASELINE)[0] for _ in range(BEFORE)]
    return HarmDetector.learned(np.concatenate(seen), np.repeat(np.arange(BEFORE), ROWS), 0.01, level=LEVEL)


def watched(case: str) -> dict[str, Any]:
    """The share of models with a false alarm, the same of a daily z-test at 1%, and the days until harm is found."""
    cried, tested, delays = 0, 0, []
    for seed in range(MODELS):
        random = np.random.default_rng([CASES.index(case), seed])
        fresh = _detector(case, random)
        detector, alarm, peeked, total, rows = fresh, False, False, 0.0, 0
        for day in range(DAYS):
            errors, entity = _day(case, random, BASELINE)
            detector = detector.update(errors, at=day, clusters=entity)
            total, rows = total + errors.sum(), rows + errors.size
            spread = math.sqrt(BASELINE * (1 - BASELINE) / rows)
            peeked = peeked or (total / rows - BASELINE) / spread > 2.326
            alarm = alarm or detector.alarm
        cried, tested = cried + alarm, tested + peeked
        harmed, found = fresh, None
        for day in range(30 + WITHIN):
            errors, entity = _day(case, random, BASELINE if day < 30 else 2 * BASELINE)
            harmed = harmed.update(errors, at=day, clusters=entity)
            if harmed.alarm:
                found = day
                break
        delays.append(WITHIN if found is None or found < 30 else found - 30 + 1)
    return {"cried": cried / MODELS, "z_test": tested / MODELS, "delay": float(np.mean(delays))}


def run() -> list[Result]:
    results = []
    for case in CASES:
        one = ours(case, "harm", "watched", case=case).run()
        say(f"    {case}: false {one['cried']:.1%}, a daily z-test {one['z_test']:.1%}, delay {one['delay']:.1f} days")
        bar = f"harm: false alarms in three years of daily looks, {case}"
        results.append(limited(bar, [one], "cried", "share", most=DAYS * LEVEL))
        bar = f"harm: days until twice the loss is found, {case}"
        results.append(limited(bar, [{**one, "days": one["delay"]}], "days", "x", most=14.0))
    return results
