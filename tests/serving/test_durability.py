"""What was acknowledged is in the record, whatever happens to the server."""

from __future__ import annotations

import http.client
import json
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from backstay.project import Project
from tests.serving import shop
from tests.serving.shop import Server, event, live, request


def in_mode(path: Path, mode: str) -> Path:
    with (path / "backstay.toml").open("a") as file:
        file.write(f'\n[predictions]\nmode = "{mode}"\n')
    return path


@pytest.mark.parametrize("mode", ["durable", "sync"])
def test_every_acknowledged_prediction_survives_a_kill_under_load(path: Path, mode: str) -> None:
    in_mode(path, mode)
    acknowledged: list[str] = []
    ended: list[str] = []
    with Server(path, "--replay") as server:

        def send() -> None:
            connection, body = server.connection(), json.dumps(request())
            try:
                while True:
                    connection.request("POST", "/v1/models/late/predict", body, server.headers())
                    answer = connection.getresponse()
                    acknowledged.append(json.loads(answer.read())["prediction_id"])
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                ended.append(type(error).__name__)
            finally:
                connection.close()

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert len(ended) == 8
    assert len(acknowledged) > 50
    logged = [one.id for one in shop.logged(path)]
    assert set(acknowledged) <= set(logged)
    assert len(set(logged)) == len(logged)
    assert len(logged) <= len(acknowledged) + 8  # besides, at most what was in flight
    with Server(path, "--replay") as server:  # and it comes back
        assert server.predict(request())[0] == 200
    assert len(shop.logged(path)) == len(logged) + 1


@pytest.mark.parametrize("mode", ["durable", "sync"])
def test_a_full_disk_is_503_until_there_is_room_again(path: Path, mode: str) -> None:
    with Server(in_mode(path, mode), "--replay") as server:
        ids = [server.predict(request())[1]["prediction_id"]]
        (segment,) = (path / ".backstay" / "predictions" / "_segments").glob("*.seg")
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (segment.stat().st_size + 100, before[1]))
        for _ in range(3):
            status, answer = server.predict(request())
            assert status == 503
            assert "predictions were not written (File too large)" in answer["error"]
            assert answer["fix"] == "free space or mend the disk, then send it again"
        assert [one.id for one in shop.logged(path)] == ids
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        ids += [server.predict(request())[1]["prediction_id"] for _ in range(3)]
    assert [one.id for one in shop.logged(path)] == ids


def test_lossy_goes_on_serving_on_a_full_disk(path: Path) -> None:
    with Server(in_mode(path, "lossy"), "--replay") as server:
        pid = server.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))
        ids = [server.predict(request())[1]["prediction_id"] for _ in range(5)]
        assert shop.logged(path) == []
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert [one.id for one in shop.logged(path)] == ids
    assert Project(path).status().lost_predictions == 0


def test_every_acknowledged_event_survives_a_kill_under_load(path: Path) -> None:
    acknowledged: list[str] = []
    with Server(path) as server:

        def push() -> None:
            try:
                for number in range(10_000):
                    status, _ = server.push(event(shop=f"new{number}"))
                    assert status == 200
                    acknowledged.append(f"new{number}")
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                pass

        thread = threading.Thread(target=push)
        thread.start()
        time.sleep(1)
        server.stop(signal.SIGKILL)
        thread.join()
    assert acknowledged
    table = Project(path).services.events.read("orders")
    pushed = table.filter(table["sequence"] > 2400)
    assert pushed["shop"].to_list()[: len(acknowledged)] == acknowledged
    assert pushed.height <= len(acknowledged) + 1
    with Server(path) as server:
        assert server.predict(live(shop=acknowledged[-1]))[1]["statuses"].get("shop_last_size") != "MISSING"


def test_a_server_told_to_stop_finishes_what_is_in_flight(path: Path) -> None:
    with Server(path, "--replay") as server:
        ids = [server.predict(request())[1]["prediction_id"] for _ in range(3)]
        assert server.stop(signal.SIGTERM) == 0
    assert [one.id for one in shop.logged(path)] == ids
