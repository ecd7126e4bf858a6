"""What a server refuses, over raw HTTP: a 4xx in JSON that names the field, and not a row in the log."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import Any

import pytest

from tests.serving import shop
from tests.serving.shop import Server, event, live, request

PREDICT = "/v1/models/late/predict"
EVENTS = "/v1/sources/orders/events"


def _raw(find: str, put: str | bytes) -> bytes:
    """The good request with a piece of its text replaced."""
    text = json.dumps(request()).encode()
    assert find.encode() in text
    return text.replace(find.encode(), put if isinstance(put, bytes) else put.encode())


def _without(name: str) -> dict[str, Any]:
    body = request()
    for part in (body, body["keys"], body["fields"]):
        part.pop(name, None)
    return body


BODIES: list[tuple[str, object, str]] = [
    ("nothing", b"", "body"),
    ("no JSON", b"{", "body"),
    ("text after it", json.dumps(request()).encode() + b"x", "body"),
    ("no JSON at all", b"shop=1&size=2", "body"),
    ("an array", b"[]", "body"),
    ("a number", b"7", "body"),
    ("null", b"null", "body"),
    ("not UTF-8", _raw("shop1", b"sh\xff\xfe"), "body"),
    ("a lone surrogate", _raw("shop1", "\\ud800"), "body"),
    ("nested two thousand deep", b"[" * 2_000 + b"]" * 2_000, "body"),
    ("nested in its keys", b'{"keys":' * 400 + b"0" + b"}" * 400, "keys.shop"),
    ("NaN", _raw("10.5", "NaN"), "fields.size"),
    ("Infinity", _raw("10.5", "Infinity"), "fields.size"),
    ("-Infinity", _raw("10.5", "-Infinity"), "fields.size"),
    ("1e999", _raw("10.5", "1e999"), "fields.size"),
    ("unknown at the top", request() | {"kyes": {}}, "body.kyes"),
    ("no keys", _without("keys"), "keys"),
    ("no fields", _without("fields"), "fields"),
    ("keys a list", request() | {"keys": ["shop1"]}, "keys"),
    ("keys null", request() | {"keys": None}, "keys"),
    ("fields a string", request() | {"fields": "size"}, "fields"),
    ("key missing", _without("shop"), "keys.shop"),
    ("label's key missing", _without("order"), "keys.order"),
    ("field missing", _without("size"), "fields.size"),
    ("optional field missing", _without("note"), "fields.note"),
    ("key unknown", request() | {"keys": request()["keys"] | {"shpo": "a"}}, "keys.shpo"),
    ("field unknown", request() | {"fields": request()["fields"] | {"szie": 1}}, "fields.szie"),
    ("required null: float", request(size=None), "fields.size"),
    ("required null: int", request(items=None), "fields.items"),
    ("required null: bool", request(gift=None), "fields.gift"),
    ("required null: time", request(due=None), "fields.due"),
    ("required null: string", request(channel=None), "fields.channel"),
    ("float: string", request(size="10.5"), "fields.size"),
    ("float: bool", request(size=True), "fields.size"),
    ("float: list", request(size=[1.0]), "fields.size"),
    ("float: object", request(size={"value": 1}), "fields.size"),
    ("float: integer with 400 digits", request(size=10**400), "fields.size"),
    ("int: float", request(items=3.0), "fields.items"),
    ("int: bool", request(items=True), "fields.items"),
    ("int: string", request(items="3"), "fields.items"),
    ("int: 2^63", request(items=2**63), "fields.items"),
    ("int: -2^63-1", request(items=-(2**63) - 1), "fields.items"),
    ("int: 10^30", request(items=10**30), "fields.items"),
    ("bool: int", request(gift=1), "fields.gift"),
    ("bool: string", request(gift="true"), "fields.gift"),
    ("string: int", request(channel=7), "fields.channel"),
    ("string: bool", request(channel=False), "fields.channel"),
    ("optional string: int", request(note=7), "fields.note"),
    ("time: int", request(due=1_708_500_000), "fields.due"),
    ("time: naive", request(due="2024-02-21T09:00:00"), "fields.due"),
    ("time: nonsense", request(due="next tuesday"), "fields.due"),
    ("time: empty", request(due=""), "fields.due"),
    ("time: 30 February", request(due="2024-02-30T09:00:00Z"), "fields.due"),
    ("time: before the year 1", request(due="0001-01-01T00:00:00+12:00"), "fields.due"),
    ("time: after the year 9999", request(due="9999-12-31T23:00:00-12:00"), "fields.due"),
    ("key: int for string", request(shop=1), "keys.shop"),
    ("key: list", request(shop=["shop1"]), "keys.shop"),
    ("key: string for int", request(counter="1"), "keys.counter"),
    ("key: float for int", request(counter=1.5), "keys.counter"),
    ("key: int beyond 64 bit", request(counter=2**64), "keys.counter"),
    ("at missing", _without("at"), "at"),
    ("at null", request(at=None), "at"),
    ("at bool", request(at=True), "at"),
    ("at a float", request(at=1.5), "at"),
    ("at naive", request(at="2024-02-20T12:00:00"), "at"),
    ("at nonsense", request(at="soon"), "at"),
    ("at beyond 64 bit", request(at=10**30), "at"),
    ("at a number beyond the calendar", request(at=2**62), "at"),
    ("at a number before the calendar", request(at=-(2**62)), "at"),
]


def refused(status: int, answer: Any, field: str, *, code: int = 400) -> None:
    assert (status, answer["field"]) == (code, field), answer
    assert answer.keys() == {"error", "field", "expected", "fix"}
    assert answer["error"]
    assert len(json.dumps(answer)) < 1_000
    assert answer["expected"] or answer["fix"]


@pytest.mark.parametrize(("body", "field"), [pytest.param(b, f, id=i) for i, b, f in BODIES])
def test_bad_predictions_name_the_field(replaying: Server, body: object, field: str) -> None:
    refused(*replaying.predict(body), field)


def test_too_large_by_its_declared_length(replaying: Server) -> None:
    status, answer = replaying.predict(request(channel="x" * shop.BODY_LIMIT))
    refused(status, answer, "body", code=413)
    assert str(shop.BODY_LIMIT) in answer["expected"]


def test_too_large_in_chunks(replaying: Server) -> None:
    connection = replaying.connection()
    body = json.dumps(request(channel="x" * 3 * shop.BODY_LIMIT)).encode()
    chunks = (body[place : place + 1000] for place in range(0, len(body), 1000))
    connection.request("POST", PREDICT, chunks, replaying.headers(), encode_chunked=True)
    answer = connection.getresponse()
    refused(answer.status, json.loads(answer.read()), "body", code=413)
    connection.close()


def test_a_length_that_is_not_kept_up_is_not_waited_for_by_others(replaying: Server) -> None:
    with socket.create_connection((replaying.host, replaying.port), timeout=20) as half:
        half.sendall(
            f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {replaying.token}\r\n".encode()
            + b"Content-Length: 100\r\n\r\n{"
        )
        assert replaying.predict(request())[0] == 200


@pytest.mark.parametrize(
    "text", [b"nonsense\r\n\r\n", b"POST /v1 HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_what_is_not_http_is_refused(replaying: Server, text: bytes) -> None:
    with socket.create_connection((replaying.host, replaying.port), timeout=20) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert replaying.predict(request())[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "code", "field"),
    [
        ("GET", PREDICT, 405, "method"),
        ("PUT", PREDICT, 405, "method"),
        ("POST", "/v1/models/late", 405, "method"),
        ("DELETE", EVENTS, 405, "method"),
        ("POST", "/v2/health/live", 405, "method"),
        ("GET", "/v2/health/well", 404, "path"),
        ("GET", "/", 404, "path"),
        ("POST", "/v1/models/late/predict/twice", 404, "path"),
        ("POST", "/v1/models/early/predict", 404, "model"),
        ("GET", "/v1/models/early", 404, "model"),
        ("POST", "/v1/sources/parcels/events", 404, "source"),
    ],
)
def test_wrong_places(replaying: Server, method: str, path: str, code: int, field: str) -> None:
    body = json.dumps(request()).encode() if method in ("POST", "PUT") else None
    refused(*replaying.ask(method, path, body), field, code=code)


@pytest.mark.parametrize(("path", "allowed"), [(PREDICT, "POST"), ("/v1/models/late", "GET, HEAD")])
def test_another_method_is_told_which_there_are(replaying: Server, path: str, allowed: str) -> None:
    with closing(replaying.connection()) as connection:
        connection.request("DELETE", path, headers=replaying.headers())
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("allow")) == (405, allowed)


def test_a_model_without_champion_says_how_to_get_one(replaying: Server) -> None:
    status, answer = replaying.ask("POST", "/v1/models/unborn/predict", json.dumps(request()).encode())
    assert (status, answer["field"], answer["fix"]) == (503, "model", "backstay promote NUMBER --model unborn")


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic eDp5", "Token {token}", "Bearer {token}x"]
)
def test_without_the_token_nothing_is_told(replaying: Server, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value.format(token=replaying.token)}
    for method, path in (("POST", PREDICT), ("POST", EVENTS), ("GET", "/v1/models/late"), ("GET", "/v1/models/early")):
        status, answer = replaying.ask(method, path, b"{}" if method == "POST" else None, headers)
        refused(status, answer, "authorization", code=401)
    assert replaying.ask("GET", "/v2/health/live", None, {})[0] == 200


PUSHES: list[tuple[str, object, str]] = [
    ("nothing", b"", "body"),
    ("an array", b"[]", "body"),
    ("no events", {}, "events"),
    ("events an object", {"events": {}}, "events"),
    ("unknown at the top", {"events": [], "source": "orders"}, "body.source"),
    ("an event a number", {"events": [7]}, "events[0]"),
    ("a column missing", {"events": [{"event_time": "2024-03-01T10:00:00Z"}]}, "events[0].shop"),
    ("a column unknown", {"events": [event(shpo="a")]}, "events[0].shpo"),
    ("no event time", {"events": [{n: v for n, v in event().items() if n != "event_time"}]}, "events[0].event_time"),
    ("event time null", {"events": [event(event_time=None)]}, "events[0].event_time"),
    ("event time naive", {"events": [event(event_time="2024-03-01T10:00:00")]}, "events[0].event_time"),
    ("event time out of range", {"events": [event(event_time="0001-01-01T00:00:00+12:00")]}, "events[0].event_time"),
    ("the second event", {"events": [event(), event(size="big")]}, "events[1].size"),
    ("NaN", b'{"events": [{"size": NaN}]}', "events[0].size"),
    ("a lone surrogate", json.dumps({"events": [event(shop="\ud800")]}).encode(), "body"),
    ("bool for number", {"events": [event(size=True)]}, "events[0].size"),
    ("int too large", {"events": [event(counter=2**63)]}, "events[0].counter"),
    ("a sequence", {"events": [event(sequence=1)]}, "events[0].sequence"),
    ("a known time", {"events": [event(known_time="2024-03-01T10:00:00Z")]}, "events[0].known_time"),
]


@pytest.mark.parametrize(("body", "field"), [pytest.param(b, f, id=i) for i, b, f in PUSHES])
def test_bad_pushes_name_the_place(producing: Server, body: object, field: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    refused(*producing.ask("POST", EVENTS, data), field)


def test_a_push_that_is_too_large(producing: Server) -> None:
    refused(*producing.push(event(note="x" * shop.PUSH_LIMIT)), "body", code=413)


def test_in_replay_a_push_needs_its_sequence_and_known_time(replaying: Server) -> None:
    refused(*replaying.push(event()), "events[0].known_time")
    refused(*replaying.push(event(known_time="2024-03-01T10:00:00Z")), "events[0].sequence")


def test_in_production_a_clients_own_time_is_refused(producing: Server) -> None:
    status, answer = producing.predict(request())
    refused(status, answer, "at")
    assert "server's clock" in answer["fix"]


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({"shop": "nowhere"}, {"shop_late_1d", "shop_late_7d", "shop_last_size"}),
        ({"shop": None}, {"shop_late_1d", "shop_late_7d", "shop_last_size"}),
        ({"shop": ""}, {"shop_late_1d", "shop_late_7d", "shop_last_size"}),
        ({"shop": "x" * 2_000}, {"shop_late_1d", "shop_late_7d", "shop_last_size"}),
        ({"shop": "\0ü\U0001f600"}, {"shop_late_1d", "shop_late_7d", "shop_last_size"}),
        ({"counter": -(2**63)}, {"counter_size_1d"}),
        ({"counter": None, "shop": None, "order": None}, {"shop_late_1d", "shop_last_size", "counter_size_1d"}),
    ],
)
def test_an_unknown_entity_is_served(replaying: Server, keys: dict[str, Any], missing: set[str]) -> None:
    status, answer = replaying.predict(request(**keys))
    assert status == 200, answer
    assert missing <= {name for name, status in answer["statuses"].items() if status == "MISSING"}
    assert 0 <= answer["score"] <= 1
    assert any(one.id == answer["prediction_id"] for one in shop.logged(replaying.path))


def test_after_all_that_good_requests_are_answered_and_the_log_holds_no_other(base: object, path: Any) -> None:
    good = []
    with Server(path, "--replay") as server:
        for place, (_, body, _field) in enumerate(BODIES):
            assert 400 <= server.predict(body)[0] < 500
            if place % 10 == 0:
                status, answer = server.predict(request())
                assert status == 200
                good.append(answer)
        assert len({(one["score"], one["version"]) for one in good}) == 1
        assert server.ask("GET", "/v2/health/live")[0] == 200
    assert [one.id for one in shop.logged(path)] == [one["prediction_id"] for one in good]
    assert "Traceback" not in (path.parent / "server.log").read_text()


def test_good_values_at_the_edges_are_taken(replaying: Server) -> None:
    for one in (
        request(size=0), request(size=-0.0), request(size=1.7976931348623157e308), request(size=5e-324),
        request(items=2**63 - 1), request(items=-(2**63)), request(note=""), request(channel="x" * 1_000),
        request(due="0001-01-01T00:00:00Z"), request(due="9999-12-31T23:59:59.999999Z"),
        request(due="2024-02-21T09:00:00-05:00"), request(at="2024-02-20"),
    ):  # fmt: skip
        status, answer = replaying.predict(one)
        assert status == 200, (one, answer)
    here, there = (replaying.predict(request(due=f"2024-02-21T{due}"))[1] for due in ("04:00:00-05:00", "09:00:00Z"))
    assert here["score"] == there["score"]
    here, there = (replaying.predict(request(due=due))[1] for due in ("2024-02-21", "2024-02-21T00:00:00Z"))
    assert here["score"] == there["score"]


def test_live_predictions_take_the_servers_time(producing: Server) -> None:
    status, answer = producing.predict(live())
    assert status == 200
    (record,) = [one for one in shop.logged(producing.path) if one.id == answer["prediction_id"]]
    assert 0 <= record.served_at - record.at < 5_000_000
    assert not record.replayed
