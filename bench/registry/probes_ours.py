"""Our side of the probes; each returns an answer for each question."""

from __future__ import annotations

import contextlib
import inspect
import multiprocessing
import pickle
import tempfile
from pathlib import Path
from typing import Any

from backstay.core.errors import ConflictError, InputError, IntegrityError
from backstay.definitions import Model
from backstay.project import Project
from backstay.registry import Registry
from backstay.runtimes.pickled import PickleRuntime
from backstay.storage.backends.local import LocalArtifacts, LocalLedger
from backstay.storage.digest import frame_digest
from bench.registry.ours import manifest_of
from bench.registry.questions import DIGESTS, PROCESSES, ROUNDS, Touching, frame
from bench.registry.size import closure


def digests() -> dict[str, Any]:
    """Whether a dataset's digest changes with its content."""
    whole = frame()
    told = frame_digest(whole)
    out = {name: "the same" if frame_digest(change(whole)) == told else "another" for name, change in DIGESTS.items()}
    return out | {"length": f"{len(told) * 4} bits"}


def overwritten() -> dict[str, str]:
    """A model's file that is overwritten on the disk, then asked for."""
    registry, folder = _registry()
    files = {"model.txt": b"what was registered"}
    version = registry.register(manifest_of(0, files), files, at=1, actor="ann")
    digest = version.manifest.files["model.txt"]
    place = folder / "artifacts" / digest[:2] / digest[2:]
    place.chmod(0o644)
    place.write_bytes(b"what somebody wrote over it")
    try:
        return {"asked for": f"served: {registry.file(version, 'model.txt')!r}"}
    except IntegrityError as error:
        return {"asked for": f"{type(error).__name__}: {error.what}"}


def aliases() -> dict[str, str]:
    """Two people who have both seen version 1 as champion, and decide differently; what is told of it later."""
    registry, _ = _registry()
    for number in range(3):
        files = {"model.txt": bytes([number])}
        registry.register(manifest_of(number, files), files, at=number, actor="ann")
    why: dict[str, Any] = {"evidence": {"reason": "a probe"}, "at": 10}
    seen = registry.move_alias("late", "champion", 1, actor="ann", expect=None, **why)
    registry.move_alias("late", "champion", 2, actor="ann", expect=seen.entry_id, **why)
    try:
        registry.move_alias("late", "champion", 3, actor="ben", expect=seen.entry_id, **why)
        second = "it stands"
    except ConflictError as error:
        second = type(error).__name__
    move = registry.alias("late", "champion")
    assert move is not None
    moves = [f"{one.to} by {one.actor}" for one in registry.history("late", "champion")]
    return {"the second": f"{second}: version {move.to} stays", "history": ", then ".join(moves)}


def opening() -> dict[str, str]:
    """Eight processes that open a fresh store at once, as the workers of a first sweep do."""
    context = multiprocessing.get_context("spawn")
    folders = [tempfile.mkdtemp(prefix="backstay-") for _ in range(ROUNDS)]
    for folder in folders:
        (Path(folder) / "backstay.toml").write_text('[project]\nname = "probe"\n')
    barrier, answers = context.Barrier(PROCESSES), context.Queue()
    workers = [context.Process(target=_open, args=(folders, barrier, answers)) for _ in range(PROCESSES)]
    for one in workers:
        one.start()
    found = [answers.get(timeout=300) for _ in range(PROCESSES * ROUNDS)]
    for one in workers:
        one.join()
    return {"opened": f"{sum(map(bool, found))} of {len(found)} failed"}


def _open(folders: list[str], barrier: Any, answers: Any) -> None:
    for folder in folders:
        barrier.wait(120)
        try:
            with Project(folder).run("late") as run:
                run.log("auc", 0.5)
            Project(folder).services.ledger.append("probe", "late", {}, at=1, actor="ann")
            answers.put("")
        except Exception as error:  # noqa: BLE001 - counted
            answers.put(type(error).__name__)


def pickles() -> dict[str, str]:
    """In which form models are kept by default, and whether loading one runs what is in its file."""
    registry, folder = _registry()
    files = {"model.pkl": pickle.dumps("a model")}
    manifest = manifest_of(0, files, format="sklearn-pickle", code=True)
    try:
        registry.register(manifest, files, at=1, actor="ann")
        pickled = "taken"
    except InputError:
        pickled = "refused, unless the model says trust_code=True"
    version = registry.register(manifest, files, at=1, actor="ann", trust_code=True)
    digest, ran = version.manifest.files["model.pkl"], folder / "ran"
    place = folder / "artifacts" / digest[:2] / digest[2:]
    place.chmod(0o644)
    place.write_bytes(pickle.dumps(Touching(ran)))
    with contextlib.suppress(IntegrityError):
        PickleRuntime().load(registry.reader(version), 1)
    default = inspect.signature(Model).parameters["runtime"].default
    return {
        "scikit-learn, by default": default,
        "python_function, by default": f"there is none; a pickle is {pickled}",
        "its file, changed": "loading it ran what was in it" if ran.exists() else "nothing ran: it was refused",
    }


def size() -> dict[str, str]:
    """What `pip install backstay` brings."""
    found = closure("backstay")
    return {"installed": f"{found['packages']:.0f} packages, {found['size']:.0f} MB"}


def _registry() -> tuple[Registry, Path]:
    folder = Path(tempfile.mkdtemp(prefix="backstay-"))
    return Registry(LocalLedger(folder / "ledger.sqlite"), LocalArtifacts(folder / "artifacts")), folder
