"""Predictions as rows of their table: what other tools query, and what a scan reads back.

    sequence                                the row's number, in the order of compaction
    id, model, version, route, feature_set  text
    at, served_at                           timestamp: T, and when it was answered
    score, propensity                       as served
    decision, replayed, given               as served
    keys, fields, watermark                 JSON objects
    values                                  a JSON object: feature to value (times in microseconds; not finite is null)
    statuses                                a JSON object: feature to status, of those that are not OK
    record, crc                             the record itself, bit for bit, and its CRC-32

What varies with the feature set is JSON, so that the table's columns stay as they are when features come and go.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from backstay.core.errors import IntegrityError
from backstay.storage.backends.local.table import SLACK, Bounds
from backstay.storage.ports import SEQUENCE
from backstay.storage.predictions import STATUSES, Prediction, Wanted, decode
from backstay.storage.schema import INSTANT

BOUND = ("at", "served_at", "id", "model")
"""The columns that predictions are looked up by."""
RECORD = ("record", "crc")

_TEXT, _REAL = pl.String(), pl.Float64()
SCHEMA = pl.Schema(
    {
        "id": _TEXT, "at": INSTANT, "served_at": INSTANT, "model": _TEXT, "version": _TEXT, "route": _TEXT,
        "feature_set": _TEXT, "score": _REAL, "decision": pl.Boolean(), "propensity": _REAL, "replayed": pl.Boolean(),
        "given": pl.Boolean(),
        "keys": _TEXT, "fields": _TEXT, "watermark": _TEXT, "values": _TEXT, "statuses": _TEXT,
        "record": pl.Binary(), "crc": pl.Int64(), SEQUENCE: pl.Int64(),
    }
)  # fmt: skip
_PLAIN = ("id", "at", "served_at", "model", "version", "route", "feature_set", "score", "decision", "propensity",
          "replayed", "given")  # fmt: skip

_json = msgspec.json.Encoder()


def rows(records: Sequence[tuple[Prediction, bytes]], names: Mapping[str, Sequence[str]], first: int) -> pl.DataFrame:
    """The rows of some predictions and their payloads, numbered from `first`.

    Features of a set that `names` lacks are called by their place, from 0.
    """
    columns: dict[str, list[Any]] = {name: [getattr(one, name) for one, _ in records] for name in _PLAIN}
    for name in ("keys", "fields", "watermark"):
        columns[name] = [_text(getattr(one, name)) for one, _ in records]
    values, statuses = [], []
    for one, _ in records:
        called = names.get(one.feature_set, ())
        if len(called) != len(one.values):
            called = [str(place) for place in range(len(one.values))]
        values.append(_text(dict(zip(called, one.values, strict=True))))
        told = zip(called, one.statuses, strict=False)
        statuses.append(_text({name: STATUSES[status] for name, status in told if status}))
    columns |= {"values": values, "statuses": statuses}
    columns["record"] = [payload for _, payload in records]
    columns["crc"] = [zlib.crc32(payload) for _, payload in records]
    columns[SEQUENCE] = list(range(first, first + len(records)))
    return pl.DataFrame(columns, schema=SCHEMA)


def predictions(frame: pl.DataFrame) -> Iterator[Prediction]:
    """The predictions behind the columns `RECORD`, each held against its checksum."""
    for payload, crc in frame.select(RECORD).iter_rows():
        if zlib.crc32(payload) != crc:
            raise IntegrityError(
                "a prediction record is damaged",
                where="the table of predictions",
                expected="a record whose checksum matches",
                fix="restore the table from a backup",
            )
        yield decode(payload)


def _text(value: object) -> str:
    return _json.encode(value).decode()


@dataclass(frozen=True, slots=True)
class Sought(Bounds):
    """The rows, and the files, that a `Wanted` asks for."""

    wanted: Wanted

    def rows(self) -> pl.Expr:
        wanted, keep = self.wanted, pl.lit(True)
        if wanted.model is not None:
            keep &= pl.col("model") == wanted.model
        if wanted.since is not None:
            keep &= pl.col("at") >= pl.lit(wanted.since, dtype=INSTANT)
        if wanted.until is not None:
            keep &= pl.col("at") < pl.lit(wanted.until, dtype=INSTANT)
        if wanted.ids is not None:
            keep &= pl.col("id").is_in(list(wanted.ids))
        return keep

    def files(self) -> pl.Expr:
        wanted, keep = self.wanted, pl.lit(True)
        if wanted.model is not None:
            keep &= pl.lit(wanted.model).is_between(pl.col("min_model"), pl.col("max_model")).fill_null(True)
        if wanted.since is not None:
            keep &= (pl.col("max_at") > wanted.since - SLACK).fill_null(True)
        if wanted.until is not None:
            keep &= (pl.col("min_at") < wanted.until).fill_null(True)
        if wanted.ids:
            overlap = (pl.col("min_id") <= max(wanted.ids)) & (pl.col("max_id") >= min(wanted.ids))
            keep &= overlap.fill_null(True)
        return keep


@dataclass(frozen=True, slots=True)
class Numbered(Bounds):
    """The rows of these numbers."""

    numbers: pl.Series

    def rows(self) -> pl.Expr:
        return pl.col(SEQUENCE).is_in(self.numbers.implode())

    def files(self) -> pl.Expr:
        return pl.lit(True)
