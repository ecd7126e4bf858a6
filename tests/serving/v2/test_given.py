"""Predictions from the model's inputs in the rest of the house: parity, quality, trace and the list of predictions."""

from __future__ import annotations

import json
from pathlib import Path

from backstay.project import Project
from tests.serving import shop
from tests.serving.shop import Server, live


def test_predictions_from_given_inputs_are_known_for_what_they_are(path: Path) -> None:
    with Server(path) as server:
        width = server.ask("GET", "/v2/models/late")[1]["inputs"][0]["shape"][1]
        vector = {"name": "features", "shape": [1, width], "datatype": "FP32", "data": [None] + [2.0] * (width - 1)}
        keyed = {"name": "order", "shape": [1], "datatype": "BYTES", "data": ["o2100"]}
        ids = []
        for inputs in ([vector], [vector, keyed]):
            status, answer = server.ask("POST", "/v2/models/late/infer", json.dumps({"inputs": inputs}).encode())
            assert status == 200, answer
            ids.append(answer["outputs"][2]["data"][0])
        assert server.predict(live())[0] == 200
    project = Project(path)
    report = project.verify("late")
    assert (report.logged, report.given, report.checked, report.holds) == (3, 2, 1, True)
    assert {one.id for one in project.predictions("late")} >= set(ids)
    bare, with_key = (project.trace(one).as_dict() for one in ids)
    assert {one["from"] for one in bare["features"]} == {"the request"}
    assert [one["status"] for one in bare["features"]].count("OK") == width - 1
    assert (bare["label"]["keyed"], with_key["label"]["keyed"]) == (False, True)
    (week,) = project.quality("late")
    assert week.served == 2  # the one without the label's key can't be joined
    logged = {one.id: one for one in shop.logged(path)}
    assert logged[ids[0]].given
    assert logged[ids[1]].keys == {"order": "o2100"}
    project.close()
