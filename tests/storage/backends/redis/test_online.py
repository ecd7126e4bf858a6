"""Online state on a real Valkey server: killed, paused, full, with a password, shared with others."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from uuid import uuid4

import pytest
import redis
from redis.crc import key_slot
from tests.servers import DURABLE, Valkey

from backstay.core.errors import BackstayError, InputError
from backstay.storage.backends.redis import RedisOnline
from backstay.storage.backends.redis import online as module


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A server for tests that leave it as it is."""
    with Valkey() as server:
        yield server


@pytest.fixture
def online(valkey: Valkey) -> Iterator[RedisOnline]:
    with closing(RedisOnline(valkey.url, prefix=uuid4().hex)) as store:
        yield store


def test_prefixes_are_states_of_their_own(valkey: Valkey) -> None:
    prefixes = ["a", "a:b", "a.b", "axb", "ab"]
    states = [RedisOnline(valkey.url, prefix=prefix) for prefix in prefixes]
    with redis.Redis.from_url(valkey.url) as client:
        client.set(b"somebody's", b"0")
        client.set(b"a", b"0")
        for state, prefix in zip(states, prefixes, strict=True):
            state.write({b"": prefix.encode(), b"b": prefix.encode(), b"}": b"", b"{x}": b""})
            assert len({key_slot(key) for key in client.scan_iter(b"{%s}*" % prefix.encode())}) == 1
        for place, state in enumerate(states):
            state.clear()
            found = [one.read([b"", b"b"]) for one in states]
            gone = place + 1
            assert found == [[None] * 2] * gone + [[prefix.encode()] * 2 for prefix in prefixes[gone:]]
        assert client.mget(b"somebody's", b"a") == [b"0", b"0"]
        client.flushdb()
    for state in states:
        state.close()


def test_clear_of_more_keys_than_one_scan_shows(online: RedisOnline) -> None:
    keys = [b"%d" % n for n in range(25_000)]
    online.write(dict.fromkeys(keys, b"1"))
    assert online.read(keys[-2:]) == [b"1", b"1"]
    online.clear()
    assert online.read(keys) == [None] * len(keys)


def test_too_many_keys_in_one_write(online: RedisOnline) -> None:
    most = {b"%d" % n: b"" for n in range(module.MOST_KEYS)}
    online.write(most)
    assert online.read([b"0", b"%d" % (module.MOST_KEYS - 1)]) == [b"", b""]
    with pytest.raises(InputError, match="at most 500000"):
        online.write(most, expect={b"0": b""})
    online.clear()


def test_a_server_that_is_killed_loses_nothing_it_acknowledged_and_is_found_again() -> None:
    with Valkey(*DURABLE) as server, closing(RedisOnline(server.url, prefix="p")) as online:
        acknowledged, done = [0], threading.Event()

        def write() -> None:
            for n in count(1):
                if done.is_set():
                    return
                try:
                    online.write({b"a": b"%d" % n, b"b" * 600: b"%d" % n})
                except BackstayError:
                    time.sleep(0.01)
                else:
                    acknowledged.append(n)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(5):
                before = acknowledged[-1]
                deadline = time.monotonic() + 20
                while acknowledged[-1] < before + 20:
                    assert time.monotonic() < deadline, "the writer did not find the server again"
                    time.sleep(0.001)
                server.kill()
                with pytest.raises(BackstayError, match="cannot be reached") as caught:
                    online.read([b"a"])
                assert caught.value.where == server.url
                kept = acknowledged[-1]
                server.start()
                a, b = online.read([b"a", b"b" * 600])
                assert a == b
                assert a is not None
                assert int(a) >= kept
        finally:
            done.set()
            writer.join()


def test_idle_connections_survive_a_restart_unseen() -> None:
    with Valkey(*DURABLE) as server, closing(RedisOnline(server.url, prefix="p")) as online:
        online.write({b"a": b"1"})
        assert online.read([b"a"]) == [b"1"]
        server.kill()
        server.start()
        assert online.read([b"a"]) == [b"1"]
        server.kill()
        server.start()
        online.write({b"a": b"2"}, expect={b"a": b"1"})
        assert online.read([b"a"]) == [b"2"]


