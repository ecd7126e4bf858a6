"""MLflow on SQLite, by its own client, as its documentation has it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from time import perf_counter, perf_counter_ns

import mlflow
from mlflow.tracking import MlflowClient


def opening() -> dict[str, float]:
    """From nothing to a first run in a fresh store: what it takes to make the database, and begin."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    begin = perf_counter()
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("late", artifact_location=str(folder / "artifacts"))
    client.create_run(experiment)
    seconds = perf_counter() - begin
    shutil.rmtree(folder)
    return {"seconds": seconds}


def logging(metrics: int) -> dict[str, float]:
    """The median time of logging one value of a metric."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    run = client.create_run(client.create_experiment("late", artifact_location=str(folder / "artifacts")))
    took = []
    for step in range(metrics):
        begin = perf_counter_ns()
        client.log_metric(run.info.run_id, "auc", 0.5 + step * 1e-6, step=step)
        took.append(perf_counter_ns() - begin)
    held = client.get_metric_history(run.info.run_id, "auc")
    assert [one.step for one in held] == list(range(metrics))
    assert held[-1].value == 0.5 + (metrics - 1) * 1e-6
    shutil.rmtree(folder)
    took.sort()
    return {"seconds": took[len(took) // 2] / 1e9, "version": float(mlflow.__version__.split(".")[0])}
