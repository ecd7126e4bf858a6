"""The order in which a server stops: not ready, its grace, no more connections, what is in flight, the log, the end."""

from __future__ import annotations

import http.client
import json
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.serving import shop
from tests.serving.shop import Server, live
from tests.serving.test_workers import Load


def graceful(path: Path, seconds: int) -> Path:
    (path / "backstay.toml").write_text(f"{shop.TOML}grace = {seconds}\n")
    return path


def stopping(server: Server) -> bool:
    status, told = server.ask("GET", "/v2/health/ready")
    return status == 503 and "about to stop" in told["error"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_in_its_grace_it_is_not_ready_and_answers(path: Path, workers: str) -> None:
    with Server(graceful(path, 2), "--workers", workers) as server, closing(server.connection()) as kept:
        kept.request("GET", "/v2/health/ready")
        assert b"stop" not in kept.getresponse().read()  # it is not ready for another reason: a model has no champion
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        while not stopping(server):
            assert time.monotonic() - begin < 2
        assert server.ask("GET", "/v2/health/live")[0] == 200
        kept.request("GET", "/v2/health/live")
        answer = kept.getresponse()
        assert answer.status == 200
        assert answer.getheader("connection") == "close", "clients are told to go elsewhere"
        status, told = server.predict(live())
        assert status == 200, "new connections are taken"
        assert server.process.wait(60) == 0
        assert time.monotonic() - begin > 1.9
        with pytest.raises(ConnectionRefusedError):
            server.predict(live())
    assert [one.id for one in shop.logged(path)] == [told["prediction_id"]]


def test_interrupted_it_leaves_out_the_grace(path: Path) -> None:
    with Server(graceful(path, 60)) as server:
        assert server.predict(live())[0] == 200
        assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_again_it_still_answers_what_is_in_flight(path: Path, workers: str, first: signal.Signals) -> None:
    body = json.dumps(live()).encode()
    with Server(graceful(path, 0), "--workers", workers) as server, closing(server.connection()) as connection:
        connection.putrequest("POST", "/v1/models/late/predict")
        for name, value in {**server.headers(), "content-length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body[:5])
        time.sleep(0.3)
        for number in (first, signal.SIGINT, signal.SIGINT):
            server.process.send_signal(number)
            time.sleep(0.3)
        connection.send(body[5:])
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200, told
        assert server.process.wait(60) == 0
        said = Path(server.log.name).read_text()
    assert "Traceback" not in said
    assert "it is stopping already: what is in flight is answered, for 10 s at most" in said
    assert [one.id for one in shop.logged(path)] == [told["prediction_id"]]


def test_a_second_sigterm_leaves_out_the_rest_of_the_grace(path: Path) -> None:
    with Server(graceful(path, 60)) as server:
        server.process.send_signal(signal.SIGTERM)
        while not stopping(server):
            time.sleep(0.05)
        assert server.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_drained_under_load_every_answer_is_logged_and_every_logged_one_answered(path: Path, workers: str) -> None:
    with Server(graceful(path, 1), "--workers", workers) as server:
        with Load(server) as load:
            load.wait(200)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
        # Once it is gone its clients are refused. One that connects just as the listener closes is reset by the system,
        # before its request was read (in the middle of its writing, that is a broken pipe): once a client and worker,
        # and nothing of it is logged.
        resets = [one for one in load.failed if not one.startswith("ConnectionRefusedError")]
        assert {one.split("(")[0] for one in resets} <= {
            "ConnectionResetError",
            "RemoteDisconnected",
            "BrokenPipeError",
        }
        assert len(resets) <= 8 * int(workers)
    assert {one.id for one in shop.logged(path)} == set(load.ids)


def test_an_answer_in_flight_is_finished(path: Path) -> None:
    with Server(path) as server, closing(server.connection()) as connection:
        body = b'{"keys": {}}'
        connection.putrequest("POST", "/v1/models/late/predict")
        for name, value in {**server.headers(), "content-length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body[:5])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            http.client.HTTPConnection(server.host, server.port, timeout=5).connect()
        connection.send(body[5:])
        assert connection.getresponse().status == 400
        assert server.process.wait(60) == 0
