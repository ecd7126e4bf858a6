"""A model that MLflow has, as a version of a model that is declared here.

Its files come in by their SHA-256 like those of any version, and its gate is asked like that of any other. What MLflow
does not know of it stays empty in the manifest, and is named as missing wherever a version is shown: what it was
trained on, and by which code. A strict project takes none. Three things only its maker knows, who may claim them
(`Claims`); they are recorded as claims, beside what MLflow said, in the file `mlflow/origin.json` of the version.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import ConflictError, InputError, NotFoundError
from backstay.core.identity import canonical_json, sha256
from backstay.core.times import instant, instant_text
from backstay.definitions import Model
from backstay.lifecycle.mlflow import flavours, words
from backstay.lifecycle.mlflow.server import Server
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE, reference
from backstay.registry.declared import declared_features, declared_signature
from backstay.registry.manifest import ORIGIN, Code, Dataset, Manifest, Scoring, missing_lineage
from backstay.registry.versions import ModelVersion
from backstay.runtimes import load
from backstay.runtimes.loading import runtime

DESCRIPTION = "mlflow/MLmodel"
"""A file of such a version beside `ORIGIN`: its MLmodel."""
_SCHEME = "models:/"
_MILLI = 1_000


@dataclass(frozen=True, slots=True)
class Claims:
    """What whoever imports a model says of its training, since MLflow does not.

    cutoff:    microseconds; nothing that it learned from became known later. By default when MLflow registered it
    base_rate: the share of its training rows with outcome 1
    sample:    rows that it was trained on: a float32 matrix (rows, inputs), in the order of the vector
    """

    cutoff: int | None = None
    base_rate: float | None = None
    sample: npt.NDArray[np.float32] | None = None


def bring(
    records: Records, model: Model, server: Server, uri: str, *, strict: bool = False, claims: Claims | None = None
) -> ModelVersion:
    """Register the model at `models:/NAME/VERSION` or `models:/NAME@ALIAS`; again: the version that it is already.

    `InputError` if it has no flavour that can be served, takes other inputs than the model's vector, is code that the
    model does not trust, or if the project is strict.
    """
    given = claims or Claims()
    there = server.find(*asked(uri))
    if there is None:
        raise NotFoundError(f"MLflow has no {uri}", where=server.uri, fix="look there which versions there are")
    _check_foreign(records, there, uri)
    with tempfile.TemporaryDirectory() as name:
        source = server.ask("get_model_version_download_uri", there.name, there.version)
        folder = Path(server.download(source, name))
        told = flavours.described(folder)
        taken = flavours.chosen(model, folder, told)
        named = flavours.check_inputs(told, model.features.vector)
        description, pinned = (folder / flavours.DESCRIPTION).read_bytes(), flavours.packages(folder)
    origin = _origin(server, there, taken, given, named=named)
    files = {taken.file: taken.data, DESCRIPTION: description, ORIGIN: canonical_json(origin)}
    if given.sample is not None:
        files[REFERENCE] = reference(_sample(given.sample, model))
    load(model, taken.format, files.__getitem__, where=uri).close()  # it can be served, and takes as many inputs
    python = str(told["flavors"].get("python_function", {}).get("python_version", ""))
    code = Code(None, None, None, f"Python {python}" if python else "", pinned)
    manifest = _manifest(model, files, taken, given, origin, code)
    if strict and (gaps := missing_lineage(manifest)):
        raise InputError(
            f"MLflow does not know what made it: {', '.join(gaps)} missing", where=uri,
            expected="every part, as the project is strict",
            fix="train it here, or import it where project.strict is off",
        )  # fmt: skip
    return records.registry.register(
        manifest, files, at=records.clock.now(), actor=records.actor, strict=strict, trust_code=model.trust_code
    )


def asked(uri: str) -> tuple[str, str, str]:
    """How MLflow is asked for the version that a URI names: a call, and its arguments; nobody is asked here."""
    name, at, alias = uri.removeprefix(_SCHEME).partition("@")
    number = ""
    if not at:
        name, _, number = name.rpartition("/")
    if not uri.startswith(_SCHEME) or not name or not (alias or number.isdecimal()):
        raise InputError(
            f"{uri!r} names no version of a registered model", where="URI",
            expected="models:/NAME/VERSION or models:/NAME@ALIAS", fix="for example models:/late/1",
        )  # fmt: skip
    return ("get_model_version_by_alias", name, alias) if at else ("get_model_version", name, number)


def _check_foreign(records: Records, there: Any, uri: str) -> None:
    """A version that the mirror wrote is here already, with all its lineage."""
    digest = there.tags.get(words.MANIFEST)
    try:
        ours = records.registry.by_digest(digest) if digest else None
    except NotFoundError:
        return
    if ours is not None:
        raise ConflictError(
            f"{uri} is a mirror of {ours.model}/{ours.number}, which is here", where=uri,
            expected="a model that was not mirrored from this project",
            fix="use that version; between projects of Backstay: backstay promote NUMBER --to PROJECT",
        )  # fmt: skip


def _origin(server: Server, there: Any, taken: flavours.Flavour, given: Claims, *, named: bool) -> dict[str, Any]:
    """What MLflow says of it, as it says it, and what was claimed. Nothing here depends on when it was asked."""
    run = server.find("get_run", there.run_id) if there.run_id else None
    data = [] if run is None else [one.dataset for one in run.inputs.dataset_inputs]
    return {
        "uri": f"{_SCHEME}{there.name}/{there.version}", "tracking": server.uri, "run": there.run_id or None,
        "source": there.source, "registered": instant_text(there.creation_timestamp * _MILLI),
        "flavour": taken.name, "sha256": sha256(taken.data), "inputs_named": named,
        "commit": None if run is None else run.data.tags.get("mlflow.source.git.commit"),
        "parameters": {} if run is None else dict(run.data.params),
        "metrics": {} if run is None else {name: repr(value) for name, value in run.data.metrics.items()},
        "datasets": [{"name": one.name, "digest": one.digest} for one in data],
        "claims": {
            "cutoff": None if given.cutoff is None else instant_text(given.cutoff), "base_rate": given.base_rate,
            "sample": given.sample is not None,
        },
    }  # fmt: skip


def _manifest(
    model: Model, files: dict[str, bytes], taken: flavours.Flavour, given: Claims, origin: dict[str, Any], code: Code
) -> Manifest:
    """What is known; what is not is left empty, so that it counts as missing (`missing_lineage`)."""
    cutoff = _cutoff(given, origin)
    how = runtime(taken.format)
    return Manifest(
        model=model.name,
        files={name: sha256(data) for name, data in files.items()},
        dataset=Dataset("", 0, 0, 0, 0, 0, as_of=cutoff, since=None, until=None, sources={}),
        cutoff=cutoff,
        feature_set=declared_features(model.features),
        label=model.label.canonical(),
        estimator=taken.model_class,
        parameters={},
        seed=0,
        code=code,
        metrics={},
        scorer=Scoring(taken.format, 0.0, 0, batch_tolerance=how.tolerance, code=how.code),
        base_rate=0.0 if given.base_rate is None else given.base_rate,
        threshold=model.threshold,
        note=_note(origin),
        signature=declared_signature(model),
    )


def _cutoff(given: Claims, origin: dict[str, Any]) -> int:
    """Nothing in its training was known later than this: what was claimed, or else when it was registered there."""
    registered = instant(origin["registered"])
    if given.cutoff is not None and given.cutoff > registered:
        raise InputError(
            f"the cut-off {instant_text(given.cutoff)} is after the model was registered in MLflow", where="cutoff",
            expected=f"{origin['registered']} at the latest",
        )  # fmt: skip
    return registered if given.cutoff is None else given.cutoff


def _note(origin: dict[str, Any]) -> str:
    digests = ", ".join(f"{one['name']} {one['digest']}" for one in origin["datasets"])
    run = f", run {origin['run']}" if origin["run"] else ""
    data = f"; dataset by MLflow's digest, which covers a part of it: {digests}" if digests else ""
    return f"imported from {origin['uri']} at {origin['tracking']}{run}{data}"


def _sample(rows: npt.NDArray[np.float32], model: Model) -> npt.NDArray[np.float32]:
    width = len(model.features.vector)
    if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise InputError(
            f"the sample is {rows.dtype} of shape {rows.shape}", where="sample",
            expected=f"float32 of shape (rows, {width})", fix="give the rows as they were handed to the estimator",
        )  # fmt: skip
    return rows