def test_a_server_that_does_not_answer_holds_nobody_up() -> None:
    with (
        Valkey() as server,
        closing(RedisOnline(server.url, prefix="p", timeout=0.2, write_timeout=0.3)) as online,
        closing(RedisOnline(server.url, prefix="p", timeout=0.2)) as fresh,
    ):
        online.write({b"a": b"1"})
        online.read([b"a"])
        server.pause()
        for store in (online, fresh):
            began = time.monotonic()
            with pytest.raises(BackstayError, match=r"did not answer within 0\.2 s"):
                store.read([b"a"])
            assert 0.1 < time.monotonic() - began < 2
        with pytest.raises(BackstayError, match="whether the write was done is not known"):
            online.write({b"b": b"2"})
        server.go_on()
        assert online.read([b"a"]) == fresh.read([b"a"]) == [b"1"]
        online.write({b"c": b"3"})


def test_many_threads(online: RedisOnline) -> None:
    online.write({b"%d" % n: b"%d" % n * 1000 for n in range(8)})
    wrong: list[int] = []

    def read(n: int) -> None:
        if any(online.read([b"%d" % n]) != [b"%d" % n * 1000] for _ in range(300)):
            wrong.append(n)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_over_the_network() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        Valkey("--port", str(port), "--bind", "127.0.0.1", "--requirepass", "secret"),
        closing(RedisOnline(f"redis://:secret@127.0.0.1:{port}/1", prefix="p")) as online,
    ):
        online.write({b"a": b"1" * 5_000_000})
        assert online.read([b"a", b"b"]) == [b"1" * 5_000_000, None]


def test_a_server_with_a_password() -> None:
    with Valkey("--requirepass", "se/cret") as server:
        address = server.url.removeprefix("unix://")
        with closing(RedisOnline(f"unix://:se%2Fcret@{address}?db=3", prefix="p")) as online:
            online.write({b"a": b"1"})
            assert online.read([b"a"]) == [b"1"]
        for url in (f"unix://:wro%2Fng@{address}", f"unix://user:wro%2Fng@{address}", server.url):
            with closing(RedisOnline(url, prefix="p")) as online, pytest.raises(BackstayError) as caught:
                online.read([b"a"])
            assert caught.value.where == server.url
            assert "wro" not in str(caught.value)


def test_a_server_that_may_evict_is_refused(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client, closing(RedisOnline(valkey.url, prefix="p")) as online:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            for use in (lambda: online.read([b"a"]), lambda: online.write({b"a": b"1"})):
                with pytest.raises(BackstayError, match="noeviction"):
                    use()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
        assert online.read([b"a"]) == [None]


def test_a_server_that_is_full_refuses_all_of_a_write(valkey: Valkey, online: RedisOnline) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        online.write({b"a": b"1"})
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(BackstayError, match="maxmemory"):
                online.write({b"a": b"2", b"b": b"2"})
        finally:
            client.config_set("maxmemory", 0)
        assert online.read([b"a", b"b"]) == [b"1", None]
        online.write({b"a": b"3"})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://host/0", "redis://"),
        ("localhost:6379", "redis://"),
        (None, "redis://"),
        ("redis://:hunter/2@host:6379", "%XX"),
        ("redis://svc:p@hunter/2@127.0.0.1:1/0", "%XX"),
        ("redis://svc:p@hunter?2@127.0.0.1:1/0", "%XX"),
        ("redis://svc:p@127.0.0.1:1/hunter", "%XX"),
        ("redis://user:hunter2@host:6379?no_such_option=1", "option"),
        ("redis://user:hunter2@host:6379?db=one", "db"),
    ],
)
def test_urls_that_are_refused(url: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        RedisOnline(url, prefix="p")
    assert "hunter" not in str(caught.value)


def test_errors_show_no_password() -> None:
    for url, shown in (
        ("redis://user:secret@127.0.0.1:1/2?health_check_interval=5", "redis://127.0.0.1:1/2"),
        ("rediss://:secret@[::1]:1", "rediss://[::1]:1"),
        ("unix:///no/such/socket?password=secret", "unix:///no/such/socket"),
    ):
        with closing(RedisOnline(url, prefix="p")) as online, pytest.raises(BackstayError) as caught:
            online.write({b"a": b"1"})
        assert caught.value.where == shown
        assert "secret" not in str(caught.value)


def test_prefixes_that_are_refused(valkey: Valkey) -> None:
    for prefix in ("", "a{b", "a}", "a*", "a b"):
        with pytest.raises(InputError, match="prefix"):
            RedisOnline(valkey.url, prefix=prefix)


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hiredis", None)
    with pytest.raises(BackstayError, match=r'pip install "backstay\[redis\]"'):
        RedisOnline("redis://localhost", prefix="p")
