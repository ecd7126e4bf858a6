"""Ingest: what is bad is set apart or refused by name, before anything of it is in the record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from backstay.core.errors import InputError
from backstay.project import Project

MODELS = """import polars as pl
from backstay import Contract, Count, CsvFiles, Entity, EventSource, Expect, FeatureSet, Last, Sum, Windowed

files = CsvFiles("pays")
pays = EventSource("pays", schema={"who": "string", "w": "string"}, timezone="UTC", read=files, {CONTRACT})
number = pl.col("w").cast(pl.Float64)
one = FeatureSet("one", [Windowed(pays, by=Entity("who"), over="1d", n=Count(), x=Sum(number), last=Last("w"))])
"""
SAID = "one.who_x_1d cannot be computed: conversion from `str` to `f64` failed in column 'w'"


def project(folder: Path, contract: str) -> Project:
    (folder / "backstay.toml").write_text('[project]\nname = "shop"\n')
    (folder / "models.py").write_text(MODELS.replace("{CONTRACT}", contract))
    (folder / "pays").mkdir(exist_ok=True)
    rows = ["2024-05-01T10:00,a,1", "2024-05-01T11:00,a,abc", "2024-05-01T12:00,a,2"]
    (folder / "pays/1.csv").write_text("\n".join(["event_time,who,w", *rows]))
    return Project(folder)


def test_a_row_that_a_feature_cannot_be_computed_of_goes_to_quarantine(tmp_path: Path) -> None:
    shop = project(tmp_path, 'contract=Contract(Expect.not_null("who"))')
    (told,) = shop.ingest()
    assert (told.added, told.reasons) == (2, {SAID: 1})
    assert shop.ingest()[0].quarantined == 0
    (bad,) = shop.quarantine("pays")
    assert (bad.expectation, bad.examples[0]["row"]["w"]) == ("feature", "abc")
    asked = pl.DataFrame({"at": [datetime(2024, 5, 1, 13, tzinfo=UTC)], "who": ["a"]})
    assert shop.features.historical(asked).frame.get_column("who_x_1d").to_list() == [3.0]
    shop.close()


def test_without_a_contract_it_refuses_the_batch_by_the_features_name(tmp_path: Path) -> None:
    shop = project(tmp_path, "")
    with pytest.raises(InputError) as caught:
        shop.ingest()
    assert f"1 of 3 events: {SAID}, such as 'abc'" in str(caught.value)
    assert "models.py:5" in str(caught.value)
    assert "strict=False" in caught.value.fix
    assert shop.services.events.last_sequence("pays") == 0
    shop.close()


def test_what_only_stands_for_never_does_not_stop_a_source(tmp_path: Path) -> None:
    """A database's "infinity", read as the largest integer, over which Polars panics."""
    source = 'EventSource("pays", schema={"who": "string"}, timezone="UTC", read=ParquetFiles("pays"), contract=held)'
    (tmp_path / "backstay.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "models.py").write_text(
        f'from backstay import *\nheld = Contract(Expect.not_null("who"))\npays = {source}\n'
        'one = FeatureSet("one", [Windowed(pays, by=Entity("who"), over="1d", n=Count())])\n'
    )
    (tmp_path / "pays").mkdir()
    times = pl.Series([2**63 - 1, -(2**63) + 1, 1_714_564_800_000_000]).cast(pl.Datetime("us"))
    pl.DataFrame({"event_time": times, "who": ["a", "b", "c"]}).write_parquet(tmp_path / "pays/1.parquet")
    shop = Project(tmp_path)
    (told,) = shop.ingest()
    assert (told.added, told.reasons) == (1, {"event_time is outside the years 1 to 9999 in UTC": 2})
    assert (shop.ingest()[0].added, shop.ingest()[0].quarantined) == (0, 0)
    shop.close()
