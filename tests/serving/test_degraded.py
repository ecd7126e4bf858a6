"""A shared online state hangs, dies and comes back: what is answered meanwhile is what the feature set declares."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstay.core.errors import BackstayError, DefinitionError, InputError
from backstay.definitions import Entity, EventSource, FeatureSet, Latest
from backstay.features.lookup import Unavailable
from backstay.project import Project
from backstay.serving.breaker import Breaker
from tests.servers import DURABLE, Valkey
from tests.serving import shop
from tests.serving.shop import Server, request


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey(*DURABLE) as server:
        yield server


def _shared(path: Path, valkey: Valkey, policy: str) -> Path:
    """The project with this policy, and its online state in the server."""
    models = (path / "models.py").read_text()
    (path / "models.py").write_text(
        models.replace('defaults={"shop_late_1d": 0.5},', f'defaults={{"shop_late_1d": 0.5}}, on_failure="{policy}",')
    )
    (path / "backstay.toml").write_text(f'{shop.TOML}\n[online]\nurl = "{valkey.url}"\ntimeout_ms = 150\n')
    project = Project(path)
    project.backfill(until=shop.SECOND)
    project.close()
    return path


def _again(server: Server) -> float:
    """Seconds until an answer is whole again."""
    begin = time.monotonic()
    while True:
        status, told = server.predict(request())
        if status == 200 and "degraded" not in told:
            return time.monotonic() - begin
        assert time.monotonic() - begin < 10
        time.sleep(0.05)


def test_by_default_a_store_that_hangs_or_dies_is_a_quick_503(path: Path, valkey: Valkey) -> None:
    with Server(_shared(path, valkey, "fail"), "--replay") as server:
        good = server.predict(request())[1]
        valkey.pause()
        for _ in range(3):  # each waits for its timeout; then the circuit is open
            assert server.predict(request())[0] == 503
        begin = time.monotonic()
        answers = [server.predict(request()) for _ in range(10)]
        assert {status for status, _ in answers} == {503}
        assert time.monotonic() - begin < 1, "requests waited for a store that was known to hang"
        assert "backstay_online_open 1.0" in server.text("/metrics")
        valkey.go_on()
        assert _again(server) < 3
        valkey.kill()
        assert server.predict(request())[0] == 503
        valkey.start()
        _again(server)
        assert server.predict(request())[1]["score"] == good["score"]
        assert "backstay_online_open 0.0" in server.text("/metrics")


def test_last_known_answers_from_what_was_read_and_nothing_else(path: Path, valkey: Valkey) -> None:
    with Server(_shared(path, valkey, "last_known"), "--replay") as server:
        good = server.predict(request())[1]
        stranger = server.predict(request(shop="new"))[1]
        valkey.pause()
        status, told = server.predict(request())
        assert (status, told["degraded"], told["score"]) == (200, "last_known", good["score"])
        assert told["statuses"]["shop_late_7d"] == "LAST_KNOWN"
        status, told = server.predict(request(shop="new"))
        assert (status, told["degraded"], told["score"]) == (200, "last_known", stranger["score"])
        assert told["statuses"]["shop_late_7d"] == "MISSING", "it was asked about, and had never been seen"
        late = server.predict(request(at="2024-03-20T12:00:00Z"))[1]
        assert late["statuses"]["shop_last_size"] == "EXPIRED", "its age at T is its true age"
        many = {key: value for key, value in request().items() if key != "at"}
        assert server.predict({"rows": [many, many], "at": request()["at"]})[1]["degraded"] == "last_known"
        assert server.predict(request(shop="shop5"))[0] == 503, "nothing is known of this one"
        valkey.go_on()
        _again(server)
    logged = shop.logged(path)
    count = sum(one.degraded == "last_known" for one in logged)
    assert count >= 4
    report = Project(path).verify("late")
    assert (report.degraded, report.holds) == (count, True)
    degraded = next(one for one in logged if one.degraded)
    assert Project(path).trace(degraded.id).prediction["degraded"] == "last_known"


def test_defaults_are_the_declared_ones_and_null_never_zero(path: Path, valkey: Valkey) -> None:
    with Server(_shared(path, valkey, "defaults"), "--replay") as server:
        server.predict(request())
        valkey.kill()
        status, told = server.predict(request())
        assert (status, told["degraded"]) == (200, "defaults")
        assert told["statuses"]["shop_orders_1d"] == "UNAVAILABLE"
        valkey.start()
        _again(server)
    (one,) = [one for one in shop.logged(path) if one.degraded]
    names = [feature.name for feature in Project(path).model("late").features]
    values = dict(zip(names, one.values, strict=True))
    assert (values["shop_late_1d"], values["shop_orders_1d"], values["shop_late_7d"]) == (0.5, None, None)
    assert values["size"] == 10.5
    assert values["size_ratio"] is None


@pytest.mark.parametrize("policy", ["fail", "last_known"])
def test_a_store_that_starts_again_without_its_data_is_not_believed(path: Path, policy: str) -> None:
    """Nobody was ever seen, it says, and all counts are zero: it is the store that has lost them."""
    with Valkey() as forgetful, Server(_shared(path, forgetful, policy), "--replay") as server:
        good = server.predict(request())[1]
        forgetful.kill()
        forgetful.start()
        _until_asked(server)
        status, told = server.predict(request())
        if policy == "last_known":
            assert (status, told["degraded"], told["score"]) == (200, "last_known", good["score"])
        else:
            assert status == 503
            assert "lost events of source 'orders'" in told["error"]
            assert "backstay features backfill" in told["fix"]
        project = Project(path)
        project.backfill(until=shop.SECOND)
        project.close()
        _again(server)
        assert server.predict(request())[1]["score"] == good["score"]


def _until_asked(server: Server) -> None:
    """Wait until the store is asked again, whatever it says."""
    deadline = time.monotonic() + 10
    while "backstay_online_open 1.0" in server.text("/metrics"):
        assert time.monotonic() < deadline
        server.predict(request())
        time.sleep(0.05)


class _Store:
    """A store that fails when it is told to."""

    def __init__(self) -> None:
        self.error: BackstayError | None = None
        self.asked = 0

    def read(self, keys: Sequence[bytes], have: Any = None) -> list[bytes | None]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return [None] * len(keys)


def test_the_breaker_opens_probes_and_closes() -> None:
    store: Any = _Store()
    breaker = Breaker(store, failures=3, pause=0.05)
    store.error = BackstayError("down")
    for _ in range(10):
        with pytest.raises(Unavailable):
            breaker.read([b"k"])
    assert (store.asked, breaker.open, breaker.failed, breaker.refused) == (3, True, 3, 7)
    time.sleep(0.06)
    with pytest.raises(Unavailable):
        breaker.read([b"k"])
    assert (store.asked, breaker.open) == (4, True)
    time.sleep(0.06)
    store.error = None
    assert breaker.read([b"k"]) == [None]
    assert not breaker.open
    store.error = InputError("a mistake of whoever asks is no failure of the store")
    for _ in range(5):
        with pytest.raises(InputError):
            breaker.read([b"k"])
    assert not breaker.open


def test_the_policy_is_checked_and_changes_no_hash() -> None:
    orders = EventSource("orders", schema={"shop": "string", "size": "float"}, event_time="t", delay="1m")

    def declared(policy: Any) -> FeatureSet:
        return FeatureSet("f", [Latest(orders, by=Entity("shop"), size="size")], on_failure=policy)

    assert declared("fail").hash == declared("last_known").hash
    with pytest.raises(DefinitionError, match="on_failure is 'zero'"):
        declared("zero")
