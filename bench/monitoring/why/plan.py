"""What a loop does: which world, which way of serving, and what is planted into it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stale:
    """The online state is behind: it stopped at a moment, or lags all the time.

    source: whose events it has not seen; lag: days behind; stopped: whether it stood still from `begin` (a day of the
    online period) on; cached: whether what answered was a cache in front, so that the watermark says it was up to date
    """

    source: str
    lag: float
    begin: float
    stopped: bool
    cached: bool


@dataclass(frozen=True)
class Units:
    """From a day of the online period on a number comes in another unit: value * factor + offset.

    where: a request field ("price", "distance"), or a source's column ("seconds" of views, "stars" of ratings)
    asked: whether the asks record shows what was sent, or what was meant
    share: of the requests, those of clients that were updated
    """

    where: str
    factor: float
    offset: float
    begin: float
    asked: bool
    share: float = 1.0


@dataclass(frozen=True)
class Default:
    """The features of some listings are not there online.

    share: of listings, or of requests; how: "never" (their state was never filled), "degraded" (the store did not
    answer, and the declared defaults were served, as the record says)
    """

    share: float
    how: str
    begin: float


@dataclass(frozen=True)
class Zone:
    """The local time that clients send is off by whole hours from a day of the online period on; of a share of them."""

    hours: int
    begin: float
    asked: bool
    share: float = 1.0


@dataclass(frozen=True)
class Late:
    """Ratings become known days after they happen; the history was imported as if they had been known at once."""

    days: float


@dataclass(frozen=True)
class Delay:
    """Outcomes take their time: mean days for good ones (those with high odds take `slower` times as long) and others.

    seen: days after the end of the online period at which it is looked at
    """

    good: float
    bad: float
    slower: float
    seen: float


@dataclass(frozen=True)
class Shift:
    """This share of asks is about the kinds that nobody can tell."""

    hard: float
    begin: float


@dataclass(frozen=True)
class Turned:
    """What bookings hang on changes: factors of the weights of stars, views, price and hour."""

    stars: float
    views: float
    price: float
    hour: float
    begin: float


@dataclass(frozen=True)
class Layout:
    """The list is ordered by something that has nothing to do with what it was ordered by before."""

    eta: float


@dataclass(frozen=True)
class Policy:
    """Only what the policy of the day lets through has an outcome; with the version, more is let through.

    before, after: the share that is let through; explore: how often a decision is turned over
    """

    before: float
    after: float
    explore: float


@dataclass(frozen=True)
class Feedback:
    """What is chosen is seen more, and so chosen more; every version is trained on what the one before it chose.

    chosen: the share that is chosen; exposure: views that each choice leads to; drift: how far kinds that nobody chose
    come into fashion meanwhile; explore: how often decisions are turned over, from the last version on
    """

    chosen: float
    exposure: float
    drift: float
    explore: float


@dataclass(frozen=True)
class Proxy:
    """What is booked more often is worth less: by `harm` a unit of the log-odds; below 0 it is worth more."""

    harm: float


@dataclass(frozen=True)
class Plan:
    """A loop.

    flow:    "single": one version on a history that is labelled whole; "policy", "feedback", "proxy": several versions
    shock:   how far one day differs from the next, on the scale of log-odds: rows of a day lean on each other
    inflation: by how much prices rise in the online period: a little, so that next to nothing is lost
    horizon: days in which an outcome happens; display: pages of listings, looked at from the top
    mended:  causes whose fix is applied
    """

    seed: int
    metric: str = "auc"
    occurrence: bool = False
    horizon: int = 3
    flow: str = "single"
    display: bool = False
    eta: float = 0.0
    business: bool = False
    threshold: float = 0.5
    daily: int = 252
    memory: float = 0.5
    every: float = 1.5
    shock: float = 0.0
    inflation: float = 0.0
    stale: Stale | None = None
    units: Units | None = None
    default: Default | None = None
    zone: Zone | None = None
    late: Late | None = None
    delay: Delay | None = None
    shift: Shift | None = None
    turned: Turned | None = None
    layout: Layout | None = None
    policy: Policy | None = None
    feedback: Feedback | None = None
    proxy: Proxy | None = None
    mended: tuple[str, ...] = field(default=())
