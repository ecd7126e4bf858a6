"""A loop: history comes in, versions are trained, judged and served on real records, outcomes come late.

Training, judging and features are the package's own. Serving writes what the request core would: values by the real
feature code at each T, with watermark, statuses, score, decision and chance. A plant changes only what it would change
in production: the records say nothing else of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from backstay.core.clock import ReplayClock
from backstay.definitions import Model
from backstay.features.offline import feature_rows
from backstay.features.rows import Rows
from backstay.features.views import Status
from backstay.lifecycle.candidates import train_candidate
from backstay.lifecycle.judge import judge
from backstay.lifecycle.records import Records
from backstay.registry.environment import Environment
from backstay.registry.experiments import Runs
from backstay.registry.manifest import Code
from backstay.registry.versions import ModelVersion, Registry
from backstay.storage.backends.memory import (
    MemoryArtifacts,
    MemoryEvents,
    MemoryLedger,
    MemoryPredictions,
    MemoryRuns,
)
from backstay.storage.predictions import Prediction
from bench.monitoring.why.plan import Plan
from bench.monitoring.why.world import DAY, FEATURES, HOUR, KINDS, START, UTC, World, model

MINUTE = HOUR // 60
PIPELINE = 10 * MINUTE
"""How long events take to become known when nothing is wrong."""
ENVIRONMENT = Environment(Code(commit=None, dirty=None, lock=None, interpreter="CPython", packages={}), None)
ONLINE = 14


@dataclass
class Served:
    """What is to be investigated: predictions in [since, until), as of a moment, of the version `number`."""

    records: Records
    model: Model
    number: int
    since: int
    until: int
    as_of: int
    judged: tuple[int, int, int]
    """the rows that judged it: asked in [first, second), labels as of the third"""
    loop: Loop


class Loop:
    """One life of a world, by a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        days = {"single": 50, "policy": 48, "feedback": 40, "proxy": 40}[plan.flow] + ONLINE
        if plan.mended and (plan.shift or plan.turned):
            days += 28
        daily = plan.daily * {"feedback": 2, "policy": 2}.get(plan.flow, 1)
        self.world = World(plan.seed, days, daily, ratings_every=plan.every, memory=plan.memory, display=plan.display)
        self.clock = ReplayClock(START)
        ledger, artifacts = MemoryLedger(), MemoryArtifacts()
        registry, runs = Registry(ledger, artifacts), Runs(MemoryRuns(), artifacts, self.clock, "loop")
        self.records = Records(MemoryEvents(), MemoryPredictions(), ledger, registry, runs, self.clock, "loop", None)
        self.rng = np.random.default_rng([plan.seed, 3])
        self.serial, self.reached = 0, 0
        self.marks: dict[str, np.ndarray] = {}
        self.online = START + (days - ONLINE) * DAY
        if plan.mended and (plan.shift or plan.turned):
            self.online -= 28 * DAY
        self._happen()

    # what happens, whatever is recorded of it

    def _happen(self) -> None:
        plan, world = self.plan, self.world
        if plan.shift is not None:
            world.shifted(self.online + int(plan.shift.begin * DAY), plan.shift.hard)
        if plan.inflation:
            world.risen(self.online, plan.inflation)
        if plan.display:
            self._displayed()
        truth = MemoryEvents()
        for name, frame in (("views", world.views), ("ratings", world.ratings)):
            truth.append(name, _timed(frame, frame.get_column("event_time").to_numpy()))
        self.at = world.asks.get_column("event_time").to_numpy()
        self.asked = world.asks.rename({"event_time": "at"}).drop("who")
        x = feature_rows(FEATURES, self.asked, truth).rows.frame()
        self.odds = self._odds(x)
        self.chance = 1 / (1 + np.exp(-self.odds))
        examined = self.asked.get_column("position").to_numpy() ** -plan.eta
        self.good = np.random.default_rng([plan.seed, 4]).random(self.at.size) < self.chance * examined
        self._record()

    def _displayed(self) -> None:
        """Pages are ordered by how popular a listing is; by how new it is, once the layout changed."""
        rng = np.random.default_rng([self.plan.seed, 5])
        who = self.world.asks.get_column("who").to_numpy()
        order = self.world.popular[who] + rng.normal(0.0, 0.25, who.size)
        if self.plan.layout is not None:
            newest = rng.normal(size=self.world.popular.size)[who] + rng.normal(0.0, 0.25, who.size)
            order = np.where(self.world.asks.get_column("event_time").to_numpy() >= self.online, newest, order)
        self.world.placed(order)

    def _odds(self, x: pl.DataFrame) -> np.ndarray:
        concept, plan = self.world.concept, self.plan
        odds = concept.odds(x)
        if plan.layout is not None:  # what is popular is looked at more, and no more worth for it
            odds = replace(concept, views=0.15 * concept.views).odds(x)
        if plan.turned is not None:
            one = plan.turned
            turned = replace(
                concept, stars=concept.stars * one.stars, views=concept.views * one.views,
                price=concept.price * one.price, hour=concept.hour * one.hour,
            )  # fmt: skip
            odds = np.where(self.at >= self.online + int(one.begin * DAY), turned.odds(x), odds)
        if plan.feedback is not None:
            odds = odds + self._wandered(x)
        shock = np.random.default_rng([plan.seed, 12]).normal(0.0, plan.shock, self.world.days)
        return odds + shock[(self.at - START) // DAY]

    def _wandered(self, x: pl.DataFrame) -> np.ndarray:
        """Kinds that nobody chose at first come into fashion."""
        assert self.plan.feedback is not None
        rng = np.random.default_rng([self.plan.seed, 6])
        level = np.asarray(self.world.concept.kinds)
        phase = (self.at - START - 12 * DAY) / (DAY * ONLINE)
        low = np.argsort(level)[: KINDS // 2]
        rise = np.zeros(KINDS)
        rise[low] = self.plan.feedback.drift * rng.uniform(0.7, 1.3, low.size)
        return rise[x.get_column("kind").to_numpy()] * np.clip(phase / 2.0, 0.0, 1.0)

    # what is recorded

    def _record(self) -> None:
        plan, world = self.plan, self.world
        for name, frame in (("views", world.views), ("ratings", world.ratings)):
            when = frame.get_column("event_time").to_numpy()
            known = when + PIPELINE
            if plan.late is not None and name == "ratings":
                honest = when >= self.online - int(plan.late.days * DAY) if "late" not in plan.mended else when > 0
                known = np.where(honest, when + int(plan.late.days * DAY), known)
            if name == "views" and plan.flow == "feedback":  # what is chosen makes more of them: day by day
                self.held = frame
                self.reach(START)
            else:
                self._append(name, self._sent_events(name, frame), known)
                self.marks[name] = np.sort(known)
        self.sent = self._sent()
        logged = self.sent if (plan.units and plan.units.asked) or (plan.zone and plan.zone.asked) else self.asked
        self._append("asks", logged.rename({"at": "event_time"}), self.at)

    def reach(self, until: int, decided: np.ndarray | None = None) -> None:
        """Push the views known up to a moment, and those that what was chosen before it has led to."""
        if decided is not None and decided.any():
            assert self.plan.feedback is not None
            times = self.rng.poisson(self.plan.feedback.exposure, int(decided.sum()))
            who, when = (
                np.repeat(self.asked.get_column("listing").filter(decided), times),
                np.repeat(self.at[decided], times),
            )
            seconds = np.round(np.exp(self.rng.normal(3.0, 0.5, when.size)), 3)
            led = pl.DataFrame({"event_time": when + MINUTE, "listing": who, "seconds": seconds})
            known = np.full(when.size, until - 1)  # they come by a batch, at the end of the day
            self._append("views", led, known)
            self.marks["views"] = np.concatenate([self.marks["views"], known])
        known = self.held.get_column("event_time").to_numpy() + PIPELINE
        upto = int(np.searchsorted(known, until))
        later = int(np.searchsorted(known, self.reached)) if self.reached else 0
        if upto > later:
            self._append("views", self.held[later:upto], known[later:upto])
            self.marks["views"] = np.concatenate([self.marks.get("views", np.empty(0, np.int64)), known[later:upto]])
        self.reached = until

    def _append(self, source: str, frame: pl.DataFrame, known: np.ndarray) -> None:
        order = np.argsort(known, kind="stable")
        self.records.events.append(source, _timed(frame[order], known[order]))

    def _sent_events(self, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        units, column = self.plan.units, {"views": "seconds", "ratings": "stars"}[name]
        if units is None or units.where != column:
            return frame
        later = frame.get_column("event_time").to_numpy() >= self.online + int(units.begin * DAY)
        value = frame.get_column(column).to_numpy()
        return frame.with_columns(pl.Series(column, np.where(later, value * units.factor + units.offset, value)))

    def _sent(self) -> pl.DataFrame:
        """The requests as clients send them."""
        out, units, zone = self.asked, self.plan.units, self.plan.zone
        client = np.random.default_rng([self.plan.seed, 11]).random(self.at.size)
        if units is not None and units.where in ("price", "distance"):
            value = out.get_column(units.where).to_numpy()
            later = (self.at >= self.online + int(units.begin * DAY)) & (client < units.share)
            out = out.with_columns(pl.Series(units.where, np.where(later, value * units.factor + units.offset, value)))
        if zone is not None:
            later = (self.at >= self.online + int(zone.begin * DAY)) & (client < zone.share)
            shifted = self.at + np.where(later, zone.hours * HOUR, 0)
            out = out.with_columns(moment=pl.Series(shifted).cast(UTC))
        return out

    # the life of versions

    def train(self, chosen: Model, as_of: int, holdout: float, **more: Any) -> ModelVersion:
        self.clock.advance(as_of)
        return train_candidate(
            self.records, chosen, ENVIRONMENT, as_of=as_of, holdout=int(holdout * DAY), seed=self.plan.seed,
            accept="the period is known to be like this", **more,
        )  # fmt: skip

    def strict(self, chosen: Model, as_of: int, holdout: float, share: float) -> Model:
        """The model with the threshold that lets this share through, of what was asked in the week before.

        It is trained aside for that, and nothing of it is recorded.
        """
        registry = Registry(MemoryLedger(), self.records.registry._artifacts)
        aside = replace(
            self.records, registry=registry, runs=Runs(MemoryRuns(), registry._artifacts, self.clock, "loop")
        )
        version = train_candidate(
            aside, chosen, ENVIRONMENT, as_of=as_of, holdout=int(holdout * DAY), seed=self.plan.seed, accept="aside"
        )
        place = np.flatnonzero((self.at >= as_of - 7 * DAY) & (self.at < as_of))
        rows = feature_rows(FEATURES, self.sent[place], self.records.events).rows
        score = aside.scorer(chosen, version).score(rows.vector())
        chosen.threshold = float(np.round(np.quantile(score, 1.0 - share), 6))
        return chosen

    def crown(self, chosen: Model, version: ModelVersion, as_of: int) -> tuple[int, int, int]:
        """Judge a version and make it champion; from when to when the rows that judged it were asked."""
        found = judge(self.records, chosen, version.number, as_of=as_of)
        registry = self.records.registry
        move = registry.alias(chosen.name, "champion")
        registry.move_alias(
            chosen.name, "champion", version.number, evidence={"gate": found.entry_id, "reason": found.decision.reason},
            at=as_of, actor="loop", expect=None if move is None else move.entry_id,
        )  # fmt: skip
        body = next(one for one in self.records.ledger.entries() if one.id == found.entry_id).body
        return int(body["start"]), int(min(body["end"], body["as_of"])), int(body["as_of"])

    def label(self, rows: np.ndarray) -> None:
        """Push the outcomes of some asks, when they come."""
        plan, rng = self.plan, np.random.default_rng([self.plan.seed, 7])
        draw, other = rng.exponential(1.0, self.at.size), rng.random(self.at.size)
        wait = np.minimum(0.3 * draw, plan.horizon * 0.95)
        if plan.delay is not None:
            one = plan.delay
            high = self.odds > np.median(self.odds)
            mean = np.where(self.good, np.where(high, one.slower, 1.0) * one.good, one.bad)
            wait = np.minimum(mean * draw, plan.horizon * (0.9 + 0.09 * other))
        when = self.at + (wait * DAY).astype(np.int64) + MINUTE
        told = rows & (self.good | (not plan.occurrence))
        frame = pl.DataFrame({
            "event_time": when[told], "ask": self.asked.get_column("ask").filter(told), "good": self.good[told],
        })  # fmt: skip
        self._append("outcomes", frame, when[told] + PIPELINE)

    def sell(self, decided: np.ndarray) -> None:
        """Push what those that were decided on paid, where that is looked at."""
        if not self.plan.business:
            return
        harm, rng = 0.0 if self.plan.proxy is None else self.plan.proxy.harm, np.random.default_rng([self.plan.seed, 8])
        noise, wait = rng.normal(0, 10, self.at.size), rng.uniform(0.0, 2.0, self.at.size)
        worth = np.maximum(50.0 - harm * 20.0 * np.clip(self.odds, -3, 3) + noise, 0.0)
        told = decided & (self.good | (harm != 0.0))
        frame = pl.DataFrame({
            "event_time": (self.at + wait * DAY).astype(np.int64)[told], "value": worth[told],
            "ask": self.asked.get_column("ask").filter(told),
        })  # fmt: skip
        self._append(
            "sales", frame.select("event_time", "ask", "value"), frame.get_column("event_time").to_numpy() + PIPELINE
        )

    # serving

    def serve(
        self, chosen: Model, version: ModelVersion, since: int, until: int, *, explore: float = 0.0
    ) -> np.ndarray:
        """Answer what is asked in [since, until); which asks the decision was `true` about."""
        place = np.flatnonzero((self.at >= since) & (self.at < until))
        asked, at = self.sent[place], self.at[place]
        rows, marks, degraded = self._looked_up(asked, at)
        scorer = self.records.scorer(chosen, version)
        score = np.asarray(scorer.score(_vector(rows)), np.float64)
        turned = np.random.default_rng([self.plan.seed, 9]).random(self.at.size)[place] < explore
        decision = (score >= version.manifest.threshold) ^ turned
        chance = np.where(turned, explore, 1.0 - explore)
        self._log(version, asked, at, rows, marks, degraded, score, decision, chance)
        out = np.zeros(self.at.size, np.bool_)
        out[place] = decision
        return out

    def _log(self, version, asked, at, rows, marks, degraded, score, decision, chance) -> None:  # type: ignore[no-untyped-def]
        keys = asked.select("listing", "ask").rows()
        fields = asked.select("price", "distance", "kind", pl.col("moment").to_physical(), "position").to_dicts()
        if not self.plan.display:
            fields = [{name: value for name, value in one.items() if name != "position"} for one in fields]
        digest, hashed = version.digest, FEATURES.hash
        made = []
        for i, (values, status) in enumerate(rows):
            self.serial += 1
            made.append(Prediction(
                f"{self.serial:032x}", int(at[i]), int(at[i]) + 4000, "booked", digest, "champion", 1.0, hashed,
                {"listing": keys[i][0], "ask": keys[i][1]}, fields[i],
                {name: int(mark[i]) for name, mark in marks.items()}, values, status, float(score[i]),
                bool(decision[i]), degraded=degraded[i], chance=float(chance[i]), took=900,
            ))  # fmt: skip
        self.records.predictions.append(made)

    def _looked_up(self, asked: pl.DataFrame, at: np.ndarray) -> tuple[list[tuple[list[Any], bytes]], Any, list[str]]:
        """The values and statuses of each row as the online state gives them, watermarks, and how it was degraded."""
        plan, events = self.plan, self.records.events
        marks = {name: np.searchsorted(mark, at, side="right") for name, mark in self.marks.items()}
        told = _told(feature_rows(FEATURES, asked, events).rows)
        degraded = [""] * len(at)
        if plan.stale is not None:
            told, marks = self._stale(asked, at, told, marks)
        if plan.default is not None:
            one, rng = plan.default, np.random.default_rng([plan.seed, 10])
            later = at >= self.online + int(one.begin * DAY)
            if one.how == "never":
                names = np.asarray(self.world.names)[rng.random(self.world.popular.size) < one.share]
                gone = later & np.isin(asked.get_column("listing").to_numpy(), names)
            else:
                gone = later & (rng.random(self.at.size)[np.searchsorted(self.at, at)] < one.share)
            none = _told(feature_rows(FEATURES, asked.with_columns(listing=pl.lit("nobody")), events).rows)
            if one.how == "degraded":
                missing, down = bytes([Status.MISSING]), bytes([Status.UNAVAILABLE])
                none = [(values, status.replace(missing, down)) for values, status in none]
                degraded = ["defaults" if lost else "" for lost in gone.tolist()]
            told = [none[i] if lost else told[i] for i, lost in enumerate(gone.tolist())]
            if one.how == "degraded":  # nothing was read
                marks = {name: np.where(gone, 0, mark) for name, mark in marks.items()}
        return told, marks, degraded

    def _stale(self, asked, at, told, marks):  # type: ignore[no-untyped-def]
        one = self.plan.stale
        assert one is not None
        begin = self.online + int(one.begin * DAY)
        known = self.marks[one.source]
        told, marks = list(told), {name: mark.copy() for name, mark in marks.items()}
        for start in range(int(at[0]) // DAY * DAY, int(at[-1]) + 1, DAY):
            some = np.flatnonzero((at >= max(start, begin)) & (at < start + DAY))
            if not some.size:
                continue
            seen = begin - int(one.lag * DAY) if one.stopped else start - int(one.lag * DAY)
            mark = int(np.searchsorted(known, seen, side="right"))
            limit = {one.source: mark}
            part = _told(feature_rows(FEATURES, asked[some], self.records.events, watermark=limit).rows)
            for place, row in zip(some.tolist(), part, strict=True):
                told[place] = row
            if not one.cached:
                marks[one.source][some] = mark
        return told, marks


def _told(rows: Rows) -> list[tuple[list[Any], bytes]]:
    statuses = np.ascontiguousarray(rows.statuses, np.uint8)
    return [(values, status.tobytes()) for values, status in zip(rows.values(), statuses, strict=True)]


def _vector(rows: list[tuple[list[Any], bytes]]) -> np.ndarray:
    places = [place for place, one in enumerate(FEATURES) if one.name in FEATURES.vector]
    table = [[np.nan if values[p] is None else values[p] for p in places] for values, _ in rows]
    return np.array(table, np.float64).astype(np.float32)


def _timed(frame: pl.DataFrame, known: np.ndarray) -> pl.DataFrame:
    rest = [name for name in frame.columns if name != "event_time"]
    return frame.select(pl.col("event_time").cast(UTC), pl.Series("known_time", known).cast(UTC), *rest)


def lived(plan: Plan) -> Served:
    """Run a loop by its plan, up to where it is to be investigated."""
    from bench.monitoring.why import flows

    loop = Loop(plan)
    return getattr(flows, plan.flow)(loop)  # type: ignore[no-any-return]


__all__ = ["DAY", "ENVIRONMENT", "ONLINE", "START", "Loop", "Served", "lived", "model"]
