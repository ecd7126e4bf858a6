"""Many rows in one request by key: answered in order, all or none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving import shop
from tests.serving.shop import Server, live


def rows(count: int) -> list[dict[str, Any]]:
    return [live(shop=f"shop{place % 7}", size=10.0 + place) for place in range(count)]


def test_rows_are_answered_in_their_order_as_each_alone(producing: Server) -> None:
    asked = rows(20)
    status, answer = producing.predict({"rows": asked})
    assert status == 200, answer
    assert (answer["model"], answer["version"], len(answer["rows"])) == ("late", 1, 20)
    for row, told in zip(asked[::7], answer["rows"][::7], strict=True):
        alone = producing.predict(row)[1]
        assert (told["score"], told["decision"], told["statuses"]) == (
            alone["score"], alone["decision"], alone["statuses"],
        )  # fmt: skip
    logged = {one.id: one for one in shop.logged(producing.path)}
    written = [logged[one["prediction_id"]] for one in answer["rows"]]
    assert [one.fields["size"] for one in written] == [10.0 + place for place in range(20)]
    assert {one.at for one in written} == {answer["at"]}


def test_no_rows_have_no_answers(producing: Server) -> None:
    status, answer = producing.predict({"rows": []})
    assert (status, answer["rows"]) == (200, [])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"size": "x"}, "rows[3].fields.size"),
        ({"counter": "x"}, "rows[3].keys.counter"),
        ({"due": "soon"}, "rows[3].fields.due"),
    ],
)
def test_one_bad_row_names_its_place_and_nothing_is_predicted(
    producing: Server, change: dict[str, Any], field: str
) -> None:
    before = len(shop.logged(producing.path))
    asked = rows(6)
    asked[3] = live(**change)
    status, answer = producing.predict({"rows": asked})
    assert (status, answer["field"]) == (400, field)
    assert len(shop.logged(producing.path)) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rows": {}}, "rows"),
        ({"rows": [7]}, "rows[0]"),
        ({"rows": [], "keys": {}}, "body.keys"),
        ({"rows": [{}] * 1_025}, "rows"),
        ({"rows": [live() | {"at": 5}]}, "rows[0].at"),
    ],
)
def test_what_are_no_rows_is_refused(administered: Server, body: Any, field: str) -> None:
    status, answer = administered.predict(body)
    assert (status, answer["field"]) == (400, field)
