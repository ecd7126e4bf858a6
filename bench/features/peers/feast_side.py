"""Feast, with the configurations in `feast_store/`: offline on Dask and DuckDB, online on SQLite and Redis."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from pathlib import Path

import pandas as pd
import polars as pl
from feast import FeatureStore

from bench.clock import each, timed
from bench.features import asked
from bench.features.peers.feast_store import definitions
from bench.features.sizes import COLUMNS, DATA, ENTITIES, SOURCES, WIDE

_CONFIGURATIONS = Path(__file__).parent / "feast_store"
_PROFILE = [f"profiles:{name}" for name in WIDE]

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def _store(configuration: str, redis: str | None = None, *, new: bool = False) -> FeatureStore:
    """A repository of its own for each configuration."""
    if redis is not None:
        os.environ["BENCH_REDIS"] = redis
    folder = DATA / "feast" / configuration
    if new:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_CONFIGURATIONS / f"{configuration}.yaml", folder / "feature_store.yaml")
    return FeatureStore(repo_path=str(folder))


def latest(labels: str, engine: str, out: str | None = None) -> dict[str, float]:
    """The latest values of both sources for a frame of labels."""
    store = _store(engine, new=True)
    store.apply([definitions.entity, *definitions.offline])
    rows = pd.read_parquet(DATA / f"{labels}.parquet").rename(columns={"at": "event_timestamp"})
    names = [f"{source}:{name}" for source in SOURCES for name in COLUMNS]
    seconds, made = timed(lambda: store.get_historical_features(rows, features=names, full_feature_names=True).to_df())
    if out is not None:
        made.rename(columns=lambda name: name.replace("__", "_")).to_parquet(out)
    return {"seconds": seconds}


def fill(configuration: str, redis: str | None = None) -> None:
    """The last values of every entity, as a push would write them."""
    store = _store(configuration, redis, new=True)
    store.apply([definitions.entity, definitions.profiles])
    last = pl.read_parquet(DATA / "profiles.parquet").sort("event_time").group_by("entity").last()
    store.write_to_online_store("profiles", df=last.to_pandas())


def online(
    entities: int, calls: int, configuration: str, redis: str | None = None, out: str | None = None
) -> dict[str, float]:
    """Ten features of so many entities at once."""
    store = _store(configuration, redis)

    def read(rows: list[dict[str, int]]) -> dict[str, list[float]]:
        return store.get_online_features(features=_PROFILE, entity_rows=rows).to_dict()

    if out is not None:
        pd.DataFrame(read([{"entity": number} for number in range(ENTITIES)])).to_parquet(out)
        return {}
    return each(read, [[{"entity": number} for number in some] for some in asked.entities(entities, calls)])
