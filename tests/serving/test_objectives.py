"""How objectives are kept is counted right: over workers, restarts and kills, at the door, and over both protocols."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest

from backstay.core.clock import SystemClock
from backstay.core.times import HOUR
from backstay.definitions import Objective
from backstay.project import Project
from backstay.serving import objectives
from backstay.serving.board import ROWS, Board
from backstay.serving.metrics import WIDTH
from backstay.serving.objectives import Keeper, counted, tallies
from backstay.serving.v2.messages import SERVICE, message
from backstay.storage.backends.local.counts import LocalCounts
from backstay.storage.counts import Counted
from tests.serving import shop
from tests.serving.shop import Server, live
from tests.serving.test_workers import children, metric, until

PROMISED = 'retrain=RetrainPolicy(every="4d"),\n    objective=Objective(latency="{}", why="the desk waits for it"),'


def promising(path: Path, latency: str = "10s", toml: str = "") -> Path:
    """The project with an objective for `late`; `unborn`, which has no champion, has none."""
    source = shop.MODELS.replace('retrain=RetrainPolicy(every="4d"),', PROMISED.format(latency))
    (path / "models.py").write_text(source.replace("import Request,", "import Objective, Request,"))
    if toml:
        (path / "backstay.toml").write_text(toml)
    return path


def recorded(path: Path) -> tuple[int, int, int]:
    """Requests, failed and slow of the last hour, as they stand in the record."""
    project = Project(path)
    rows = list(project.services.counts.scan(model="late", since=SystemClock().now() - HOUR))
    assert {one.model for one in project.services.counts.scan()} <= {"late"}
    project.close()
    return tuple(sum(getattr(one, name) for one in rows) for name in ("requests", "failed", "slow"))  # type: ignore[return-value]


def shown(server: Server) -> tuple[float, ...]:
    """The same of this server, as Prometheus sees it."""
    names = ("requests", "failed", "slow")
    return tuple(metric(server, f'backstay_objective_{name}_total{{model="late"}}') for name in names)


def ask(server: Server, clients: int, each: int) -> Counter[int]:
    """So many requests by so many clients at once: how many were answered with which status."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def run() -> None:
        connection, mine = server.connection(), Counter[int]()
        for _ in range(each):
            connection.request("POST", "/v1/models/late/predict", json.dumps(live()), server.headers())
            answer = connection.getresponse()
            answer.read()
            mine[answer.status] += 1
        connection.close()
        with lock:
            statuses.update(mine)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return statuses


def health(server: Server) -> str:
    """The health page of the admin plane."""
    connection = http.client.HTTPConnection("127.0.0.1", int(server.told["admin_url"].rpartition(":")[2]))
    try:
        connection.request("GET", "/", headers=server.headers())
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_over_two_workers_a_kill_and_a_restart_every_request_is_counted_once(path: Path) -> None:
    promising(path)
    with Server(path, "--workers", "2") as server:
        assert ask(server, 8, 50) == {200: 400}
        assert shown(server) == (400, 0, 0)
        os.kill(children(server)[0], signal.SIGKILL)
        until("a new worker", lambda: metric(server, "backstay_worker_starts_total") == 3)
        assert ask(server, 8, 20) == {200: 160}
        assert shown(server) == (560, 0, 0)
    assert recorded(path) == (560, 0, 0), "what the killed worker had counted, its successor has written down"
    with Server(path, "--workers", "2") as server:
        assert ask(server, 4, 10) == {200: 40}
        assert shown(server) == (40, 0, 0)
    assert recorded(path) == (600, 0, 0)


def test_a_killed_server_loses_what_it_had_not_written_and_no_more(path: Path) -> None:
    promising(path)
    server = Server(path)
    assert ask(server, 1, 30) == {200: 30}
    until("it is written", lambda: recorded(path) == (30, 0, 0))
    assert ask(server, 1, 5) == {200: 5}
    server.stop(signal.SIGKILL)
    assert 30 <= recorded(path)[0] <= 35


def test_what_is_slow_and_what_is_refused_is_told_apart(path: Path) -> None:
    # Nothing is answered within a microsecond, and a server that has promised it takes in as little as it can.
    promising(path, "1us")
    with Server(path) as server:
        statuses = ask(server, 24, 40)
        assert set(statuses) == {200, 429}
        assert shown(server) == (960, statuses[429], statuses[200])
        assert metric(server, 'backstay_objective_latency_seconds{model="late"}') == 1e-6
        assert metric(server, 'backstay_objective_latency_target{model="late"}') == 0.99
        assert metric(server, 'backstay_objective_availability_target{model="late"}') == 0.999
        assert "unborn" not in server.text("/metrics")
    assert recorded(path) == (960, statuses[429], statuses[200])


