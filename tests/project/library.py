"""A project with two feature sets, owners, descriptions and tags: what a catalogue is for."""

from __future__ import annotations

from pathlib import Path

MODELS = '''"""A shop and its customers."""

from datetime import UTC, datetime, timedelta

import polars as pl

from backstay import Ask, Count, Derived, Entity, EventSource, FeatureSet, Label, Latest, Model, Request, Windowed
from backstay import Mean


def history() -> pl.DataFrame:
    number = pl.int_range(600, eager=True)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return pl.DataFrame({
        "event_time": [start + timedelta(hours=n) for n in range(600)],
        "customer": "c" + (number % 5).cast(pl.String), "age": (number % 50 + 18).cast(pl.Float64),
        "amount": (number * 7919 % 100).cast(pl.Float64), "id": "p" + number.cast(pl.String),
        "late": number * 104729 % 7 > 3,
    })


payments = EventSource(
    "payments",
    schema={"customer": "string", "age": "float", "amount": "float", "id": "string", "late": "bool"},
    read=history, owner="billing", description="every card payment",
    tags={"customer": ["personal"], "age": ["pii"]},
)
visits = EventSource("visits", schema={"customer": "string", "page": "string"}, owner="web", tags=["web"])
customer = Entity("customer")
spending = FeatureSet(
    "spending",
    [
        Windowed(payments, by=customer, over=["1d", "7d"], amount=Mean("amount"), payments=Count()),
        Latest(payments, by=customer, max_age="30d", age="age"),
        Request(basket="float"),
        Derived(age_band=pl.col("customer_age") // 10, basket_ratio=pl.col("basket") / pl.col("customer_amount_7d")),
        Derived(mixed=pl.col("age_band") + pl.col("basket_ratio")),
    ],
    owner="risk", description="what a customer spends",
    descriptions={"basket_ratio": "the basket against the usual payment"},
    defaults={"customer_amount_7d": 50.0},
    tags={"basket_ratio": ["reviewed"]},
    untag={"age_band": {"pii": "ten bands of some hundred thousand people each"}},
)
browsing = FeatureSet(
    "browsing",
    [Windowed(visits, by=customer, over="1d", visits=Count()), Request(basket="float")],
    owner="growth",
)


def estimator():
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=3, num_leaves=4, min_child_samples=5, n_jobs=1, verbose=-1)


label = Label("late", source=payments, key="id", value=pl.col("late"), horizon="2h")
ask = Ask(payments, fields={"basket": "amount"})
risk = Model("risk", features=spending, label=label, ask=ask, estimator=estimator)
scoring = Model("scoring", features=spending, label=label, ask=ask, estimator=estimator)
growth = Model("growth", features=browsing, label=label, ask=ask, estimator=estimator)
'''


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "backstay.toml").write_text('[project]\nname = "library"\n')
    (folder / "models.py").write_text(MODELS)
    return folder
