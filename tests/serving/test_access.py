"""Principals at the server: whose token it is, what it may do, and how fast that changes; every denial is recorded."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstay.core.errors import BackstayError
from backstay.core.identity import sha256
from backstay.project import Project
from backstay.serving import guard
from tests.serving.shop import Server, event, live

ORDERS, LATE = "/v1/sources/orders/events", "/v1/models/late"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def predicting(server: Server, token: str) -> tuple[int, Any]:
    return server.ask("POST", f"{LATE}/predict", json.dumps(live()).encode(), bearer(token))


def pushing(server: Server, token: str, *events: object) -> tuple[int, Any]:
    return server.ask("POST", ORDERS, json.dumps({"events": events}).encode(), bearer(token))


def seconds_until(what: Callable[[], bool]) -> float:
    begin = time.monotonic()
    while not what():
        assert time.monotonic() - begin < 10
        time.sleep(0.005)
    return time.monotonic() - begin


def denied(project: Project) -> Counter[tuple[str, str]]:
    """How often who was denied what."""
    out: Counter[tuple[str, str]] = Counter()
    for one in project.services.ledger.entries(kind="access"):
        if one.body["action"] == "denied":
            out[one.subject, one.body["what"]] += one.body["count"]
    return out


def test_each_token_opens_what_its_principal_may(path: Path) -> None:
    ana = Project(path, actor="ana")
    tokens = {}
    for name, role in (("reader", "read_online"), ("writer", "write"), ("analyst", "read_offline"), ("boss", "admin")):
        ana.access.grant(name, role, None if role == "admin" else "order")
        tokens[name] = ana.access.token(name)
    with Server(path) as server:
        tokens["home"] = server.token
        allowed = {name: (predicting(server, token)[0], pushing(server, token)[0]) for name, token in tokens.items()}
        assert allowed == {
            "reader": (200, 403), "writer": (403, 200), "analyst": (403, 403), "boss": (200, 200), "home": (200, 200),
        }  # fmt: skip
        status, answer = pushing(server, tokens["reader"], event())
        assert (status, answer["field"]) == (403, "access")
        assert answer["error"].startswith("reader may not push to source 'orders'")
        assert answer["expected"] == "the role write on feature set 'order'"
        assert answer["fix"] == "an admin grants it: backstay access grant reader write --feature-set order"
        assert server.ask("GET", LATE, None, bearer(tokens["writer"]))[0] == 403
        assert server.ask("GET", LATE, None, bearer(tokens["reader"]))[0] == 200
        # What does not exist is not told apart from what is not allowed, unless all is allowed.
        nothing = "/v1/models/nothing"
        assert server.ask("GET", nothing, None, bearer(tokens["reader"]))[0] == 403
        assert server.ask("GET", nothing, None, bearer(tokens["boss"]))[0] == 404
        assert server.ask("GET", "/v2/health/live", None, {})[0] == 200
    assert ana.services.events.last_sequence("orders") == 2400  # nothing refused was written
    assert denied(ana) == {
        ("reader", "push to source 'orders'"): 2,
        ("reader", "use a model that does not exist"): 1,
        ("writer", "use model 'late'"): 2,
        ("analyst", "use model 'late'"): 1,
        ("analyst", "push to source 'orders'"): 1,
    }


@pytest.mark.parametrize(
    "header",
    [{}, bearer(""), bearer("x" * 43), {"Authorization": "Basic YTpi"}, {"Authorization": "bearer"}],
)
def test_an_unknown_token_is_401_and_recorded(path: Path, header: dict[str, str]) -> None:
    with Server(path) as server:
        status, answer = server.ask("GET", LATE, None, header)
        assert (status, answer["field"]) == (401, "authorization")
    assert denied(Project(path)) == {("(unknown)", "call without a valid token"): 1}


def test_a_digest_is_no_token(path: Path) -> None:
    """Whoever reads the ledger has the SHA-256 of tokens, and nothing that opens anything."""
    ana = Project(path, actor="ana")
    ana.access.grant("reader", "read_online", "order")
    token = ana.access.token("reader")
    assert not any(token in json.dumps(dict(one.body)) for one in ana.services.ledger.entries())
    with Server(path) as server:
        assert predicting(server, sha256(token.encode()))[0] == 401
        assert server.ask("GET", LATE, None, {"Authorization": token})[0] == 401
        assert predicting(server, token)[0] == 200


def test_a_running_server_follows_within_a_moment(path: Path) -> None:
    ana = Project(path, actor="ana")
    ana.access.grant("reader", "read_online", "order")
    token = ana.access.token("reader")
    waits = []
    with Server(path) as server:

        def status() -> int:
            return server.ask("GET", LATE, None, bearer(token))[0]

        assert status() == 200
        for _ in range(3):
            ana.access.revoke("reader", "read_online", "order")
            waits.append(seconds_until(lambda: status() == 403))
            ana.access.grant("reader", "read_online", "order")
            waits.append(seconds_until(lambda: status() == 200))
        ana.access.revoke_tokens("reader")
        waits.append(seconds_until(lambda: status() == 401))
        token = ana.access.token("reader")
        waits.append(seconds_until(lambda: status() == 200))
    assert sorted(waits)[len(waits) // 2] < 0.2, waits
    assert max(waits) < 1, waits


def test_a_flood_of_denials_is_counted_to_the_last_and_holds_up_nobody(path: Path) -> None:
    ana = Project(path, actor="ana")
    ana.access.grant("reader", "read_online", "order")
    token = ana.access.token("reader")
    before = ana.services.ledger.revision()
    with Server(path) as server:
        connection = server.connection()
        for number in range(3000):
            connection.request("GET", LATE, None, bearer(f"wrong{number}"))
            assert connection.getresponse().read()
        connection.close()
        begin = time.monotonic()
        assert predicting(server, token)[0] == 200
        assert time.monotonic() - begin < 1
    assert denied(ana) == {("(unknown)", "call without a valid token"): 3000}
    assert ana.services.ledger.revision() - before < 6  # the first, the rest of the minute, and what a server writes


def test_a_trickle_of_denials_fills_no_ledger(path: Path) -> None:
    """The first of its kind is written down at once; those like it that follow, once a minute, or at the end."""
    ana = Project(path, actor="ana")
    ana.access.grant("reader", "read_online", "order")
    token = ana.access.token("reader")
    with Server(path) as server:
        for _ in range(8):
            assert server.ask("GET", LATE, None, {})[0] == 401
            assert pushing(server, token)[0] == 403
            time.sleep(0.15)  # longer than from look to look
        seconds_until(lambda: len(denied(ana)) == 2)
        assert max(denied(ana).values()) < 4
    assert denied(ana) == {("(unknown)", "call without a valid token"): 8, ("reader", "push to source 'orders'"): 8}
    assert sum(one.body["action"] == "denied" for one in ana.services.ledger.entries(kind="access")) == 4


def test_the_minute_goes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    class Written:
        def __init__(self) -> None:
            self.counts: list[int] = []

        def revision(self) -> int:
            return -1

        def record(self, denial: object, number: int) -> None:
            self.counts.append(number)

    async def trickle() -> tuple[list[int], list[int]]:
        told = Written()
        one = guard.Guard(told, "t", models={}, feature_sets=(), sources={})  # type: ignore[arg-type]
        one.start()
        for _ in range(40):
            one.identify(b"")
            await asyncio.sleep(0.05)
        during = [*told.counts]
        await one.stop()
        return during, told.counts

    monkeypatch.setattr(guard, "EVERY_SECONDS", 0.6)
    during, after = asyncio.run(trickle())
    assert 3 <= len(during) <= 4
    assert sum(after) == 40


def test_a_ledger_that_is_away_is_told_once_and_no_denial_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """It was told ten times a second, each time with a trace of ninety lines."""

    class Away:
        def __init__(self) -> None:
            self.away, self.count = False, 0

        def revision(self) -> int:
            if self.away:
                raise BackstayError("the ledger is not available")
            return -1

        def record(self, denial: object, number: int) -> None:
            self.revision()
            self.count += number

    async def outage(ledger: Away, *, ends: bool) -> None:
        one = guard.Guard(ledger, "t", models={}, feature_sets=(), sources={})  # type: ignore[arg-type]
        one.start()
        ledger.away = True
        for _ in range(12):
            one.identify(b"")
            await asyncio.sleep(0.05)
        ledger.away = not ends
        await asyncio.sleep(0.3)
        await one.stop()

    asyncio.run(outage(ledger := Away(), ends=True))
    assert ledger.count == 12
    for what in ("who may do what could not be read", "denials could not be written down"):
        told = [one for one in caplog.records if one.message.startswith(what)]
        assert [one.message for one in told] == [f"{what}: the ledger is not available", f"{what}: it is over"]
        assert not any(one.exc_info for one in told)
    asyncio.run(outage(Away(), ends=False))
    assert "{'(unknown): call without a valid token': 12}" in caplog.messages[-1], "what is lost with the process"


def test_the_scheme_of_a_token_may_be_written_in_any_way(path: Path) -> None:
    ana = Project(path, actor="ana")
    ana.access.grant("reader", "read_online", "order")
    token = ana.access.token("reader")
    with Server(path) as server:
        for one in (token, server.token):
            for scheme in ("bearer", "BEARER", "Bearer "):
                assert server.ask("GET", LATE, None, {"Authorization": f"{scheme} {one}"})[0] == 200


def test_denials_wait_for_a_ledger_that_is_held(path: Path) -> None:
    """While somebody holds the ledger's lock requests are answered, and what was denied is written afterwards."""
    import sqlite3

    ana = Project(path, actor="ana")
    ana.access.grant("reader", "read_online", "order")
    token = ana.access.token("reader")
    with Server(path) as server:
        holder = sqlite3.connect(path / ".backstay" / "ledger.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            begin = time.monotonic()
            assert pushing(server, token)[0] == 403
            assert predicting(server, token)[0] == 200
            assert time.monotonic() - begin < 1
            time.sleep(0.02)
        assert denied(ana) == {}
        holder.execute("COMMIT")
        holder.close()
    assert denied(ana) == {("reader", "push to source 'orders'"): 20}
