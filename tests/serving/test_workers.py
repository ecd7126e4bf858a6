"""Several workers on one listener: killed, replaced and drained under load; their metrics are summed."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import signal
import subprocess
import threading
import time
from pathlib import Path

from backstay.serving.board import Board
from backstay.serving.metrics import WIDTH, Metrics
from tests.serving import shop
from tests.serving.shop import Server, event, live


class Load:
    """Clients that ask as fast as they are answered, each on a connection that it keeps as long as it may."""

    def __init__(self, server: Server, clients: int = 8) -> None:
        self._server, self._stop = server, threading.Event()
        self.ids: list[str] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        body, connection = json.dumps(live()), self._server.connection()
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v1/models/late/predict", body, self._server.headers())
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status == 200:
                    self.ids.append(told["prediction_id"])
                else:
                    self.failed.append(f"{answer.status} {told}")
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                self.failed.append(repr(error))
                connection.close()
                connection = self._server.connection()
        connection.close()

    def wait(self, more: int) -> None:
        """Until so many more requests were answered."""
        goal, until = len(self.ids) + more, time.monotonic() + 30
        while len(self.ids) < goal:
            assert time.monotonic() < until, self.failed[-3:]
            time.sleep(0.02)


def children(server: Server) -> list[int]:
    """The workers."""
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def metric(server: Server, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.text("/metrics"), re.MULTILINE)
    return 0.0 if found is None else float(found[1])


ANSWERED = 'backstay_requests_total{endpoint="predict",status="200"}'


def until(what: str, met: object, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not met():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_a_killed_worker_takes_nothing_acknowledged_with_it_and_is_replaced(path: Path) -> None:
    with Server(path, "--workers", "2") as server:
        assert server.told["workers"] == 2
        first = children(server)
        assert len(first) == 2
        with Load(server) as load:
            load.wait(200)
            os.kill(first[0], signal.SIGKILL)
            load.wait(200)
            until("a new worker", lambda: len(set(children(server)) | set(first)) == 3)
            until("two starts more", lambda: metric(server, "backstay_worker_starts_total") == 3)
            load.wait(100)
        # what was in flight in the killed one, at most one a client, is lost; whoever asks again is answered
        assert len(load.failed) <= 8
        assert metric(server, ANSWERED) >= len(load.ids)
        assert first[1] in children(server)
        assert first[0] not in children(server)
    logged = [one.id for one in shop.logged(path)]
    assert set(load.ids) <= set(logged)
    assert len(set(logged)) == len(logged)


def test_metrics_are_summed_and_neither_fall_nor_grow_when_workers_are_replaced(path: Path) -> None:
    # client_python#367: the files of dead workers pile up, and scrapes get slower; kserve#2979: a scrape tells of
    # whichever worker it met, so that counters go up and down.
    with Server(path, "--workers", "2") as server:
        for _ in range(40):
            assert server.predict(live())[0] == 200
        seen = {metric(server, ANSWERED) for _ in range(20)}
        assert seen == {40.0}, "every worker tells of all"
        lines = len(server.text("/metrics").splitlines())
        for starts in (3, 4):
            os.kill(children(server)[0], signal.SIGKILL)
            until("a replacement", lambda n=starts: metric(server, "backstay_worker_starts_total") == n)
            until("both counting", lambda: server.text("/metrics").count("backstay_worker_start_time_seconds{") == 2)
            assert metric(server, ANSWERED) == 40
        for _ in range(10):
            assert server.predict(live())[0] == 200
        assert metric(server, ANSWERED) == 50
        assert len(server.text("/metrics").splitlines()) == lines


def test_a_board_keeps_the_counts_of_the_dead_and_drops_their_gauges(tmp_path: Path) -> None:
    file = (tmp_path / "board").open("w+b")
    board = Board(WIDTH, 2, file.fileno())
    one, two = Metrics(Board(WIDTH, 2, file.fileno()), 0), Metrics(Board(WIDTH, 2, file.fileno()), 1)
    for metrics in (one, two):
        metrics.gauges["rows_in_flight"] = ("rows", lambda: 3.0)
        metrics.answered("predict", 200)
        metrics.publish()
    assert 'predict",status="200"} 2.0' in two.written()[0].decode()
    assert "backstay_rows_in_flight 6.0" in two.written()[0].decode()
    board.leave(0)
    text = two.written()[0].decode()
    assert 'predict",status="200"} 2.0' in text
    assert "backstay_rows_in_flight 3.0" in text
    size = file.seek(0, os.SEEK_END)
    for _ in range(100):
        Metrics(Board(WIDTH, 2, file.fileno()), 0).answered("predict", 200)
        board.leave(0)
    assert file.seek(0, os.SEEK_END) == size
    assert 'predict",status="200"} 102.0' in two.written()[0].decode()
    assert len(two.written()[0]) <= len(text) + 40
    file.close()


def test_sighup_replaces_every_worker_and_no_request_fails(path: Path) -> None:
    with Server(path, "--workers", "2") as server:
        first = set(children(server))
        with Load(server) as load:
            load.wait(100)
            server.process.send_signal(signal.SIGHUP)
            until("all replaced", lambda: len(children(server)) == 2 and not first & set(children(server)), 60)
            load.wait(100)
        assert load.failed == []
        assert metric(server, ANSWERED) == len(load.ids)
    assert {one.id for one in shop.logged(path)} == set(load.ids)


def test_a_new_worker_that_cannot_start_leaves_the_old_ones_serving(path: Path) -> None:
    with Server(path, "--workers", "2") as server:
        first = children(server)
        (path / "models.py").write_text("what is this")
        server.process.send_signal(signal.SIGHUP)
        until("it is told", lambda: "are not replaced" in Path(server.log.name).read_text())
        assert children(server) == first
        assert server.predict(live())[0] == 200


def test_events_pushed_to_any_worker_are_seen_by_all(path: Path) -> None:
    with Server(path, "--workers", "2") as server:
        for number in range(20):
            status, _ = server.push(event(shop=f"new{number}"))
            assert status == 200
        for number in range(20):
            for _ in range(2):
                status, told = server.predict(live(shop=f"new{number}"))
                assert status == 200
                assert told["statuses"].get("shop_last_size") != "MISSING"


def test_workers_that_cannot_start_are_the_servers_error(path: Path) -> None:
    shop.tamper(shop.model_file(path, 1))
    done = subprocess.run(
        shop.command(path, "--workers", "2"), capture_output=True, text=True, env=shop.environment(), timeout=60
    )
    assert done.returncode == 3
    assert "restore the file from a backup" in json.loads(done.stdout)["fix"]


def test_workers_do_not_outlive_a_killed_parent(path: Path) -> None:
    server = Server(path, "--workers", "2")
    workers = children(server)
    server.stop(signal.SIGKILL)
    until("no worker left", lambda: not any(Path(f"/proc/{one}").exists() for one in workers))


def test_more_clients_are_answered_than_a_shell_lets_a_process_have_files(path: Path) -> None:
    few, (soft, hard) = 256, resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))  # which the server is started with
    try:
        server = Server(path, cold=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with server:
        clients = [server.connection() for _ in range(2 * few)]
        for one in clients:
            one.request("GET", "/v2/health/live")
        assert [one.getresponse().status for one in clients] == [200] * len(clients)
        for one in clients:
            one.close()
