"""Request ids: taken or made, answered, and in the lines that tell of requests. The health page."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backstay.serving.logs import Text, request_id
from tests.serving import shop
from tests.serving.shop import Server, live


def asked(server: Server, body: object, **headers: str) -> http.client.HTTPResponse:
    with closing(server.connection()) as connection:
        more = server.headers() | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/v1/models/late/predict", json.dumps(body), more)
        answer = connection.getresponse()
        answer.read()
        return answer


def lines(server: Server) -> list[dict[str, Any]]:
    """What the server has told so far, once it has ended."""
    return [json.loads(one) for one in Path(server.log.name).read_text().splitlines() if one.startswith("{")]


def test_the_id_of_a_request_is_answered_and_stands_in_the_log(path: Path) -> None:
    (path / "backstay.toml").write_text(f'{shop.TOML}log = "json"\naccess_log = true\n')
    with Server(path) as server:
        assert asked(server, live(), x_request_id="checkout-1").getheader("x-request-id") == "checkout-1"
        made = {asked(server, live()).getheader("x-request-id") for _ in range(3)}
        assert len(made) == 3
        assert asked(server, {}, x_request_id="wrong-1").status == 400
    told = {one["request_id"]: one for one in lines(server) if one["logger"] == "backstay.requests"}
    assert made < set(told)
    one = told["checkout-1"]
    assert (one["level"], one["status"], one["method"], one["path"], one["principal"]) == (
        "info", 200, "POST", "/v1/models/late/predict", "(home)",
    )  # fmt: skip
    assert 0 < one["ms"] < 20_000
    assert told["wrong-1"]["status"] == 400
    assert server.token not in Path(server.log.name).read_text()


def test_only_what_is_slow_or_failed_is_told_of(path: Path) -> None:
    (path / "backstay.toml").write_text(f'{shop.TOML}log = "json"\nslow_ms = 20000\n')
    with Server(path) as server:
        assert asked(server, live(), x_request_id="fine").status == 200
        with closing(server.connection()) as connection:
            connection.request(
                "POST", "/v1/models/unborn/predict", json.dumps(live()), server.headers() | {"x-request-id": "failed-1"}
            )
            assert connection.getresponse().status == 503
    told = [one for one in lines(server) if one["logger"] == "backstay.requests"]
    assert [one["request_id"] for one in told] == ["failed-1"]
    assert told[0]["level"] == "error"
    (path / "backstay.toml").write_text(f"{shop.TOML}slow_ms = 0\n")
    with Server(path, log=path / "text.log") as server:
        assert asked(server, live(), x_request_id="slow-1").status == 200
    assert "was slow: 200 after" in (path / "text.log").read_text()
    assert "[request slow-1]" in (path / "text.log").read_text()


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", b"a\nb", b'"}', b"\xff", b"<script>", b"a;b", b"a\x00"])
def test_what_could_harm_a_log_or_a_header_is_not_taken(given: bytes) -> None:
    made = request_id(given)
    assert made != given
    assert made != request_id(given)
    assert request_id(made) == made


def failed(text: str) -> Any:
    try:
        raise ValueError(text)
    except ValueError:
        return sys.exc_info()


FORGED = "\nERROR forged\r\x1b[2K\x9b\u2028\u202e\ud800"


def test_what_a_client_sent_makes_no_line_of_its_own() -> None:
    record = logging.LogRecord("backstay.requests", logging.ERROR, "", 0, "GET %s", (FORGED,), failed(FORGED))
    first, *trace = Text().format(record).split("\n")
    assert first == r"ERROR GET \nERROR forged\r\x1b[2K\x9b\u2028\u202e\ud800"
    assert trace[0] == "  Traceback (most recent call last):"
    assert any("ERROR forged" in line for line in trace)
    assert all(line.startswith("  ") and line.isprintable() for line in trace)


def test_a_path_makes_no_line_of_its_own(path: Path) -> None:
    (path / "backstay.toml").write_text(f"{shop.TOML}access_log = true\n")
    with Server(path, log=path / "text.log") as server:
        assert server.ask("GET", "/v2/%0aERROR%20forged%1b[31m", headers={})[0] == 401
        assert server.ask("GET", "/v2/%ff%00", headers={})[0] == 401
    told = (path / "text.log").read_text()
    assert r"INFO GET /v2/\nERROR forged\x1b[31m was answered: 401" in told
    assert "\nERROR" not in told
    assert "\x1b" not in told


def test_the_health_page_tells_what_serves_how_fast(administered: Server) -> None:
    assert administered.predict(live())[0] == 200
    host, _, port = administered.told["admin_url"].removeprefix("http://").rpartition(":")

    def get(authorization: str | None) -> http.client.HTTPResponse:
        with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
            connection.request("GET", "/", headers={} if authorization is None else {"authorization": authorization})
            answer = connection.getresponse()
            answer.text = answer.read().decode()  # type: ignore[attr-defined]
            return answer

    refused = get(None)
    assert refused.status == 401
    assert 'Basic realm="backstay"' in (refused.headers.get_all("www-authenticate") or [])
    assert get("Basic !").status == 401
    assert get(f"Basic {base64.b64encode(b'me:wrong').decode()}").status == 401
    for one in (
        f"Bearer {administered.token}",
        f"Basic {base64.b64encode(f'me:{administered.token}'.encode()).decode()}",
    ):
        answer = get(one)
        assert answer.status == 200
        text: str = answer.text  # type: ignore[attr-defined]
        for part in ("late", "unborn", "has no champion", "predict", "p99", "Workers", str(administered.process.pid)):
            assert part in text
        assert "<script" not in text
        assert answer.getheader("cache-control") == "no-store"
