"""Streams of a fixed model's errors, 0 or 1 a row, with one change of a known onset, or none.

Each is some 2,000 rows before the onset and 1,500 after it. The model is right about the concept before, but for noise.

sea        three numbers, a sum of two below a threshold, which moves (Street and Kim 2001); at once, and over 400 rows
stagger    three attributes and two rules (Schlimmer and Granger 1986)
hyperplane a plane in five dimensions that turns over 1,000 rows from the onset on (Hulten, Spencer and Domingos 2001)
covariate  rows of the survey, all ages; then those under 25 and over 59 who are of an age to work, alone
label      rows of the survey, called employed from a score of 0.3 on; then as few employed as make the prevalence 10%
concept    rows of the survey; then of every fourth woman the other outcome; at once, and over 400 rows
"""

from __future__ import annotations

from typing import Any

import numpy as np

AFTER, CONTROL, RAMP = 1_500, 3_000, 400
NAMES = ("sea", "sea, gradual", "stagger", "hyperplane", "covariate", "label", "concept", "concept, gradual")


def stream(name: str, seed: int, survey: Any, *, changes: bool = True) -> tuple[Any, int]:
    """The errors, and the row of the onset; without a change, the number of rows."""
    random = np.random.default_rng([NAMES.index(name), seed, int(changes)])
    onset = int(random.integers(1_500, 2_500)) if changes else CONTROL
    rows = onset + AFTER if changes else CONTROL
    since = np.arange(rows) - onset
    how_far = (since >= 0).astype(float)  # the probability that a row is of the concept after
    if "gradual" in name:
        how_far = np.clip(since / RAMP, 0.0, 1.0)
    kind, after = name.split(",")[0], random.random(rows) < how_far
    if kind == "sea":
        return _sea(random, after), onset
    if kind == "stagger":
        return _stagger(random, after), onset
    if kind == "hyperplane":
        return _hyperplane(random, since), onset
    return _real(kind, random, survey, after), onset


def _noisy(wrong: Any, random: Any, share: float) -> Any:
    return (wrong ^ (random.random(wrong.size) < share)).astype(float)


def _sea(random: Any, after: Any) -> Any:
    x = random.uniform(0, 10, (after.size, 3))
    total = x[:, 0] + x[:, 1]
    return _noisy((total <= 8.0) != (total <= np.where(after, 9.5, 8.0)), random, 0.1)


def _stagger(random: Any, after: Any) -> Any:
    size, colour, shape = random.integers(0, 3, (3, after.size))
    first = (size == 0) & (colour == 0)
    second = (colour == 1) | (shape == 0)
    return _noisy(first != np.where(after, second, first), random, 0.1)


def _hyperplane(random: Any, since: Any) -> Any:
    x, weights = random.random((since.size, 5)) - 0.5, random.uniform(0.5, 1.0, 5)
    turn = np.clip(since / 1_000, 0.0, 1.0)[:, None] * np.array([1.0, -1.0, 0.0, 0.0, 0.0]) * 1.2
    return _noisy((x @ weights > 0) != ((x * (weights - turn)).sum(axis=1) > 0), random, 0.1)


def _real(name: str, random: Any, survey: Any, after: Any) -> Any:
    wrong = survey.decided != survey.outcome
    everybody = random.integers(0, wrong.size, after.size)
    if name == "covariate":
        young, old = (survey.age >= 16) & (survey.age < 25), (survey.age >= 60) & (survey.age < 70)
        some = np.flatnonzero(young | old)
        picked = np.where(after, random.choice(some, after.size), everybody)
        return wrong[picked].astype(float)
    if name == "label":
        cases, others = np.flatnonzero(survey.outcome == 1), np.flatnonzero(survey.outcome == 0)
        wrong = (survey.score >= 0.3) != survey.outcome
        shifted = np.where(
            random.random(after.size) < 0.1, random.choice(cases, after.size), random.choice(others, after.size)
        )
        return wrong[np.where(after, shifted, everybody)].astype(float)
    flipped = after & (survey.sex[everybody] == 2) & (random.random(after.size) < 0.25)
    return (wrong[everybody] ^ flipped).astype(float)
