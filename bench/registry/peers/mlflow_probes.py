"""MLflow's side of the probes, by its own client and on its own stores; each returns an answer for each question."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
warnings.simplefilter("ignore")

from bench.registry.questions import DIGESTS, PROCESSES, ROUNDS, Touching, frame  # noqa: E402
from bench.registry.size import closure  # noqa: E402


def digests() -> dict[str, Any]:
    """Whether a dataset's digest changes with its content: from a pandas frame, and from a Polars frame."""
    import mlflow.data

    def pandas(one: Any) -> str:
        return str(mlflow.data.from_pandas(one.to_pandas()).digest)

    def polars(one: Any) -> str:
        return str(mlflow.data.from_polars(one).digest)

    whole, out = frame(), {}
    for name, change in DIGESTS.items():
        same = {
            kind: digest(whole) == digest(change(whole)) for kind, digest in (("pandas", pandas), ("Polars", polars))
        }
        out[name] = "; ".join(f"{kind}: {'the same' if one else 'another'}" for kind, one in same.items())
    return out | {"length": f"{len(pandas(whole)) * 4} bits"}


def overwritten() -> dict[str, str]:
    """A model's file that is overwritten on the disk, then asked for."""
    client, folder = _client()
    run = client.create_run(client.create_experiment("late", artifact_location=str(folder / "files")))
    file = folder / "model.txt"
    file.write_text("what was registered")
    client.log_artifact(run.info.run_id, str(file), "model")
    client.create_registered_model("late")
    client.create_model_version("late", f"{run.info.artifact_uri}/model", run.info.run_id)
    next((folder / "files").rglob("model.txt")).write_text("what somebody wrote over it")
    from mlflow.artifacts import download_artifacts

    try:
        place = download_artifacts(artifact_uri=client.get_model_version_download_uri("late", "1"))
        return {"asked for": f"served: {(Path(place) / 'model.txt').read_text()!r}"}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"asked for": f"{type(error).__name__}"}


def aliases() -> dict[str, str]:
    """Two people who have both seen version 1 as champion, and decide differently; what is told of it later."""
    client, folder = _client()
    client.create_registered_model("late")
    for _ in range(3):
        client.create_model_version("late", str(folder))
    client.set_registered_model_alias("late", "champion", "1")
    client.set_registered_model_alias("late", "champion", "2")  # Ann, who saw 1
    client.set_registered_model_alias("late", "champion", "3")  # Ben, who saw 1 too
    now = client.get_model_version_by_alias("late", "champion").version
    calls = [name for name in dir(client) if "alias" in name and ("history" in name or "event" in name)]
    return {"the second": f"it stands: version {now}", "history": ", ".join(calls) or "none: the last one is kept"}


def opening() -> dict[str, str]:
    """Eight processes that open a fresh store at once, as the workers of a first sweep do."""
    context = multiprocessing.get_context("spawn")
    folders = [tempfile.mkdtemp(prefix="mlflow-") for _ in range(ROUNDS)]
    barrier, answers = context.Barrier(PROCESSES), context.Queue()
    workers = [context.Process(target=_open, args=(folders, barrier, answers)) for _ in range(PROCESSES)]
    for one in workers:
        one.start()
    found = [answers.get(timeout=300) for _ in range(PROCESSES * ROUNDS)]
    for one in workers:
        one.join()
    failed = [name for name in found if name]
    kinds = ", ".join(sorted(set(failed)))
    return {"opened": f"{len(failed)} of {len(found)} failed{f' ({kinds})' if kinds else ''}"}


def _open(folders: list[str], barrier: Any, answers: Any) -> None:
    from mlflow.tracking import MlflowClient

    logging.disable(logging.CRITICAL)
    for folder in folders:
        barrier.wait(120)
        try:
            MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
            answers.put("")
        except Exception as error:  # noqa: BLE001 - counted
            answers.put(type(error).__name__)


def pickles() -> dict[str, str]:
    """In which form models are logged by default, and whether loading one runs what is in its file."""
    import mlflow.pyfunc
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    logging.disable(logging.CRITICAL)
    folder, out = Path(tempfile.mkdtemp(prefix="mlflow-")), {}
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.save_model(model, folder / "sklearn", pip_requirements=[])
    form = mlflow.models.Model.load(folder / "sklearn").flavors["sklearn"]["serialization_format"]
    out["scikit-learn, by default"] = form

    class Code(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002 - MLflow's names
            return model_input

    mlflow.pyfunc.save_model(folder / "code", python_model=Code(), pip_requirements=[])
    out["python_function, by default"] = next((folder / "code").glob("python_model*")).name
    ran = folder / "ran"
    (folder / "code" / "python_model.pkl").write_bytes(pickle.dumps(Touching(ran)))
    with contextlib.suppress(Exception):  # it may fail afterwards: what counts is what ran
        mlflow.pyfunc.load_model(str(folder / "code"))
    out["its file, changed"] = "loading it ran what was in it" if ran.exists() else "nothing ran"
    return out


def size() -> dict[str, str]:
    """What `pip install mlflow` brings."""
    found = closure("mlflow")
    return {"installed": f"{found['packages']:.0f} packages, {found['size']:.0f} MB"}


def _client() -> tuple[Any, Path]:
    from mlflow.tracking import MlflowClient

    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    return MlflowClient(f"sqlite:///{folder}/mlflow.db"), folder
