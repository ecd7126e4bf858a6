"""A small seeded market, as it truly is: listings whose stars, views and prices change, and people who book them.

Nothing here is recorded yet; `loop.py` decides what becomes known when, and what is served. A world is the same for
the same seed, whatever is planted into it, up to where the plant itself changes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay import (
    Ask,
    Count,
    Derived,
    Entity,
    EventSource,
    FeatureSet,
    GatePolicy,
    Label,
    Latest,
    Mean,
    Metric,
    Model,
    Request,
    Windowed,
)
from backstay.core.times import DAY, HOUR, instant
from backstay.definitions import DataPolicy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

START = instant("2025-01-01")
LISTINGS, KINDS, HARD, PAGE = 240, 8, (6, 7), 6
"""Of two kinds nobody knows who will book: asked about those, any model is worse."""
UTC = pl.Datetime("us", "UTC")

listing = Entity("listing")
views = EventSource("views", schema={"listing": "string", "seconds": "float"}, known_time="known")
ratings = EventSource("ratings", schema={"listing": "string", "stars": "float"}, known_time="known")
asks = EventSource(
    "asks",
    schema={
        "listing": "string", "ask": "string", "price": "float", "distance": "float", "kind": "int",
        "moment": "datetime", "position": "int",
    },
)  # fmt: skip
outcomes = EventSource("outcomes", schema={"ask": "string", "good": "bool"}, known_time="known")
sales = EventSource("sales", schema={"ask": "string", "value": "float"}, known_time="known")

FEATURES = FeatureSet(
    "listing_now",
    [
        Windowed(views, by=listing, over="7d", views=Count(), seconds=Mean("seconds")),
        Latest(ratings, by=listing, max_age="60d", stars="stars"),
        Request(price="float", distance="float", kind="int", moment="datetime"),
        Derived(hour=pl.col("moment").dt.hour()),
    ],
    defaults={"listing_stars": 0.0, "listing_seconds_7d": 0.0},
)
BUSINESS = Metric("sales.value", better="higher", within="3d")


def model(plan: object, trees: int = 60) -> Model:
    """The question: will it be booked? `plan` has metric, occurrence, horizon, threshold, display, business, window."""
    from lightgbm import LGBMClassifier

    def estimator() -> LGBMClassifier:
        return LGBMClassifier(n_estimators=trees, num_leaves=8, min_child_samples=40, n_jobs=1, verbose=-1)

    good, one = pl.col("good"), plan
    label = Label(
        "booked", source=outcomes, key="ask", horizon=f"{one.horizon}d",  # type: ignore[attr-defined]
        **({"occurs": good} if one.occurrence else {"value": good}),  # type: ignore[attr-defined]
    )  # fmt: skip
    return Model(
        "booked", features=FEATURES, label=label, ask=Ask(asks), estimator=estimator, runtime="lightgbm",
        threshold=one.threshold,  # type: ignore[attr-defined]
        position="position" if one.display else None,  # type: ignore[attr-defined]
        business=BUSINESS if one.business else None,  # type: ignore[attr-defined]
        gate=GatePolicy(
            metric=one.metric, margin=-9.0, embargo="0s",  # type: ignore[attr-defined]
            judge_after={"feedback": "4d", "policy": "10d"}.get(one.flow, "7d"),  # type: ignore[attr-defined]
            minimum_rows=100, minimum_days=3,
        ),
        data=DataPolicy(volume=0.0, label_rate=99.0, drift=99.0, missing=1.0),
    )  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """How bookings hang on what is seen, on the scale of log-odds."""

    base: float
    stars: float
    views: float
    price: float
    distance: float
    hour: float
    peak: float
    kinds: tuple[float, ...]

    @staticmethod
    def drawn(rng: np.random.Generator) -> Concept:
        def near(value: float) -> float:
            return float(value * rng.uniform(0.75, 1.25))

        kinds = tuple(rng.normal(0.0, 0.45, KINDS).tolist())
        return Concept(
            near(-0.7), near(1.25), near(0.8), near(-0.85), near(-0.6), near(1.0), float(rng.integers(17, 22)), kinds
        )

    def odds(self, x: pl.DataFrame) -> Floats:
        """Of rows with the features as they truly are."""
        stars = x.get_column("listing_stars").to_numpy() - 3.0
        seen = (np.log1p(x.get_column("listing_views_7d").to_numpy()) - 3.0) / 0.6
        price = (np.log(x.get_column("price").to_numpy()) - 4.5) / 0.6
        distance = (np.log(x.get_column("distance").to_numpy()) - 2.0) / 0.7
        hour = np.cos(2 * np.pi * (x.get_column("hour").to_numpy() - self.peak) / 24)
        kind = x.get_column("kind").to_numpy()
        hard = np.where(np.isin(kind, HARD), 0.12, 1.0)
        told = self.stars * stars + self.views * seen + self.price * price + self.distance * distance + self.hour * hour
        return self.base + hard * told + np.asarray(self.kinds)[kind]


@dataclass
class World:
    """What happens: asks in order of time, with whatever is seen of the listings at that time."""

    seed: int
    days: int
    daily: int
    ratings_every: float = 1.5
    memory: float = 0.5
    """how much of a rating stays in the next one: stars that change fast are stale fast"""
    display: bool = False
    rng: np.random.Generator = field(init=False)
    concept: Concept = field(init=False)
    popular: Floats = field(init=False)
    views: pl.DataFrame = field(init=False)
    ratings: pl.DataFrame = field(init=False)
    asks: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, 1])
        self.concept = Concept.drawn(self.rng)
        self.popular = self.rng.normal(0.0, 0.6, LISTINGS)
        self.views, self.ratings, self.asks = self._views(), self._ratings(), self._asks()

    @property
    def names(self) -> list[str]:
        return [f"l{number:03d}" for number in range(LISTINGS)]

    def _views(self) -> pl.DataFrame:
        """Views come by a rate that wanders, and last longer where a listing is liked."""
        steps = self.rng.normal(0.0, 0.25, (self.days + 8, LISTINGS))
        heat = np.zeros_like(steps)
        for day in range(1, len(steps)):
            heat[day] = 0.9 * heat[day - 1] + steps[day]
        count = self.rng.poisson(2.6 * np.exp(self.popular + heat))
        day, place = np.nonzero(count)
        times = count[day, place]
        who, when = np.repeat(place, times), np.repeat(day, times) - 8 + self.rng.random(int(times.sum()))
        seconds = np.round(np.exp(self.rng.normal(3.0, 0.5, who.size)), 3)
        return self._events(who, when, seconds=seconds)

    def _ratings(self) -> pl.DataFrame:
        gaps = self.rng.exponential(
            self.ratings_every, (LISTINGS, int((self.days + 12) / self.ratings_every * 1.6) + 9)
        )
        when = np.cumsum(gaps, axis=1) - 12.0
        noise = self.rng.normal(0.0, 1.0, when.shape)
        stars = np.zeros_like(when)
        level = self.rng.normal(0.0, 0.3, LISTINGS)
        stars[:, 0] = noise[:, 0]
        for place in range(1, when.shape[1]):
            stars[:, place] = self.memory * stars[:, place - 1] + np.sqrt(1 - self.memory**2) * noise[:, place]
        value = np.clip(np.round(3.0 + level[:, None] + 0.9 * stars, 1), 1.0, 5.0)
        kept = when < self.days
        who = np.broadcast_to(np.arange(LISTINGS)[:, None], when.shape)
        return self._events(who[kept], when[kept], stars=value[kept])

    def _events(self, who: Ints, when: Floats, **columns: Floats) -> pl.DataFrame:
        order = np.argsort(when, kind="stable")
        frame = {"event_time": START + (when[order] * DAY).astype(np.int64)}
        names = pl.Series(self.names).gather(who[order])
        return pl.DataFrame({**frame, "listing": names, **{name: one[order] for name, one in columns.items()}})

    def _asks(self) -> pl.DataFrame:
        """A day's asks: evenings are busier; with a display they come by pages, of different listings each."""
        count = self.days * self.daily
        pages = count // PAGE if self.display else count
        moment = np.repeat(np.arange(self.days), pages // self.days) + self._clock(pages // self.days * self.days)
        moment = np.sort(moment)
        if self.display:
            keyed = self.rng.gumbel(size=(moment.size, LISTINGS)) + 0.5 * self.popular
            who = np.argpartition(-keyed, PAGE, axis=1)[:, :PAGE].ravel()
            moment = np.repeat(moment, PAGE)
        else:
            share = np.exp(0.5 * self.popular)
            who = self.rng.choice(LISTINGS, moment.size, p=share / share.sum())
        at = START + (moment * DAY).astype(np.int64)
        base = self.rng.normal(0.0, 0.3, LISTINGS)
        kind = self._kinds(moment.size)
        price = np.round(np.exp(4.5 + base[who] + self.rng.normal(0, 0.5, who.size)), 2)
        distance = np.round(np.exp(2.0 + self.rng.normal(0, 0.7, who.size)), 2)
        return pl.DataFrame({
            "event_time": at, "listing": pl.Series(self.names).gather(who), "who": who,
            "ask": [f"a{number:06d}" for number in range(who.size)], "price": price, "distance": distance,
            "kind": kind, "moment": pl.Series(at).cast(UTC), "position": np.ones(who.size, np.int64),
        })  # fmt: skip

    def _clock(self, count: int) -> Floats:
        hour = np.arange(24)
        share = 1.0 + 0.8 * np.cos(2 * np.pi * (hour - 18) / 24)
        return (self.rng.choice(24, count, p=share / share.sum()) + self.rng.random(count)) / 24

    def _kinds(self, count: int) -> Ints:
        """Seldom one of the hard kinds."""
        share = np.where(np.isin(np.arange(KINDS), HARD), 0.05, (1 - 0.05 * len(HARD)) / (KINDS - len(HARD)))
        return self.rng.choice(KINDS, count, p=share).astype(np.int64)

    def shifted(self, since: int, hard: float) -> None:
        """From a moment on, this share of asks is about one of the hard kinds."""
        rng = np.random.default_rng([self.seed, 2])
        later = self.asks.get_column("event_time").to_numpy() >= since
        kind = self.asks.get_column("kind").to_numpy().copy()
        moved = later & (rng.random(kind.size) < hard)
        kind[moved] = rng.choice(HARD, int(moved.sum()))
        self.asks = self.asks.with_columns(kind=pl.Series(kind))

    def risen(self, since: int, by: float) -> None:
        """From a moment on, prices are a little higher."""
        later = self.asks.get_column("event_time").to_numpy() >= since
        price = self.asks.get_column("price").to_numpy() * np.where(later, 1.0 + by, 1.0)
        self.asks = self.asks.with_columns(price=pl.Series(np.round(price, 2)))

    def placed(self, order: Floats) -> None:
        """Every page shows its listings by `order`, one number an ask, the largest first."""
        place = np.argsort(np.argsort(-order.reshape(-1, PAGE), axis=1), axis=1).ravel() + 1
        self.asks = self.asks.with_columns(position=pl.Series(place.astype(np.int64)))


__all__ = ["BUSINESS", "DAY", "FEATURES", "HOUR", "KINDS", "START", "Concept", "World", "model"]
