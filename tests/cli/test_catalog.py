"""`features list | show | search`: the catalogue, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Life, Run, write_project
from tests.project.library import MODELS

Cli = Callable[..., Run]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two feature sets, nothing ingested."""
    return write_project(tmp_path_factory.mktemp("library"), MODELS)


def test_list(cli: Cli, life: Life) -> None:
    (one,) = cli("features", "list", "--project", life.project, "--json").json["feature_sets"]
    assert (one["name"], one["models"], one["keys"]) == ("order", ["late"], ["shop"])
    features = {feature["name"]: feature for feature in one["features"]}
    assert features["shop_late_1d"] == {
        "name": "shop_late_1d", "kind": "share", "type": "float", "source": "orders", "entity": "shop", "window": "1d",
        "max_age": None, "default": 0.5, "in_vector": True,
    }  # fmt: skip
    assert features["shop_last_size"]["max_age"] == "2d"
    assert features["size_ratio"]["source"] is None
    assert one["sources"][0]["source"] == "orders"
    assert one["sources"][0]["events"] == 3000
    run = cli("features", "list", "--project", life.project)
    assert run.out.splitlines()[2].split()[:2] == ["order", "7"]
    assert run.err.splitlines()[-1] == f"next: backstay features show order --project {life.project}"


def test_list_tells_whose_it_is_and_who_uses_it(cli: Cli, library: Path) -> None:
    rows = cli("features", "list", "--project", library).out.splitlines()
    assert rows[0].split()[:4] == ["feature", "set", "features", "owner"]
    assert rows[2].split()[:3] == ["spending", "9", "risk"]
    for word in ("pii,", "scoring", "payments", "empty"):
        assert word in " ".join(rows[2:])


def test_show_a_feature_set(cli: Cli, life: Life) -> None:
    told = cli("features", "show", "order", "--project", life.project, "--json").json
    (version,) = told["versions"]
    assert (version["model"], version["number"], version["champion"]) == ("late", 1, True)
    assert Path(told["place"].rpartition(":")[0]).name == "models.py"
    out = cli("features", "show", "order", "--project", life.project).out
    for feature in told["features"]:
        assert f"\n{feature['name']} " in out
    assert "champion" in out
    assert told["place"] in out.replace("\n", "")


def test_show_a_feature_with_its_lineage(cli: Cli, library: Path) -> None:
    told = cli("features", "show", "basket_ratio", "--project", library, "--json").json
    assert told["made_of"] == ["basket", "customer_amount_7d"]
    assert {"source": "payments", "column": "amount", "tags": []} in told["columns"]
    out = cli("features", "show", "basket_ratio", "--project", library).out
    assert ["payments", "amount", "-"] in [line.split() for line in out.splitlines()]
    assert ["the", "request", "basket", "-"] in [line.split() for line in out.splitlines()]
    assert ["payments", "customer", "personal"] in [line.split() for line in out.splitlines()]
    assert "the basket against the usual payment" in out
    band = cli("features", "show", "age_band", "--project", library).out
    assert "pii removed" in band
    assert "ten bands" in band


def test_show_what_is_not_there_or_there_twice(cli: Cli, library: Path) -> None:
    run = cli("features", "show", "age_bnd", "--project", library)
    assert (run.code, run.out) == (2, "")
    assert "did you mean age_band" in run.err
    twice = cli("features", "show", "basket", "--project", library, "--json")
    assert twice.code == 2
    assert twice.json["expected"] == "one of spending.basket, browsing.basket"
    assert cli("features", "show", "browsing.basket", "--project", library).code == 0


def test_search(cli: Cli, library: Path) -> None:
    run = cli("features", "search", "usual", "payment", "--project", library)
    assert run.code == 0
    assert run.out.splitlines()[2].split()[:3] == ["basket_ratio", "derived", "spending"]
    assert run.err.splitlines()[-1] == f"next: backstay features show basket_ratio --project {library}"
    told = cli("features", "search", "basket", "--project", library, "--json").json
    assert told["words"] == ["basket"]
    assert [one["name"] for one in told["found"]][:2] == ["basket", "basket"]
    assert told["found"][0].keys() == {
        "name", "kind", "feature_set", "description", "owner", "tags", "score", "matched",
    }  # fmt: skip


def test_search_for_what_is_not_there(cli: Cli, library: Path) -> None:
    run = cli("features", "search", "spendig", "--project", library)
    assert (run.code, run.out.strip()) == (0, "nothing has all of these words")
    assert "did you mean: spending" in run.err
    assert cli("features", "search", "spendig", "--project", library, "--json").json["did_you_mean"][0] == "spending"
