"""A bare packed MGET, the least that reading from Redis or Valkey can cost: a key an entity, ten floats and a time."""

from __future__ import annotations

from struct import Struct

import polars as pl
import redis

from bench.clock import each
from bench.features import asked
from bench.features.sizes import DATA, WIDE

_PACKED = Struct(f"<q{len(WIDE)}d")


def _key(entity: int) -> bytes:
    return b"bare:%d" % entity


def fill(url: str) -> None:
    """The last values of every entity."""
    client = redis.Redis.from_url(url)
    last = pl.read_parquet(DATA / "profiles.parquet").sort("event_time").group_by("entity").last()
    rows = last.select("entity", pl.col("event_time").to_physical(), *WIDE).iter_rows()
    client.mset({_key(entity): _PACKED.pack(*values) for entity, *values in rows})


def online(entities: int, calls: int, url: str) -> dict[str, float]:
    """Values and times of so many entities."""
    client = redis.Redis.from_url(url)
    unpack = _PACKED.unpack

    def read(keys: list[bytes]) -> list[tuple[float, ...]]:
        return [unpack(value) for value in client.mget(keys)]

    return each(read, [[_key(number) for number in some] for some in asked.entities(entities, calls)])
