"""The server follows the champion without a failed request, and never serves a model that was tampered with."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from backstay.project import Project
from tests.serving import shop
from tests.serving.shop import Server, request

PREDICT = "/v1/models/late/predict"


def _until(server: Server, number: int) -> float:
    """Seconds until the server says that it serves this version."""
    begin = time.monotonic()
    while server.model()["version"] != number:
        assert time.monotonic() - begin < 10
        time.sleep(0.02)
    return time.monotonic() - begin


class Load:
    """Threads that send good requests over kept connections until told to stop."""

    def __init__(self, server: Server, threads: int) -> None:
        self.versions: Counter[int] = Counter()
        self.scores: dict[int, set[float]] = {}
        self.failed: list[object] = []
        self._server, self._over = server, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection, body = self._server.connection(), json.dumps(request())
        while not self._over.is_set():
            try:
                connection.request("POST", PREDICT, body, self._server.headers())
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status == 200:
                    self.versions[told["version"]] += 1
                    self.scores.setdefault(told["version"], set()).add(told["score"])
                else:
                    self.failed.append(told)
            except OSError as error:
                self.failed.append(error)
                break
        connection.close()


def test_no_request_fails_while_champions_alternate(path: Path) -> None:
    project = Project(path)
    waits = []
    with Server(path, "--replay") as server, Load(server, 8) as load:
        for number in [2, 1] * 4:
            shop.move_champion(project, number)
            waits.append(_until(server, number))
            time.sleep(0.1)
    assert load.failed == []
    assert load.versions.keys() == {1, 2}
    assert max(waits) < 1, waits
    assert all(len(scores) == 1 for scores in load.scores.values())
    assert load.scores[1] != load.scores[2]
    digests = {version.number: version.digest for version in project.versions("late")}
    served = Counter(one.version for one in shop.logged(path))
    assert served == {digests[number]: count for number, count in load.versions.items()}
    assert Project(path).verify("late", sample=300).holds


def test_a_tampered_champion_is_not_followed(path: Path) -> None:
    project = Project(path)
    with Server(path, "--replay") as server:
        score = server.predict(request())[1]["score"]
        file = shop.model_file(path, 2)
        whole = file.read_bytes()
        shop.tamper(file)
        shop.move_champion(project, 2)
        begin = time.monotonic()
        while (told := server.model())["problem"] is None:
            assert time.monotonic() - begin < 10
            time.sleep(0.02)
        assert told["version"] == 1
        assert "was changed" in told["problem"]
        assert str(file) in told["problem"]
        status, answer = server.ask("GET", "/v2/health/ready")
        assert status == 503
        assert "was changed" in answer["error"]
        status, answer = server.predict(request())
        assert (status, answer["version"], answer["score"]) == (200, 1, score)
        # back to the one that works: the problem is over
        shop.move_champion(project, 1)
        while server.model()["problem"]:
            assert time.monotonic() - begin < 20
            time.sleep(0.02)
        # the file restored, and promoted again: it is served
        file.write_bytes(whole)
        shop.move_champion(project, 2)
        _until(server, 2)
        assert server.predict(request())[1]["version"] == 2


@pytest.mark.parametrize("what", ["changed", "cut short", "gone"])
def test_a_server_refuses_to_start_on_a_tampered_champion(path: Path, what: str) -> None:
    file = shop.model_file(path, 1)
    if what == "changed":
        shop.tamper(file)
    elif what == "cut short":
        file.chmod(0o644)
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    done = subprocess.run(
        shop.command(path, "--replay"), capture_output=True, text=True, env=shop.environment(), timeout=30
    )
    assert done.returncode not in (0, None)
    assert "url" not in done.stdout
    said = done.stderr + done.stdout
    assert "Traceback" not in said
    assert (str(file) if what != "gone" else "late/1/model.onnx") in said
    assert shop.logged(path) == []


def test_a_tampered_manifest_is_refused_too(path: Path) -> None:
    project = Project(path)
    digest = project.records.registry.get("late", 1).digest
    shop.tamper(project.services.home / "artifacts" / digest[:2] / digest[2:])
    done = subprocess.run(
        shop.command(path, "--replay"), capture_output=True, text=True, env=shop.environment(), timeout=30
    )
    assert done.returncode != 0
    assert digest[2:] in done.stderr + done.stdout
