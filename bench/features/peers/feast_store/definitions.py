"""The bench's features in Feast's words."""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float64, Int64
from feast.value_type import ValueType

from bench.features.sizes import COLUMNS, DATA, SOURCES, WIDE

entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)


def view(name: str, columns: tuple[str, ...], *, online: bool) -> FeatureView:
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=timedelta(0),  # no limit
        schema=[Field(name="entity", dtype=Int64), *(Field(name=column, dtype=Float64) for column in columns)],
        source=FileSource(name=f"{name}_file", path=str(DATA / f"{name}.parquet"), timestamp_field="event_time"),
        online=online,
    )


offline = [view(name, COLUMNS, online=False) for name in SOURCES]
profiles = view("profiles", WIDE, online=True)
