"""What is served in the bench, declared as a user declares it: stored, windowed, derived and request-time features."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from backstay import (
    Ask,
    Count,
    Derived,
    Entity,
    EventSource,
    FeatureSet,
    Label,
    Latest,
    Max,
    Mean,
    Min,
    Model,
    Request,
    Sum,
    Windowed,
)  # fmt: skip

CUSTOMERS, EVENTS, DAYS = 2_000, 60_000, 30


def payments_of_a_month() -> pl.DataFrame:
    """Payments of the last 30 days: large ones, and those of some customers, are disputed more often."""
    random = np.random.default_rng(7)
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    second = np.sort(random.integers(0, DAYS * 86_400, EVENTS))
    customer, amount = random.integers(0, CUSTOMERS, EVENTS), random.gamma(2.0, 40.0, EVENTS)
    risk = 0.02 + 0.2 * (amount > 120) + 0.1 * (customer % 7 == 0)
    return pl.DataFrame(
        {
            "event_time": pl.Series([start + timedelta(seconds=int(one)) for one in second]),
            "customer": customer,
            "payment": np.arange(EVENTS),
            "amount": amount,
            "items": random.integers(1, 9, EVENTS),
            "disputed": random.random(EVENTS) < risk,
        }
    )


customer = Entity("customer")
payments = EventSource(
    "payments",
    schema={"customer": "int", "payment": "int", "amount": "float", "items": "int", "disputed": "bool"},
    read=payments_of_a_month,
)
LONG = "customer_{}_7d"
features = FeatureSet(
    "payment",
    [
        Windowed(
            payments, by=customer, over=["1d", "7d"],
            count=Count(), sum=Sum("amount"), mean=Mean("amount"), low=Min("amount"), high=Max("amount"),
        ),
        Latest(payments, by=customer, last="amount", bought="items"),
        Request(amount="float", items="int", moment="datetime"),
        Derived(
            ratio=pl.col("amount") / pl.col(LONG.format("mean")),
            over=pl.col("amount") - pl.col(LONG.format("high")),
            size=pl.col("amount").log1p(),
            each=pl.col("amount") / pl.col("items"),
            hour=pl.col("moment").dt.convert_time_zone("America/New_York").dt.hour(),
            repeated=pl.col("amount") == pl.col("customer_last"),
        ),
    ],
)  # fmt: skip


def estimator() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=100, num_leaves=31, min_child_samples=20, n_jobs=1, verbose=-1)


high = Model(
    "high",
    features=features,
    label=Label("disputed", source=payments, key="payment", value=pl.col("disputed"), horizon="1d"),
    ask=Ask(payments, before="1m", fields={"moment": "event_time"}),
    estimator=estimator,
)
