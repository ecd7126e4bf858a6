"""A tiny project, and one whole life of it: ingested, trained, judged, promoted, served, once a session."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from backstay.cli import main
from tests.shared import once

TOML = '[project]\nname = "shop"\n'
MODELS = '''"""Will this order be late?"""

from datetime import UTC, datetime, timedelta

import polars as pl

from backstay import Ask, Count, Derived, Entity, EventSource, FeatureSet, GatePolicy, Label, Latest, Model, Request
from backstay import Share, Windowed


def history() -> pl.DataFrame:
    """3000 orders over 60 days: large ones are late more often, and so are those of some shops."""
    print("reading the history")  # a user's print must never spoil --json
    number = pl.int_range(3000, eager=True)
    noise = (number * 7919 % 1000).cast(pl.Float64) / 1000
    size = (number * 104729 % 997).cast(pl.Float64)
    shop = "shop" + (number % 7).cast(pl.String)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    time = pl.Series("paid", [start + timedelta(seconds=1728 * n + n * n * 7717 % 60000) for n in range(3000)])
    return pl.DataFrame({
        "paid": time, "shop": shop, "order": "o" + number.cast(pl.String), "size": size,
        "late": noise < size / 1100 + (number % 7).cast(pl.Float64) / 40,
    })


orders = EventSource(
    "orders",
    schema={"shop": str, "order": str, "size": float, "late": bool},
    event_time="paid",
    delay="1m",
    read=history,
)
shop = Entity("shop")
features = FeatureSet(
    "order",
    [
        Windowed(orders, by=shop, over=["1d", "7d"], late=Share("late"), orders=Count()),
        Latest(orders, by=shop, max_age="2d", last_size="size"),
        Request(size="float"),
        Derived(size_ratio=pl.col("size") / pl.col("shop_last_size")),
    ],
    defaults={"shop_late_1d": 0.5},
)


def estimator():
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=15, num_leaves=7, min_child_samples=20)


late = Model(
    "late",
    features=features,
    label=Label("late", source=orders, key="order", value=pl.col("late"), horizon="2h"),
    ask=Ask(orders, before="1h"),
    estimator=estimator,
    gate=GatePolicy(metric="auc", embargo="1h", judge_after="5d", minimum_rows=100, minimum_days=4),
)
'''
AS_OF = "2024-02-20"
HERE = Path(__file__).resolve().parents[2]


def write_project(folder: Path, models: str = MODELS, toml: str = TOML) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "backstay.toml").write_text(toml)
    (folder / "models.py").write_text(models)
    return folder


@dataclass
class Run:
    """What came of one command line."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        answer = json.loads(self.out)
        assert isinstance(answer, dict)
        return answer


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "backstay", *map(str, words)]


def process(*words: object, cwd: Path | None = None, timeout: float = 60, **environment: str) -> Run:
    """Run the command line as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src"), **environment}
    done = subprocess.run(command(*words), cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)
    return Run(done.returncode, done.stdout, done.stderr)


def inside(*words: object) -> Run:
    """Run the command line in this process; for fixtures that outlive a test's capture."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(word) for word in words])
    return Run(code, out.getvalue(), err.getvalue())


class Server:
    """`backstay serve` as a process, ready; a context that ends with SIGTERM."""

    def __init__(self, project: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            command("serve", "--port", 0, "--project", project, *words),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(HERE / "src")},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.told: dict[str, Any] = json.loads(self.line)
        self.code = -1
        self.out = self.err = ""

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.out, self.err = self.process.communicate(timeout=20)
        self.code = self.process.returncode

    def post(self, path: str, body: object) -> Any:
        token = Path(self.told["token"]).read_text()
        request = urllib.request.Request(
            self.told["url"] + path, json.dumps(body).encode(), {"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Run the command line in this process, 120 columns wide."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words: object) -> Run:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Run(code, *capfd.readouterr())

    return run


@dataclass
class Served:
    """A server that has ended: what it told when it was ready, its exit code, and what it printed."""

    pid: int
    line: str
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.line)
        return told


@dataclass
class Life:
    """A project that has lived, and what each step answered. Tests only read it, or work on a copy."""

    project: Path
    steps: dict[str, Run]
    answers: list[dict[str, Any]]
    server: Served


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Lived once a run; what was said then names the copy of this process."""
    folder = once(tmp_path_factory, "cli", _lived)
    begun, said = (folder / "begun").read_text(), (folder / "said.json").read_text()
    told = json.loads(said.replace(begun, str(folder)))
    steps = {name: Run(**one) for name, one in told["steps"].items()}
    return Life(folder / "shop", steps, told["answers"], Served(**told["server"]))


def _lived(folder: Path) -> None:
    project = write_project(folder / "shop")
    steps: dict[str, Run] = {}

    def step(name: str, *words: object, run: Callable[..., Run] = inside) -> None:
        steps[name] = run(*words, "--project", project, "--json")
        assert steps[name].code == 0, steps[name]

    def hashing(*words: object) -> Run:
        return process(*words, PYTHONHASHSEED="20")  # a seed under which onnxmltools orders the operator sets otherwise

    step("ingest", "ingest", run=process)
    step("train", "train", "--as-of", AS_OF, "--holdout", "14d", "--note", "the first", run=hashing)
    step("judge", "judge", 1, "--as-of", AS_OF)
    step("promote", "promote", 1, "--as-of", AS_OF)
    step("backfill", "features", "backfill", "--until", AS_OF)
    with Server(project, "--replay") as server:
        answers = [
            server.post(
                "/v1/models/late/predict",
                {"keys": {"shop": f"shop{n % 7}", "order": f"o{2500 + n}"}, "fields": {"size": n * 8.5},
                 "at": f"{AS_OF}T0{n % 8}:{n % 60:02}:00Z"},
            )
            for n in range(100)
        ]  # fmt: skip
    served = Served(server.process.pid, server.line, server.code, server.out, server.err)
    said = {"steps": {name: asdict(one) for name, one in steps.items()}, "answers": answers, "server": asdict(served)}
    (folder / "said.json").write_text(json.dumps(said))
    (folder / "begun").write_text(str(folder))
