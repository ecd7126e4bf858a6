"""References: what a version was trained on, kept with it, to hold later rows against.

reference.npy     a sample of the rows, as the model got them
references.json   the distribution of every feature over all rows, in bins that never change: what drift is measured by
"""

from __future__ import annotations

import io
import json
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError
from backstay.core.identity import canonical_json
from backstay.definitions import Model
from backstay.evaluation.drift import References
from backstay.features.trainingset import TrainingSet
from backstay.lifecycle.records import Records
from backstay.monitoring.rows import watched_features
from backstay.registry.versions import ModelVersion
from backstay.runtimes.trying import SAMPLE

REFERENCE = SAMPLE
"""A version's file: a sample of the rows it was trained on, float32."""
REFERENCES = "references.json"
"""A version's file: the frozen bins and counts of its features, over all the rows it was trained on."""

_SAMPLE = 5_000


def spread(rows: int) -> npt.NDArray[np.int64]:
    """The places of rows spread evenly over so many, as many as a sample has."""
    return np.unique(np.linspace(0, rows - 1, min(_SAMPLE, rows)).astype(np.int64))


def reference(vector: npt.NDArray[np.float32]) -> bytes:
    """Rows spread evenly over the training set, as a .npy file."""
    out = io.BytesIO()
    np.save(out, vector[spread(len(vector))], allow_pickle=False)
    return out.getvalue()


def reference_sample(records: Records, version: ModelVersion) -> dict[str, npt.NDArray[np.float32]]:
    """A sample of each feature as the version was trained on it, verified against the manifest."""
    matrix = np.load(io.BytesIO(records.registry.file(version, REFERENCE)), allow_pickle=False)
    return {name: matrix[:, place] for place, name in enumerate(version.manifest.feature_set.vector)}


def training_files(model: Model, data: TrainingSet) -> dict[str, bytes]:
    """The files that a training set leaves with the version that is made of it."""
    return {REFERENCE: reference(data.vector), REFERENCES: canonical_json(references(model, data).as_dict())}


def references(model: Model, data: TrainingSet) -> References:
    """The frozen distribution of each feature of a training set, by season too; moments have none."""
    places = {name: place for place, name in enumerate(model.features.vector)}
    columns = {
        name: np.ascontiguousarray(data.vector[:, places[name]]) if name in places else data.frame.get_column(name)
        for name in watched_features(model.features)
    }
    return References.of(columns, at=data.frame.get_column("at").to_numpy(), entity=_entities(model, data.frame))


def trained_references(records: Records, version: ModelVersion) -> References:
    """What a version's windows are held against, verified against the manifest.

    Of a version from before there was such a file, or with one of another form, it is made of the sample, without
    seasons. `InputError` where it was made elsewhere, and nobody said on what.
    """
    files = version.manifest.files
    if REFERENCES in files:
        with suppress(KeyError, TypeError, ValueError):  # one of another Backstay's
            return References.from_dict(json.loads(records.registry.file(version, REFERENCES)))
    if REFERENCE in files:
        return References.of(reference_sample(records, version))
    raise InputError(
        "no sample of the rows it was trained on came with it", where=f"{version.model}/{version.number}",
        expected="a version with a reference", fix="train it here, or import it with a sample",
    )  # fmt: skip


def _entities(model: Model, frame: pl.DataFrame) -> list[str] | None:
    """What each row is about, by all the keys that features are looked up by: no policy changes a version's files."""
    keys = [key for key in model.features.keys if key in frame.columns]
    if not keys:
        return None
    told = frame.select(pl.concat_str([pl.col(key).cast(pl.String).fill_null("") for key in keys], separator="\0"))
    return told.to_series().to_list()
