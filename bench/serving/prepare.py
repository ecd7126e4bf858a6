"""The project that is served, made once: ingested, trained, made champion; and its model as the peers load it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / ".data" / "serving"
VERSION = "1"


def everything() -> dict[str, Any]:
    """Make what is missing. Runs in our environment."""
    ready = DATA / "ready"
    if ready.is_file() and ready.read_text() == VERSION:
        return {}
    from backstay import Project

    shutil.rmtree(DATA, ignore_errors=True)
    project = DATA / "project"
    project.mkdir(parents=True)
    (project / "backstay.toml").write_text(f'[project]\nname = "bench"\nmodels = "{HERE / "definitions.py"}"\n')
    one = Project(project, actor="bench")
    one.ingest()
    one.train("high")
    registry, why = one.records.registry, {"reason": "the model of the bench"}
    registry.move_alias("high", "champion", 1, evidence=why, at=one.clock.now(), actor="bench", expect=None)
    version = registry.get("high", 1)
    for name in ("model.onnx", "model.txt"):
        (DATA / name).write_bytes(registry.file(version, name))
    one.close()
    mlserver = DATA / "mlserver"
    shutil.copytree(HERE / "peers" / "mlserver", mlserver)
    shutil.copy(DATA / "model.txt", mlserver / "high" / "model.txt")
    ready.write_text(VERSION)
    return {}


def vectors(rows: int) -> list[list[float]]:
    """Inputs of the model, varied, the same in every run: what every side is asked before it is timed."""
    return [[((row * 7919 + place * 104_729) % 20_011) / 100 for place in range(20)] for row in range(rows)]


def infer(vector: list[float]) -> bytes:
    """The body of a V2 request of one row."""
    tensor = {"name": "features", "shape": [1, 20], "datatype": "FP32", "data": vector}
    return json.dumps({"inputs": [tensor]}).encode()
