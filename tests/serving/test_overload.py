"""Overload: what cannot be answered in time is refused at the door, and everything that is answered is written down."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httptools
import pytest

from tests.serving import shop
from tests.serving.doors import Door, serving
from tests.serving.shop import Server, live, request


class _Answer:
    """What httptools calls while it reads an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body, self.done = b"", False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done = True


async def _client(server: Server, body: bytes, until: float, answers: list[tuple[int, dict[str, str], Any]]) -> None:
    """Sends one request behind the other on one connection."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    head = f"POST /v1/models/late/predict HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.token}\r\n"
    sent = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    while time.monotonic() < until:
        writer.write(sent)
        told = _Answer()
        parser = httptools.HttpResponseParser(told)
        while not told.done:
            data = await reader.read(65_536)
            assert data, "the server closed the connection"
            parser.feed_data(data)
        answers.append((parser.get_status_code(), told.headers, json.loads(told.body)))
    writer.close()


def _flood(
    server: Server, connections: int, seconds: float, asked: dict[str, Any]
) -> list[tuple[int, dict[str, str], Any]]:
    answers: list[tuple[int, dict[str, str], Any]] = []
    body = json.dumps(asked).encode()

    async def main() -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(_client(server, body, until, answers) for _ in range(connections)))

    asyncio.run(main())
    return answers


def test_under_overload_requests_are_answered_and_logged_or_refused(path: Path) -> None:
    settings = shop.TOML.replace("objective_ms = 10000", "objective_ms = 1\nqueue_limit = 8")
    (path / "backstay.toml").write_text(settings)
    with Server(path) as server:
        answers = _flood(server, 64, 2.0, live())
        statuses = Counter(status for status, _, _ in answers)
        assert statuses.keys() == {200, 429}, statuses
        refused = next((headers, body) for status, headers, body in answers if status == 429)
        assert refused[0]["retry-after"] == "1"
        assert refused[1]["error"] == "the server is asked more than it can answer in time"
        status, told = server.predict(live())
        assert status == 200  # and afterwards it is as before
        metrics = server.text("/metrics")
        assert f'backstay_requests_total{{endpoint="predict",status="429"}} {float(statuses[429])}' in metrics
        assert "backstay_rows_in_flight 0.0" in metrics
    ids = [body["prediction_id"] for status, _, body in answers if status == 200] + [told["prediction_id"]]
    assert sorted(one.id for one in shop.logged(path)) == sorted(ids)


def test_in_a_replay_nothing_is_refused(path: Path) -> None:
    (path / "backstay.toml").write_text(shop.TOML.replace("objective_ms = 10000", "objective_ms = 1\nqueue_limit = 8"))
    with Server(path, "--replay") as server:
        answers = _flood(server, 64, 1.0, request())
    assert {status for status, _, _ in answers} == {200}
    assert len(shop.logged(path)) == len(answers)


@pytest.mark.parametrize("wait", ["0", "-1", "0.000001"])
def test_a_deadline_that_has_passed_is_504_and_nothing_is_logged(producing: Server, wait: str) -> None:
    before = len(shop.logged(producing.path))
    body, headers = json.dumps(live()).encode(), producing.headers() | {"x-request-timeout-ms": wait}
    status, answer = producing.ask("POST", "/v1/models/late/predict", body, headers)
    assert (status, answer["error"]) == (504, "the deadline had passed when it was admitted")
    assert len(shop.logged(producing.path)) == before


def test_a_deadline_that_is_kept_is_no_matter(producing: Server) -> None:
    body, headers = json.dumps(live()).encode(), producing.headers() | {"x-request-timeout-ms": "20000"}
    assert producing.ask("POST", "/v1/models/late/predict", body, headers)[0] == 200


@pytest.mark.parametrize("query", ["", "?a"])  # straight, and as the application's task
def test_the_deadline_of_a_body_that_comes_late_has_passed(producing: Server, query: str) -> None:
    body = json.dumps(live()).encode()
    head = f"POST /v1/models/late/predict{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {producing.token}\r\n"
    with socket.create_connection((producing.host, producing.port), timeout=20) as connection:
        connection.sendall(f"{head}x-request-timeout-ms: 50\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        time.sleep(0.2)
        connection.sendall(body)
        assert connection.recv(4_096).startswith(b"HTTP/1.1 504 ")


class Waiting(Door):
    """An application that answers with whether its client had gone, or after two seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self.gone: list[bool] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        client = scope["extensions"]["backstay.client"]
        self.limiter.pending -= "backstay.pending" in scope["extensions"]
        for _ in range(200):
            if client.gone or scope["path"] != "/wait":
                break
            await asyncio.sleep(0.01)
        self.gone.append(client.gone)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def _asked(app: Waiting, what: Any) -> Any:
    async with serving(app) as port:
        return await what(port)


def test_a_client_that_goes_away_is_seen() -> None:
    app = Waiting(10)

    async def leave(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.close()
        while not app.gone:
            await asyncio.sleep(0.01)

    asyncio.run(_asked(app, leave))
    assert app.gone == [True]


def _post(path: str, *headers: str, body: str = "{}") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("sent", "statuses", "closed"),
    [
        (_post("/v1/models/m/predict"), [429], False),
        (_post("/v1/models/m/predict", "content-type: text/plain") * 3, [429, 429, 429], False),
        (_post("/v1/models/m/predict") + _post("/other") + _post("/v2/models/m/infer"), [429, 200, 200], False),
        (_post("/v2/models/m/infer", "connection: close"), [429], True),
        (_post("/v2/models/m/infer", "expect: 100-continue", body="")[:-2] + b"\r\n", [429], True),
        (_post("/v2/models/m/infer", body="x" * 300_000), [429], False),
        (b"GET /v2/models/m/infer HTTP/1.1\r\nhost: x\r\n\r\n", [200], False),
    ],
)
def test_a_refusal_at_the_door_leaves_the_connection_in_order(sent: bytes, statuses: list[int], closed: bool) -> None:
    app = Waiting(0)

    async def ask(port: int) -> tuple[bytes, bool]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        data, ended = b"", False
        try:
            while piece := await asyncio.wait_for(reader.read(65_536), 0.3):
                data += piece
            ended = True
        except TimeoutError:
            pass
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        return data, ended

    data, ended = asyncio.run(_asked(app, ask))
    assert [int(part.split()[0]) for part in data.split(b"HTTP/1.1 ")[1:]] == statuses
    assert ended == closed
    assert app.limiter.pending == 0
