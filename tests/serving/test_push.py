"""Live pushes: stamped, recorded, visible at once, and still there after the server is killed."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from pathlib import Path

import polars as pl

from backstay.features.ingest import prepare
from backstay.project import Project
from tests.servers import DURABLE, Valkey
from tests.serving import shop
from tests.serving.shop import Server, event, live


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))


def test_a_pushed_event_is_stamped_recorded_seen_and_survives_a_kill(path: Path) -> None:
    before = time.time_ns() // 1_000
    with Server(path) as server:
        assert server.predict(live(shop="new"))[1]["statuses"]["shop_last_size"] == "MISSING"
        status, answer = server.push(event(shop="new", event_time=_now()), event(shop="newer", event_time=_now()))
        assert (status, answer) == (200, {"accepted": 2, "sequence": 2402})
        first = server.predict(live(shop="new"))[1]
        server.stop(signal.SIGKILL)
    after = time.time_ns() // 1_000
    project = Project(path)
    rows = project.services.events.read("orders", known_after=before)
    assert rows.get_column("shop").to_list() == ["new", "newer"]
    assert all(before <= known <= after for known in rows.get_column("known_time").dt.epoch("us"))
    project.close()
    with Server(path) as server:
        again = server.predict(live(shop="new"))[1]
        assert server.predict(live(shop="newer"))[1]["statuses"].get("shop_last_size") is None
    for one in (first, again):
        assert "shop_last_size" not in one["statuses"]
        assert "shop_late_1d" not in one["statuses"]
        assert one["score"] == first["score"]
    assert Project(path).verify("late").holds


def test_what_is_recorded_and_cannot_be_shown_yet_is_accepted_and_says_so(path: Path) -> None:
    """Refused, it would be sent again, and count twice."""
    with Valkey(*DURABLE) as valkey:
        (path / "backstay.toml").write_text(f'{shop.TOML}\n[online]\nurl = "{valkey.url}"\ntimeout_ms = 150\n')
        with Server(path) as server:
            valkey.pause()
            status, told = server.push(event(shop="new", event_time=_now()))
            assert (status, told["accepted"], told["sequence"], told["visible"]) == (202, 1, 2401, False)
            assert "do not send them again" in told["fix"]
            valkey.go_on()
            assert server.push(event(shop="newer", event_time=_now())) == (200, {"accepted": 1, "sequence": 2402})
            for name in ("new", "newer"):
                assert "shop_last_size" not in server.predict(live(shop=name))[1]["statuses"]
    assert Project(path).services.events.last_sequence("orders") == 2402


def test_a_restart_reads_what_was_recorded_but_not_applied(path: Path) -> None:
    """Killed between the record and the online state: the record is what counts."""
    _record(path, "silent")
    with Server(path) as server:
        assert "shop_last_size" not in server.predict(live(shop="silent"))[1]["statuses"]


def test_events_recorded_beside_a_running_server_are_not_lost_to_the_next_push(path: Path) -> None:
    """`backstay ingest` while the server runs: the push that follows is numbered after events it has not applied."""
    with Server(path) as server:
        _record(path, "beside")
        assert server.predict(live(shop="beside"))[1]["statuses"]["shop_last_size"] == "MISSING"
        assert server.push(event(event_time=_now()))[1] == {"accepted": 1, "sequence": 2402}
        assert "shop_last_size" not in server.predict(live(shop="beside"))[1]["statuses"]
    report = Project(path).verify("late")
    assert (report.holds, report.checked) == (True, 2), report.as_dict()


def test_an_empty_push_changes_nothing(path: Path) -> None:
    with Server(path) as server:
        assert server.push() == (200, {"accepted": 0, "sequence": 2400})
    assert Project(path).services.events.last_sequence("orders") == 2400


def test_replayed_pushes_leave_the_record_alone(path: Path) -> None:
    with Server(path, "--replay") as server:
        # the record has 2,400 events, of which the online state has read those known at SECOND
        known = {"known_time": "2024-02-20T10:01:00Z", "event_time": "2024-02-20T10:00:00Z"}
        sequence = server.push()[1]["sequence"] + 1
        for _ in range(2):  # pushing again changes nothing
            status, answer = server.push(event(shop="new", sequence=sequence, **known))
            assert (status, answer["sequence"]) == (200, sequence)
    assert Project(path).services.events.last_sequence("orders") == 2400


def _record(path: Path, shop: str) -> None:
    """One event, straight into the record, by another process as it were."""
    project = Project(path)
    source = project.definitions.sources["orders"]
    row = event(shop=shop)
    frame = pl.DataFrame({name: [row[name]] for name in source.schema if name != "due"})
    moment = pl.lit(project.clock.now()).cast(pl.Datetime("us", "UTC"))
    frame = frame.with_columns(paid=moment - timedelta(hours=1), due=moment).select("paid", *source.schema)
    project.services.events.append("orders", prepare(source, frame))
    project.close()
