"""Rows with which a model is tried when it is loaded: it may refuse some, and be sound.

Zeros come first, as nearly every model scores them. A pickled encoder that knows no category 0 raises on them, and on
missing values too; then a row that the version was trained on, if one is kept with it, says whether it can score.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np

from backstay.core.errors import IntegrityError
from backstay.runtimes.scorer import Read, Scorer, Vector

SAMPLE = "reference.npy"
"""A version's file: a sample of the rows it was trained on, float32."""

_known: WeakKeyDictionary[Scorer, Vector] = WeakKeyDictionary()


def rows_to_try(read: Read, inputs: int) -> Iterator[tuple[Vector, bool]]:
    """Rows, one at a time, and whether the model must score it, as it was trained on it."""
    yield np.zeros((1, inputs), np.float32), False
    yield np.full((1, inputs), np.nan, np.float32), False
    try:
        rows = np.load(io.BytesIO(read(SAMPLE)), allow_pickle=False)
    except IntegrityError:
        raise
    except Exception:  # noqa: BLE001 - there is none, for as many reasons as there are readers
        return
    if rows.ndim == 2 and rows.shape[1] == inputs and len(rows):
        yield np.ascontiguousarray(rows[:1], np.float32), True


def remember(scorer: Scorer, row: Vector) -> None:
    """Keep a row that the scorer is known to score, as long as there is the scorer."""
    try:
        _known[scorer] = row
    except TypeError:  # its class has slots, and none for a weak reference
        return


def known_row(scorer: Scorer, inputs: int) -> Vector:
    """A row that the scorer is known to score; zeros if none is."""
    try:
        return _known.get(scorer, np.zeros((1, inputs), np.float32))
    except TypeError:
        return np.zeros((1, inputs), np.float32)
