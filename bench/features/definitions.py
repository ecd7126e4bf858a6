"""What is measured of ours, declared as a user declares it."""

from __future__ import annotations

from typing import Any

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
    ParquetFiles,
    Request,
    Sum,
    Windowed,
)  # fmt: skip
from bench.features.sizes import AVERAGES, COLUMNS, DATA, SOURCES, WIDE, window

entity = Entity("entity")


def source(name: str, columns: tuple[str, ...], **more: Any) -> EventSource:
    schema = {"entity": "int", **dict.fromkeys(columns, "float")}
    return EventSource(name, schema=schema, read=ParquetFiles(str(DATA / f"{name}.parquet")), **more)


clicks, payments = (source(name, COLUMNS) for name in SOURCES)
visits = source("visits", ("x",), known_time="known_time")
profiles = source("profiles", WIDE)
pushed = EventSource("pushed", schema={"entity": "int", "x": "float", "kind": "string"})

AGGREGATES = {"count": Count(), "sum": Sum("x"), "mean": Mean("x"), "min": Min("x"), "max": Max("x")}

latest = FeatureSet(
    "latest",
    [Latest(one, by=entity, **{f"{one.name}_{name}": name for name in COLUMNS}) for one in (clicks, payments)],
)
windows = {
    average: FeatureSet(f"windows{average}", [Windowed(visits, by=entity, over=f"{window(average)}s", **AGGREGATES)])
    for average in AVERAGES
}
profile = FeatureSet("profile", [Latest(profiles, by=entity, **{name: name for name in WIDE})])
arrivals = FeatureSet(
    "arrivals", [Windowed(pushed, by=entity, over="1h", **AGGREGATES), Latest(pushed, by=entity, x="x", kind="kind")]
)

SHORT, LONG = (f"entity_{{}}_{length}" for length in ("1h", "1d"))
scored = FeatureSet(
    "scored",
    [
        Windowed(visits, by=entity, over=["1h", "1d"], **AGGREGATES),
        Latest(visits, by=entity, x="x"),
        Request(amount="float", moment="datetime"),
        Derived(
            ratio=pl.col("amount") / pl.col(LONG.format("mean")),
            over=pl.col("amount") - pl.col(LONG.format("max")),
            under=pl.col("amount") - pl.col(LONG.format("min")),
            change=pl.col(SHORT.format("mean")) / pl.col(LONG.format("mean")),
            share=pl.col(SHORT.format("count")) / pl.col(LONG.format("count")),
            width=pl.col(LONG.format("max")) - pl.col(LONG.format("min")),
            size=pl.col("amount").log1p(),
            repeated=pl.col("amount") == pl.col("entity_x"),
            hour=pl.col("moment").dt.convert_time_zone("America/New_York").dt.hour(),
            night=pl.col("moment").dt.convert_time_zone("America/New_York").dt.hour().is_between(0, 5),
        ),
    ],
)


def estimator() -> Any:
    """No model is trained here; a feature set is served for one."""
    raise NotImplementedError


label = Label("high", source=visits, key="entity", value=pl.col("x") > 100, horizon="1d")


def model(features: FeatureSet, **fields: str) -> Model:
    """Feature sets are named by models; no more is done with these."""
    return Model(features.name, features=features, label=label, ask=Ask(visits, fields=fields), estimator=estimator)


latest_model, profile_model, arrivals_model = model(latest), model(profile), model(arrivals)
few_model, some_model, many_model = (model(windows[average]) for average in AVERAGES)
scored_model = model(scored, amount="x", moment="event_time")
