"""A tiny project with inputs of every type, trained and promoted for real, and its server as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from backstay.core.clock import ReplayClock
from backstay.core.times import instant
from backstay.project import Project
from backstay.storage.predictions import Prediction
from tests.warm import WarmCommand

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = "2024-02-14", "2024-02-20"
"""As of when the two versions were trained; the server's online state is as known at SECOND."""
BODY_LIMIT = 4_096
PUSH_LIMIT = 65_536
# An objective that no busy machine misses: what is refused under overload is tested where that is the question.
TOML = f"""[project]
name = "shop"

[serving]
body_limit = {BODY_LIMIT}
push_limit = {PUSH_LIMIT}
objective_ms = 10000
"""
MODELS = '''"""Will this order be late?"""

from datetime import UTC, datetime, timedelta

import polars as pl

from backstay import Ask, Count, Derived, Entity, EventSource, FeatureSet, GatePolicy, Label, Latest, Mean, Model
from backstay import Request, RetrainPolicy, Share, Windowed

ROWS = 2400


def history() -> pl.DataFrame:
    """2400 orders over 60 days: large ones are late more often, and so are those of some shops."""
    number = pl.int_range(ROWS, eager=True)
    noise = (number * 7919 % 1000).cast(pl.Float64) / 1000
    size = (number * 104729 % 997).cast(pl.Float64) + 1
    start = datetime(2024, 1, 1, tzinfo=UTC)
    time = [start + timedelta(seconds=2160 * n + n * n * 7717 % 60000) for n in range(ROWS)]
    return pl.DataFrame({
        "paid": time,
        "shop": "shop" + (number % 7).cast(pl.String),
        "counter": number % 5,
        "order": "o" + number.cast(pl.String),
        "size": size,
        "items": number % 9 + 1,
        "gift": number % 11 == 0,
        "due": [moment + timedelta(hours=5 + n % 40) for n, moment in enumerate(time)],
        "channel": pl.Series(["web", "phone", "desk"] * (ROWS // 3)),
        "note": pl.Series([None, "fragile"] * (ROWS // 2)),
        "late": noise < size / 1100 + (number % 7).cast(pl.Float64) / 40,
    })


orders = EventSource(
    "orders",
    schema={
        "shop": "string", "counter": "int", "order": "string", "size": "float", "items": "int", "gift": "bool",
        "due": "datetime", "channel": "string", "note": "string", "late": "bool",
    },
    event_time="paid",
    delay="1m",
    read=history,
)
shop, counter = Entity("shop"), Entity("counter")
features = FeatureSet(
    "order",
    [
        Windowed(orders, by=shop, over=["1d", "7d"], late=Share("late"), orders=Count()),
        Windowed(orders, by=counter, over="1d", size=Mean("size")),
        Latest(orders, by=shop, max_age="2d", last_size="size"),
        Request(size="float", items="int", gift="bool", due="datetime", channel="string", note="string",
                optional=["note"]),
        Derived(hour=pl.col("due").dt.hour(), web=pl.col("channel") == "web",
                size_ratio=pl.col("size") / pl.col("shop_last_size")),
    ],
    defaults={"shop_late_1d": 0.5},
)


def estimator():
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=10, num_leaves=7, min_child_samples=20, n_jobs=1, verbose=-1)


late = Model(
    "late",
    features=features,
    label=Label("late", source=orders, key="order", value=pl.col("late"), horizon="2h"),
    ask=Ask(orders, before="1h"),
    estimator=estimator,
    gate=GatePolicy(metric="auc", embargo="1h", judge_after="5d", minimum_rows=100, minimum_days=4),
    retrain=RetrainPolicy(every="4d"),
)
unborn = Model(
    "unborn", features=features, label=late.label, ask=late.ask, estimator=estimator,
)
'''


ADMIN = f"{TOML}admin = true\nadmin_port = 0\ngrpc = true\ngrpc_port = 0\n".replace(f"body_limit = {BODY_LIMIT}\n", "")
"""settings of a server with gRPC and an admin plane, and bodies as large as by default"""


def request(**changes: Any) -> dict[str, Any]:
    """A good request, as of SECOND at noon; keyword arguments replace fields, or keys, or `at`."""
    keys: dict[str, Any] = {"shop": "shop1", "counter": 1, "order": "o2100"}
    fields = {
        "size": 10.5, "items": 3, "gift": True, "due": "2024-02-21T09:00:00Z", "channel": "web", "note": None,
    }  # fmt: skip
    out: dict[str, Any] = {"keys": keys, "fields": fields, "at": f"{SECOND}T12:00:00Z"}
    for name, value in changes.items():
        (keys if name in keys else fields if name in fields else out)[name] = value
    return out


