"""A rollout on real records: requests answered as a route says, logged, with labels that come later."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backstay.core.clock import ReplayClock
from backstay.core.times import HOUR, instant
from backstay.lifecycle.judge import judge
from backstay.lifecycle.tick import Ticked, tick
from backstay.project import Project
from backstay.registry.routing import BASELINE, RouteEntry
from backstay.registry.versions import ModelVersion
from backstay.storage.predictions import Prediction
from tests.serving import shop

START = instant(shop.SECOND) + 7 * 24 * HOUR + 4 * HOUR  # the period that judges version 2 is mature
POLICY = """Rollout(
        shadow=Shadow(rows=200, at_most="3d"),
        canary=Canary(
            steps=(0.1, 0.4, 1), requests=60, least="1h", at_most="2d",
            guards=(Guard("errors"), Guard("log_loss", margin=0.1), Guard("decisions", margin=0.2)),
        ),
    )"""


def declared(path: Path, policy: str = POLICY, more: str = "") -> Path:
    """The same project with a rollout, and a gate that lets a version through which is not far worse."""
    text = (path / "models.py").read_text()
    for before, after in (
        ("from backstay import Ask,", "from backstay import Canary, Guard, Rollout, Shadow\nfrom backstay import Ask,"),
        ('metric="auc", ', 'metric="auc", margin=-0.3, '),
        ('judge_after="5d"', 'judge_after="7d"'),
        ('retrain=RetrainPolicy(every="4d"),', f'retrain=RetrainPolicy(every="400d"),\n    rollout={policy},{more}'),
    ):
        assert before in text
        text = text.replace(before, after)
    (path / "models.py").write_text(text)
    return path


@dataclass
class Life:
    """A project at a moment. `errors` and `wrong` are how often the candidate gives no score, or says the opposite."""

    path: Path
    errors: float = 0.0
    wrong: float = 0.0
    now: int = START
    actor: str = "controller"
    served: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    project: Project = field(init=False)
    versions: list[ModelVersion] = field(init=False)
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """As a fresh process finds it."""
        self.project = Project(self.path, clock=ReplayClock(self.now), actor=self.actor)
        self.width = len([*self.project.model("late").features])
        self.versions = self.project.versions("late")

    def copied(self, to: Path) -> Life:
        """The same life in a folder of its own."""
        return Life(
            Path(shutil.copytree(self.path, to / "shop")), self.errors, self.wrong, self.now, self.actor, self.served
        )

    def pass_time(self, hours: float) -> None:
        self.now += int(hours * HOUR)
        self.project.clock.advance(self.now)  # type: ignore[attr-defined]

    def judge(self, number: int = 2) -> str:
        found = judge(self.project.records, self.project.model("late"), number, as_of=self.now)
        return found.decision.verdict.value

    def tick(self) -> Ticked:
        return tick(self.project.records, self.project.model("late"), self.project.environment)

    @property
    def where(self) -> str:
        turn = self.project.rollouts.show("late").turn
        return "" if turn is None else turn.state.where

    @property
    def champion(self) -> int:
        move = self.project.records.registry.alias("late", "champion")
        assert move is not None
        return move.to

    @property
    def route(self) -> dict[str, float]:
        entry = self.project.routes.show("late")
        parts = () if entry is None else entry.parts
        return {("shadow " if one.shadow else "") + one.name: one.share for one in parts}

    def serve(self, requests: int = 300, hours: float = 2.0) -> None:
        """Requests over some hours, answered as the route says; their labels become known two hours after each."""
        entry = self.project.routes.show("late")
        begin, self.served = self.served, self.served + requests
        at = self.now + np.sort(self.rng.integers(1, int(hours * HOUR), requests))
        late = self.rng.random(requests) < 0.3
        rows = [(f"x{begin + place}", int(at[place]), bool(late[place])) for place in range(requests)]
        self.project.services.predictions.append([one for row in rows for one in self._answers(entry, *row)])
        self._labels(rows)
        self.pass_time(hours)

    def _answers(self, entry: RouteEntry | None, order: str, at: int, late: bool) -> list[Prediction]:
        keys = {"shop": "shop1", "counter": 1, "order": order}
        cohort = "" if entry is None else entry.cohort(keys)
        score, second = self._score(late), self._score(late ^ (self.rng.random() < self.wrong))
        failed = self.rng.random() < self.errors
        if cohort not in ("", BASELINE):
            route, told = ("fallback", score) if failed else (cohort, second)
            return [self._record(order, at, keys, route, told, error="it broke" if failed else "")]
        one = self._record(order, at, keys, cohort or "champion", score)
        shown = entry is not None and any(part.shadow for part in entry.parts)
        error, said = ("it broke", float("nan")) if failed else ("", second)
        return [one] + [self._record(f"s{order}", at, keys, "shadow", said, error=error, of=one.id)] * shown

    def _score(self, late: bool) -> float:
        return float(np.clip((0.6 if late else 0.2) + self.rng.normal(0, 0.1), 0.01, 0.99))

    def _record(self, name: str, at: int, keys: dict[str, Any], route: str, score: float, **more: Any) -> Prediction:
        version = self.versions[0 if route in ("champion", BASELINE, "fallback") else 1]
        return Prediction(
            f"p{name}", at, at, "late", version.digest, route, 1.0, version.manifest.feature_set.hash, keys, {}, {},
            [None] * self.width, b"\1" * self.width, score, score >= 0.5, took=500, **more,
        )  # fmt: skip

    def _labels(self, rows: list[tuple[str, int, bool]]) -> None:
        store = self.project.services.events
        one = store.read("orders", sequence_until=1).drop("sequence")
        time = pl.Series([at + HOUR for _, at, _ in rows], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
        frame = pl.concat([one] * len(rows)).with_columns(
            event_time=time, known_time=time.dt.offset_by("1m"), order=pl.Series([order for order, _, _ in rows]),
            late=pl.Series([late for _, _, late in rows]),
        )  # fmt: skip
        store.append("orders", frame)
