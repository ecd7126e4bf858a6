"""Manifests without a training run, and ledgers and artifacts of each backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from backstay.core.identity import sha256
from backstay.registry import Code, Dataset, Features, Manifest, Scoring
from backstay.registry.manifest import Signature
from backstay.storage.backends.local.artifacts import LocalArtifacts
from backstay.storage.backends.local.ledger import LocalLedger
from backstay.storage.backends.memory import MemoryArtifacts, MemoryLedger

FILES = {"model.onnx": b"the model", "model.txt": b"its text"}
BACKENDS = ("memory", "local")


def make_manifest(content: dict[str, bytes] = FILES, /, **changes: Any) -> Manifest:
    manifest = Manifest(
        model="trips_late",
        files={name: sha256(data) for name, data in content.items()},
        dataset=Dataset("d1", 90, 96, 1, 2, 3, as_of=1_000, since=None, until=900, sources={"trips": 4}),
        cutoff=1_000,
        feature_set=Features("trip_features", "f1", ["a", "b"], {"semantics": 1, "views": []}),
        label={"name": "late", "horizon": 3_600},
        estimator="lightgbm.sklearn.LGBMClassifier",
        parameters={"num_leaves": 31, "learning_rate": 0.1, "max_bin": None},
        seed=0,
        code=Code("c0ffee", None, "10cc", "CPython 3.11.7 (linux x86_64)", {"numpy": "2.4.6"}),
        metrics={"log_loss": 0.4},
        scorer=Scoring("onnx", 1.2e-7, 90),
        base_rate=0.25,
        threshold=0.5,
        signature=Signature({"trip": "string"}, {"size": "float"}, ["a", "b"], "float32", {"score": "float64"}),
    )
    return msgspec.structs.replace(manifest, **changes)


def make_stores(backend: str, directory: Path) -> tuple[Any, Any]:
    if backend == "memory":
        return MemoryLedger(), MemoryArtifacts()
    return LocalLedger(directory / "ledger.sqlite"), LocalArtifacts(directory / "artifacts")
