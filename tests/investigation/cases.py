"""Cases whose truth is known: two weeks offline, two weeks online, and one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from backstay.core.times import DAY
from backstay.investigation.case import Case, Floats, Replay, Rows
from backstay.investigation.verdicts import Cause

NAMES = ("income", "debt", "age", "kind")
START, DAYS = 100, 14
Waits = Callable[[np.random.Generator, Floats], Floats]


def rows(
    rng: np.random.Generator, first: int, many: int, *, shift: float = 0.0, concept: float = 0.0,
    as_of: int | None = None, maturity: int = DAY, waits: Waits | None = None, occurrence: bool = False,
    online: bool = False,
) -> Rows:  # fmt: skip
    """Rows asked in `DAYS` days from day `first` on, whose scores are right but for what is said.

    shift: how far `income` lies higher; concept: what a high `debt` adds to the log-odds, and nobody knows
    """
    at = np.sort((first + rng.random(many) * DAYS) * DAY).astype(np.int64)
    x = rng.normal(size=(many, 3))
    x[:, 0] += shift
    kind = rng.integers(0, 6, many)
    odds = x[:, 0] + 0.8 * x[:, 1] - 0.5 * x[:, 2] - 0.6
    score = 1 / (1 + np.exp(-odds))
    y = (rng.random(many) < 1 / (1 + np.exp(-odds - concept * (x[:, 1] > 0)))).astype(float)
    wait = np.minimum(rng.exponential(0.2 * DAY, many) if waits is None else waits(rng, y) * DAY, maturity)
    label, seen = y, y
    if as_of is not None:
        mature, come = at + maturity <= as_of, at + wait <= as_of
        label = np.where(mature, y, np.nan)
        wait = np.where(come, wait, np.nan)
        seen = np.where(mature, y, np.where(come, y, 0.0 if occurrence else np.nan))
    if occurrence:
        wait = np.where(y == 1, wait, np.nan)
    nothing = np.full(many, np.nan)
    return Rows(
        ids=[f"p{place}" for place in range(many)] if online else (), at=at, cluster=at // DAY, label=label, seen=seen,
        waits=wait, score=score, decision=score >= 0.5, chance=np.ones(many),
        vector=np.column_stack([x, kind]).astype(np.float32), statuses=np.zeros((many, 4), np.uint8), position=nothing,
        item=rng.integers(0, 400, many), business=nothing, logged=nothing,
        wanted=np.ones(many, np.bool_), void=np.zeros(many, np.bool_),
    )  # fmt: skip


def case(seed: int = 0, metric: str = "log_loss", many: int = 4000, **wrong: Any) -> Case:
    """A case with one thing wrong online; see `rows`."""
    rng = np.random.default_rng(seed)
    before = {name: wrong[name] for name in ("maturity", "waits", "occurrence") if name in wrong}
    offline = rows(rng, START, many, **before)
    online = rows(rng, START + DAYS, many, online=True, **wrong)
    return Case(
        "loans", 3, metric, NAMES, (START + DAYS) * DAY, (START + 2 * DAYS) * DAY,
        wrong.get("as_of") or (START + 3 * DAYS) * DAY, wrong.get("maturity", DAY), wrong.get("occurrence", False),
        offline, online, "the rows that its gate judged it on",
    )  # fmt: skip


def served_wrong(one: Case, cause: Cause, share: float = 0.5, since: float = 0.0) -> Case:
    """The same case, where `income` was served as 0 in a share of the rows; the replay knows what it was."""
    rng, online = np.random.default_rng(9), one.online
    changed = (rng.random(online.rows) < share) & (online.at >= one.since + since * DAYS * DAY)
    wrong = online.vector.copy()
    wrong[changed, 0] = 0.0
    odds = np.log(online.score / (1 - online.score)) - np.where(changed, online.vector[:, 0], 0.0)
    replay = Replay(cause, "online", online.score, online.vector, changed, ("income",), "`income` was not what it was")
    return replace(one, online=replace(online, score=1 / (1 + np.exp(-odds)), vector=wrong), replays=(replay,))
