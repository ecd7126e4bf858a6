"""A compacted prediction log says what it said before, bit for bit, beside a running server too."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from backstay.project import Project
from backstay.storage.predictions import encode
from tests.serving import shop


def test_nothing_changes_but_the_place(life: Path) -> None:
    project = Project(life)
    before = shop.logged(life)
    proof, quality = project.verify("late").as_dict(), project.quality("late")
    newest, traced = project.predictions(limit=7), project.trace(before[150].id).as_dict()
    told: list[tuple[str, int, int]] = []
    assert project.compact(progress=lambda *step: told.append(step)).predictions == len(before)
    assert told[-1][1] == told[-1][2] > 0
    assert list(map(encode, shop.logged(life))) == list(map(encode, before))
    assert project.verify("late").as_dict() == proof
    assert proof["holds"]
    assert project.quality("late") == quality
    assert project.predictions(limit=7) == newest
    assert project.trace(before[150].id).as_dict() == traced
    assert project.compact().predictions == 0


def test_values_have_the_names_of_their_features(life: Path) -> None:
    project = Project(life)
    project.compact()
    first = shop.logged(life)[0]
    row = pl.scan_delta(str(life / ".backstay" / "predictions")).sort("sequence").collect().row(0, named=True)
    names = [feature.name for feature in project.model("late").features]
    assert list(json.loads(row["values"])) == names
    assert json.loads(row["values"])["shop_orders_7d"] == first.values[names.index("shop_orders_7d")]
    assert set(json.loads(row["statuses"]).values()) <= {"NULL", "MISSING", "EXPIRED"}


def test_beside_a_running_server(path: Path) -> None:
    with shop.Server(path, "--replay") as server:
        ids = [server.predict(shop.request())[1]["prediction_id"] for _ in range(3)]
    with shop.Server(path, "--replay") as server:
        ids += [server.predict(shop.request())[1]["prediction_id"] for _ in range(3)]
        assert Project(path).compact().predictions == 3  # what the running server writes to stays as it is
        ids += [server.predict(shop.request())[1]["prediction_id"] for _ in range(3)]
        assert [one.id for one in shop.logged(path)] == ids
    assert Project(path).tick("late").compacted.predictions == 6
    assert [one.id for one in shop.logged(path)] == ids
