"""References: a sample of the rows that a version was trained on, kept with it, to hold later rows against."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion

REFERENCE = "reference.npy"
"""A version's file: a sample of the rows it was trained on, float32."""

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
