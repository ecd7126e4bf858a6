"""A model that is watched: days of predictions like its training rows, or changed as a test wants, and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backstay.core.clock import ReplayClock
from backstay.core.times import DAY, HOUR, instant
from backstay.definitions import Monitor
from backstay.lifecycle.monitoring import Watched, monitor_tick
from backstay.lifecycle.scored import labelled_rows
from backstay.project import Project
from backstay.storage.predictions import SHADOW, Prediction
from tests.serving import shop

FIRST = instant(shop.SECOND)
POLICY = Monitor(parity=0, minimum_rows=50, together=3, severe=0.5)
"""Not computed again: these rows were never asked of a server. Windows of some hundred rows can show that much."""
Change = Callable[[dict[str, Any]], Any]


def unchanged(_row: dict[str, Any]) -> None:
    """As it was in training."""


@dataclass
class Days:
    """A project with two versions, the first of which is champion and answers; days are counted from `FIRST`."""

    path: Path
    policy: Monitor | None = POLICY
    day: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    project: Project = field(init=False)
    like: Days | None = None
    rows: list[dict[str, Any]] = field(init=False)
    vector: Any = field(init=False)

    def __post_init__(self) -> None:
        self.open()
        if self.like is not None:  # features are computed once
            self.rows, self.vector = self.like.rows, self.like.vector
            return
        model, records = self.project.model("late"), self.project.records
        then = labelled_rows(records, model, since=instant("2024-01-10"), until=FIRST - 4 * DAY, as_of=FIRST)
        moments = [name for name, kind in then.frame.schema.items() if isinstance(kind, pl.Datetime)]
        self.rows = then.frame.with_columns(pl.col(moments).dt.epoch("us")).to_dicts()
        self.vector = then.vector

    def open(self) -> None:
        """As a fresh process finds it."""
        self.project = Project(self.path, clock=ReplayClock(FIRST + self.day * DAY), actor="watch")
        self.project.model("late").monitor = self.policy

    def serve(
        self, rows: int = 300, change: Change = unchanged, *, number: int = 1, wrong: float = 0.0, **more: Any
    ) -> None:
        """One day's requests. change: of each row's features; wrong: how often the outcome is the opposite."""
        model, version = self.project.model("late"), self.project.records.registry.get("late", number)
        chosen = self.rng.integers(0, len(self.rows), rows)
        scores = self.project.records.scorer(model, version).score(self.vector[chosen])
        base, out, labels = FIRST + self.day * DAY, [], []
        for place, (row, score) in enumerate(zip(chosen.tolist(), scores.tolist(), strict=True)):
            told = dict(self.rows[row])
            change(told)
            at = base + place * (DAY // rows)
            order = f"d{self.day}r{place}v{number}{more.get('route', '')}"
            keys = {"shop": told["shop"], "counter": told["counter"], "order": order}
            values = [told[one.name] for one in model.features]
            out.append(
                Prediction(
                    f"p{order}", at, at, "late", version.digest, more.get("route", "champion"), 1.0,
                    more.get("feature_set", model.features.hash), keys, {}, {}, values,
                    bytes(more.get("status", 0) for _ in values), score, score >= 0.5,
                    degraded=more.get("degraded", ""), given=more.get("given", False),
                )
            )  # fmt: skip
            labels.append((order, at, bool(told["label"]) ^ bool(self.rng.random() < wrong)))
        self.project.services.predictions.append(out)
        if more.get("route") != SHADOW:
            self._labels(labels)

    def pass_day(self, days: int = 1) -> Watched:
        """The next day begins, and the monitor's tick comes."""
        self.day += days
        self.project.clock.advance(FIRST + self.day * DAY)  # type: ignore[attr-defined]
        return self.tick()

    def tick(self) -> Watched:
        return monitor_tick(self.project.records, self.project.model("late"))

    def live(self, days: int, rows: int = 300, change: Change = unchanged, **more: Any) -> list[Watched]:
        """Days on which all requests are of one kind."""
        out = []
        for _ in range(days):
            self.serve(rows, change, **more)
            out.append(self.pass_day())
        return out

    def _labels(self, rows: list[tuple[str, int, bool]]) -> None:
        store = self.project.services.events
        one = store.read("orders", sequence_until=1).drop("sequence")
        time = pl.Series([at + HOUR for _, at, _ in rows], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
        frame = pl.concat([one] * len(rows)).with_columns(
            event_time=time, known_time=time.dt.offset_by("1m"), order=pl.Series([order for order, _, _ in rows]),
            late=pl.Series([late for _, _, late in rows]),
        )  # fmt: skip
        store.append("orders", frame)