def live(**changes: Any) -> dict[str, Any]:
    """A good request to a server in production, where T is the server's."""
    out = request(**changes)
    del out["at"]
    return out


def event(**changes: Any) -> dict[str, Any]:
    """A good event to push in production."""
    return {
        "event_time": "2024-03-01T10:00:00Z", "shop": "shop1", "counter": 1, "order": "o9000", "size": 12.0,
        "items": 2, "gift": False, "due": "2024-03-02T10:00:00Z", "channel": "web", "note": None, "late": True,
        **changes,
    }  # fmt: skip


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "backstay.toml").write_text(TOML)
    (folder / "models.py").write_text(MODELS)
    return folder


def born(folder: Path) -> Path:
    """A project with two versions, trained on different rows; version 1 is champion, through its gate."""
    path = write(folder)
    project = Project(path, clock=ReplayClock(instant(FIRST)), actor="test")
    project.ingest()
    project.train("late", as_of=FIRST, holdout="14d")
    project.train("late", as_of=SECOND, note="the second")
    project.promote(1, "late", as_of=FIRST)
    project.backfill(until=SECOND)
    project.close()
    return path


def copied(path: Path, to: Path) -> Path:
    return Path(shutil.copytree(path, to / "shop"))


def move_champion(project: Project, to: int) -> None:
    """By hand, with a reason: what `promote` does once the gate has passed."""
    registry = project.records.registry
    move = registry.alias("late", "champion")
    evidence, expect = {"reason": "a test"}, None if move is None else move.entry_id
    registry.move_alias("late", "champion", to, evidence=evidence, at=project.clock.now(), actor="t", expect=expect)


def logged(path: Path) -> list[Prediction]:
    project = Project(path)
    found = list(project.services.predictions.scan())
    project.close()
    return found


def model_file(path: Path, number: int) -> Path:
    """Where the stored model of a version lies."""
    project = Project(path)
    digest = project.records.registry.get("late", number).manifest.files["model.onnx"]
    return project.services.home / "artifacts" / digest[:2] / digest[2:]


def tamper(file: Path) -> None:
    """Change one byte in the middle, and keep the length."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


def command(path: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "backstay", *_words(path, *words)]


def _words(path: Path, *words: str) -> list[str]:
    return ["serve", "--project", str(path), "--port", "0", "--json", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


class Server:
    """`backstay serve` as a process; a context that ends with SIGTERM.

    cold: as a user starts it, everything still to be imported
    """

    process: subprocess.Popen[str] | WarmCommand

    def __init__(self, path: Path, *words: str, log: Path | None = None, cold: bool = False) -> None:
        self.path = path
        self.log = (log or path.parent / "server.log").open("a")
        if cold:
            self.process = subprocess.Popen(
                command(path, *words), stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment()
            )
        else:
            self.process = WarmCommand(_words(path, *words), environment(), Path(self.log.name))
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, Path(self.log.name).read_text()
        told = json.loads(line)
        self.told: dict[str, Any] = told
        self.host, _, port = told["url"].removeprefix("http://").rpartition(":")
        self.port = int(port)
        self.token = Path(told["token"]).read_text()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        code = self.stop(signal.SIGTERM)
        assert kind is not None or code in (0, -signal.SIGKILL)

    def stop(self, number: int) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return code

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=20)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request on a connection of its own: status and parsed JSON."""
        connection = self.connection()
        try:
            connection.request(method, path, body, self.headers() if headers is None else headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def text(self, path: str) -> str:
        """The text of a page."""
        connection = self.connection()
        try:
            connection.request("GET", path, headers=self.headers())
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def predict(self, body: object) -> tuple[int, Any]:
        return self.ask("POST", "/v1/models/late/predict", _bytes(body))

    def infer(self, body: object, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        more = self.headers() | (headers or {})
        return self.ask("POST", "/v2/models/late/infer", _bytes(body), more)

    def push(self, *events: object) -> tuple[int, Any]:
        return self.ask("POST", "/v1/sources/orders/events", json.dumps({"events": events}).encode())

    def model(self) -> Any:
        return self.ask("GET", "/v1/models/late")[1]


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()
