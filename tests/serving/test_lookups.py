"""Lookups over HTTP: many entities in one round trip, the same values as in process, errors that name the row."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from backstay.project import Project
from tests.serving.shop import Server, event, request
from tests.serving.test_access import bearer

PATH = "/v1/features/order"


def row(**changes: Any) -> dict[str, Any]:
    asked = request(**changes)
    del asked["keys"]["order"], asked["at"]
    return asked


def look_up(server: Server, *rows: Any, **more: Any) -> tuple[int, Any]:
    return server.ask("POST", PATH, json.dumps({"rows": rows, **more}).encode())


def test_many_rows_are_what_they_are_in_process(path: Path) -> None:
    project = Project(path)
    project.backfill()  # as the server does at its start
    rows = [row(shop=f"shop{number % 9}", counter=number % 6, note=None) for number in range(100)]
    rows[3]["keys"]["shop"] = None
    with Server(path) as server:
        status, answer = look_up(server, *rows)
    assert status == 200
    assert (answer["feature_set"], answer["hash"]) == ("order", project.definitions.feature_set("order").hash)
    again = project.features.online([{**one["keys"], **one["fields"]} for one in rows], at=answer["at"])
    assert answer["rows"] == [{"values": o.values, "statuses": o.statuses, "ages": o.ages} for o in again]
    known, unknown, nobody = answer["rows"][0], answer["rows"][8], answer["rows"][3]
    assert known["statuses"]["shop_last_size"] == "EXPIRED"
    assert known["ages"]["shop_last_size"] > 0
    for one in (unknown, nobody):
        assert (one["statuses"]["shop_last_size"], one["ages"]["shop_last_size"]) == ("MISSING", None)
        assert one["values"]["shop_late_1d"] == 0.5  # the declared default
    project.close()


def test_a_pushed_event_is_seen_at_once(path: Path) -> None:
    with Server(path) as server:
        body = {"events": [event(shop="shop new", size=12.0)]}
        assert server.ask("POST", "/v1/sources/orders/events", json.dumps(body).encode())[0] == 200
        _, answer = look_up(server, row(shop="shop new"))
        assert answer["rows"][0]["values"]["shop_orders_7d"] is not None
        assert answer["rows"][0]["statuses"]["shop_last_size"] in ("OK", "EXPIRED")


def test_requests_in_flight_get_each_their_own(replaying: Server) -> None:
    at = request()["at"]
    alone = [look_up(replaying, row(shop=f"shop{number}"), at=at)[1] for number in range(7)]
    got: dict[tuple[int, int], Any] = {}

    def ask(number: int, turn: int) -> None:
        got[number, turn] = look_up(replaying, row(shop=f"shop{number}"), at=at)[1]

    threads = [threading.Thread(target=ask, args=(number, turn)) for number in range(7) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 28
    assert all(answer == alone[number] for (number, _), answer in got.items())
    assert len({json.dumps(one["rows"]) for one in alone}) == 7


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"rows": {}}, "rows", "'rows' is an object"),
        ({}, "rows", "'rows' is null"),
        ({"rows": [], "row": 1}, "body.row", "'row' is unknown"),
        ({"rows": [row(), 3]}, "rows[1]", "the row is a number"),
        ({"rows": [{"fields": {}}]}, "rows[0].keys", "'keys' is missing"),
        ({"rows": [row(), row(size="1")]}, "rows[1].fields.size", "is a string"),
        ({"rows": [{**row(), "keys": {"shop": "shop1"}}]}, "rows[0].keys.counter", "'counter' is missing"),
        ({"rows": [row()], "at": "2024-02-20T12:00:00Z"}, "at", "in replay only"),
    ],
)
def test_bad_rows_are_named(producing: Server, body: Any, field: str, said: str) -> None:
    status, answer = producing.ask("POST", PATH, json.dumps(body).encode())
    assert (status, answer["field"]) == (400, field)
    assert said in answer["error"]
    assert "feature set 'order' (" in answer["expected"]
    assert "models.py:" in answer["expected"]
    assert answer["fix"]


def test_no_rows_and_no_such_set(producing: Server) -> None:
    assert look_up(producing)[1]["rows"] == []
    status, answer = producing.ask("POST", "/v1/features/nothing", b'{"rows": []}')
    assert (status, answer["expected"]) == (404, "one of ['order']")
    assert producing.ask("GET", PATH, None)[0] == 405


def test_it_takes_the_role(path: Path) -> None:
    ana = Project(path, actor="ana")
    ana.access.grant("reader", "read_online", "order")
    ana.access.grant("writer", "write", "order")
    tokens = {name: ana.access.token(name) for name in ("reader", "writer")}
    body = json.dumps({"rows": [row()]}).encode()
    with Server(path) as server:
        assert server.ask("POST", PATH, body, bearer(tokens["reader"]))[0] == 200
        status, answer = server.ask("POST", PATH, body, bearer(tokens["writer"]))
        assert (status, answer["expected"]) == (403, "the role read_online on feature set 'order'")
        assert server.ask("POST", "/v1/features/other", body, bearer(tokens["reader"]))[0] == 403
    ana.close()
