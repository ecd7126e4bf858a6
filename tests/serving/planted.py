"""A project whose versions do harm once real requests come: by a runtime of its own, in a package of its own.

When it is trained, loaded and warmed up, each version is as good as the first. What it does wrong is in its file.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from itertools import count
from pathlib import Path
from random import Random

from backstay.core.clock import ReplayClock
from backstay.core.times import instant
from backstay.project import Project
from tests.serving.shop import ROOT, Server

AS_OF = "2024-02-20"
FAULTS = ("fine", "error", "nan", "slow", "shift", "other", "crash", "hang", "segfault")
"""Of versions 1 to 9; "fine" and "other" do no harm, though the scores of "other" are others; "hang" hangs once."""
RUNTIME = '''"""Logistic regressions in JSON, with what they do wrong on rows whose `live` is 1."""

import ctypes
import json
import os
import time

import numpy as np


class PlantedRuntime:
    code, tolerance = False, 0.0

    def write(self, estimator, names):
        return {"planted.json": json.dumps(estimator.__dict__).encode()}

    def load(self, read, inputs):
        facts = json.loads(read("planted.json"))
        if os.path.exists(f"{__file__}.{facts['fault']}.heavy"):
            time.sleep(4)
        return PlantedScorer(**facts)


class PlantedScorer:
    def __init__(self, fault, weight):
        self._fault, self._weight = fault, weight

    def score(self, vector):
        begin = time.perf_counter()
        score = 1 / (1 + np.exp(-self._weight * np.float64(vector[:, 0])))
        if len(vector) and (vector[:, 1] == 1).all():
            time.sleep(0.0002)  # as a model of some size takes
            return self._harmful(score, time.perf_counter() - begin)
        return score

    def _harmful(self, score, took):
        if self._fault == "error":
            raise ValueError("a tree is missing")
        if self._fault == "nan":
            return np.full(len(score), np.nan)
        if self._fault == "slow":
            time.sleep(9 * took)
        if self._fault == "shift":
            return 0.6 + 0.4 * score
        if self._fault == "crash":
            os._exit(9)
        if self._fault == "hang":
            try:
                os.close(os.open(f"{__file__}.hung", os.O_CREAT | os.O_EXCL))
                time.sleep(60)
            except FileExistsError:
                pass
        if self._fault == "segfault":
            ctypes.string_at(0)
        return score

    def close(self):
        pass
'''
MODELS = '''"""Will it be late?"""

import os
from datetime import UTC, datetime, timedelta

import polars as pl

from backstay import Ask, EventSource, FeatureSet, Label, Model, Request

ROWS = 600


def history() -> pl.DataFrame:
    number = pl.int_range(ROWS, eager=True)
    size = (number * 7919 % 997).cast(pl.Float64) / 250 - 2
    return pl.DataFrame({
        "paid": [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(ROWS)],
        "order": "o" + number.cast(pl.String), "size": size, "live": pl.Series([0.0] * ROWS),
        "late": (number * 104729 % 1000).cast(pl.Float64) / 1000 < size / 8 + 0.5,
    })


orders = EventSource(
    "orders", schema={"order": "string", "size": "float", "live": "float", "late": "bool"}, event_time="paid",
    delay="1m", read=history,
)


class Planted:
    """An estimator whose fault and weight are what the environment says."""

    def __init__(self):
        self.fault = os.environ.get("PLANTED", "fine")
        self.weight = 0.5 if self.fault == "other" else 1.0

    def fit(self, X, y, **_):
        return self

    def get_params(self, deep=True):
        return {}

    def set_params(self, **_):
        return self

    def predict_proba(self, X):
        import numpy as np

        score = 1 / (1 + np.exp(-self.weight * np.asarray(X)[:, 0].astype(np.float64)))
        return np.stack([1 - score, score], axis=1)


late = Model(
    "late", features=FeatureSet("order", [Request(size="float", live="float")]),
    label=Label("late", source=orders, key="order", value=pl.col("late"), horizon="2h"),
    ask=Ask(orders, before="1h"), estimator=Planted, runtime="planted",
)
'''


def born(folder: Path) -> Path:
    """The project, with a version of each fault; version 1 is champion. `packages(folder)` must be importable."""
    path = folder / "shop"
    path.mkdir()
    (path / "models.py").write_text(MODELS)
    (path / "backstay.toml").write_text('[project]\nname = "planted"\n\n[serving]\nobjective_ms = 10000\n')
    project = Project(path, clock=ReplayClock(instant(AS_OF)), actor="test")
    project.ingest()
    for fault in FAULTS:
        os.environ["PLANTED"] = fault
        project.train("late", as_of=AS_OF, note=fault)
    del os.environ["PLANTED"]
    project.records.registry.move_alias(
        "late", "champion", 1, evidence={"reason": "a test"}, at=project.clock.now(), actor="t", expect=None
    )
    project.backfill(until=AS_OF)
    project.close()
    return path


def model_file(project: Project, number: int) -> Path:
    """Where the stored file of a version lies."""
    digest = project.records.registry.get("late", number).manifest.files["planted.json"]
    return project.services.home / "artifacts" / digest[:2] / digest[2:]


def heavy(packages: Path, fault: str) -> None:
    """From now on, the versions of this fault take four seconds to load."""
    (packages / f"planted_runtime.py.{fault}.heavy").touch()


def packages(folder: Path) -> Path:
    """A folder for the path of modules, with the runtime as an installed package."""
    path = folder / "packages"
    info = path / "planted-1.0.dist-info"
    info.mkdir(parents=True)
    (path / "planted_runtime.py").write_text(RUNTIME)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[backstay.runtimes]\nplanted = planted_runtime:PlantedRuntime\n")
    return path


def python_path(packages: Path) -> str:
    return f"{ROOT / 'src'}{os.pathsep}{packages}"


class Load:
    """Clients that ask about ever other orders, each on a connection that it keeps: what was answered, and when."""

    def __init__(self, server: Server, clients: int = 6) -> None:
        self._server, self._stop, self._numbers = server, threading.Event(), count()
        self.answered: list[tuple[float, int, float]] = []
        """When (monotonic), by which version, the score."""
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
        connection, headers = self._server.connection(), self._server.headers()
        while not self._stop.is_set():
            number = next(self._numbers)
            fields = {"size": Random(number).gauss(0, 1.5), "live": 1.0}
            body = json.dumps({"keys": {"order": f"o{number % 4001}"}, "fields": fields})
            try:
                connection.request("POST", "/v1/models/late/predict", body, headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status == 200:
                    self.answered.append((time.monotonic(), told["version"], told["score"]))
                else:
                    self.failed.append(f"{answer.status} {told}")
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                self.failed.append(repr(error))
                connection.close()
                connection = self._server.connection()
        connection.close()