def test_the_clients_own_mistakes_do_not_count_and_both_protocols_do(path: Path) -> None:
    promising(path, toml=shop.ADMIN)
    with Server(path) as server:
        width = len(server.ask("GET", "/v2/models/late")[1]["parameters"]["features"])
        body = {"inputs": [{"name": "features", "shape": [1, width], "datatype": "FP32", "data": [1.0] * width}]}
        assert server.predict(b"no JSON")[0] == 400
        assert server.predict({"keys": {}})[0] == 400
        assert server.ask("POST", "/v1/models/late/predict", b"{}", {})[0] == 401
        assert server.ask("POST", "/v1/models/none/predict", b"{}")[0] == 404
        assert server.ask("GET", "/v1/models/late/predict")[0] == 405
        assert server.ask("POST", "/v2/models/late/versions/7/infer", b"{}")[0] == 404
        for wait in ("0", "-1", "-inf"):
            headers = server.headers() | {"x-request-timeout-ms": wait}
            assert server.ask("POST", "/v1/models/late/predict", json.dumps(live()).encode(), headers)[0] == 504
        assert server.infer(json.dumps(body).replace("1.0", "1e999").encode())[0] == 400
        assert shown(server) == (0, 0, 0)
        assert server.predict(live())[0] == 200
        assert server.infer(body)[0] == 200
        assert server.ask("POST", "/v2/models/late/versions/1/infer", json.dumps(body).encode())[0] == 200
        assert shown(server) == (3, 0, 0)
        with grpc.insecure_channel(server.told["grpc"]) as channel:
            infer = channel.unary_unary(
                f"/{SERVICE}/ModelInfer", request_serializer=lambda one: one.SerializeToString(),
                response_deserializer=message("ModelInferResponse").FromString,
            )  # fmt: skip
            asked = message("ModelInferRequest")(model_name="late")
            one = asked.inputs.add(name="features", datatype="FP32", shape=[1, width])
            one.contents.fp32_contents.extend([1.0] * width)
            token = (("authorization", f"Bearer {server.token}"),)
            infer(asked, metadata=token)
            one.shape[1] = 1
            with pytest.raises(grpc.RpcError):
                infer(asked, metadata=token)
        assert shown(server) == (4, 0, 0)
        admin = server.told["admin_url"].rpartition(":")[2]
        connection = http.client.HTTPConnection("127.0.0.1", int(admin))
        connection.request("POST", "/v2/repository/models/late/unload", b"", server.headers())
        assert connection.getresponse().status == 200
        connection.close()
        assert server.predict(live())[0] == 503
        assert shown(server) == (5, 1, 0)
        until("it is written", lambda: recorded(path) == (5, 1, 0))
        page = health(server)
        assert "99.9% answered over 30d: the desk waits for it" in page
        assert "none declared: Model(..., objective=Objective(latency=..., why=...))" in page
        assert "page: burns 200x and 200x over 1h and 5m" in page
        assert "so few requests that one bad one alone is enough" in page
    assert recorded(path) == (5, 1, 0)


def test_a_version_is_the_same_with_a_promise_and_without(path: Path) -> None:
    before = Project(path).records.registry.get("late", 2)
    promising(path)
    promised = Project(path)
    assert promised.model("late").objective is not None
    assert promised.train("late", as_of=shop.SECOND, note="the second").digest == before.digest
    promised.close()


def test_a_replay_counts_nothing(path: Path) -> None:
    promising(path)
    with Server(path, "--replay") as server:
        assert server.predict(shop.request())[0] == 200
        assert "backstay_objective" not in server.text("/metrics")
    assert not (path / ".backstay" / "counts").exists()


def test_a_row_is_a_models_whatever_others_a_worker_knows() -> None:
    board, promise = Board(WIDTH, 2), Objective(latency="1s", why="w")
    one, two = tallies(board, 0, {"a": promise, "b": promise}), tallies(board, 1, {"b": promise})
    for counts in (one["b"], two["b"], two["b"]):
        counts.answered(200, 0.5)
    one["a"].answered(500, 0.5)
    assert counted(board, "b") == (3, 0, 0)
    assert counted(board, "a") == (1, 1, 0)
    assert counted(board, "c") == (0, 0, 0)
    one["b"].written([1, 0, 0])
    again = tallies(board, 0, {"b": promise, "c": promise})
    assert (again["b"].unwritten(), again["c"].unwritten()) == ([0, 0, 0], [0, 0, 0])


class SlowDisk(LocalCounts):
    """Counts on a disk that lets each append wait until it is told to go on."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.waiting, self.goes_on = threading.Event(), threading.Event()

    def append(self, rows: Sequence[Counted]) -> None:
        self.waiting.set()
        assert self.goes_on.wait(30)
        super().append(rows)


def test_what_is_counted_while_the_last_write_waits_for_the_disk_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objectives, "WRITE_SECONDS", 0.01)
    log = SlowDisk(tmp_path)
    (one,) = (told := tallies(Board(WIDTH), 0, {"m": Objective(latency="1s", why="w")})).values()

    async def counting() -> None:
        keeper = Keeper(told, log, SystemClock(), {})
        one.answered(200, 0.1)
        keeper.start()
        await asyncio.to_thread(log.waiting.wait, 30)
        one.answered(200, 0.1)  # it is not in what is being written
        stopped = asyncio.create_task(keeper.stop())
        await asyncio.sleep(0.05)
        log.goes_on.set()
        await stopped

    asyncio.run(counting())
    assert sum(row.requests for row in log.scan()) == 2
    assert one.unwritten() == [0, 0, 0]


def test_more_models_than_there_are_rows_are_refused() -> None:
    promise = Objective(latency="1s", why="w")
    with pytest.raises(Exception, match=f"more than {ROWS} models"):
        tallies(Board(WIDTH), 0, {f"m{number}": promise for number in range(ROWS + 1)})


@pytest.mark.parametrize(
    ("status", "seconds", "counts"),
    [
        (200, 1.0, (1, 0, 0)),
        (200, 1.1, (1, 0, 1)),
        (400, 9.0, (0, 0, 0)),
        (404, 0.0, (0, 0, 0)),
        (413, 0.0, (0, 0, 0)),
        (499, 9.0, (0, 0, 0)),
        (429, 0.0, (1, 1, 0)),
        (500, 9.0, (1, 1, 0)),
        (503, 0.0, (1, 1, 0)),
        (504, 9.0, (1, 1, 0)),
    ],
)
def test_what_counts(status: int, seconds: float, counts: tuple[int, int, int]) -> None:
    board = Board(WIDTH)
    tallies(board, 0, {"m": Objective(latency="1s", why="w")})["m"].answered(status, seconds)
    assert counted(board, "m") == counts
