"""The bridge of a project to MLflow: its record as MLflow shows it, and models that come in from there."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.definitions import Model
from backstay.features.backfill import Progress
from backstay.lifecycle.mlflow import Claims, Mirrored, Server, asked, bring, mirror
from backstay.lifecycle.records import Records
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.registry.versions import ModelVersion


class Bridge:
    """`project.papers.mlflow`: mirror, bring. It needs the extra `mlflow`."""

    def __init__(
        self, project: str, home: Path, records: Records, definitions: Definitions, permits: Permits, *, strict: bool
    ) -> None:
        self._project, self._home, self._records = project, home, records
        self._definitions, self._permits, self._strict = definitions, permits, strict

    def mirror(self, to: str, model: str | None = None, *, progress: Progress = lambda *_: None) -> Mirrored:
        """Write runs, versions and aliases to the tracking URI `to`: those of one model, or all that there are.

        Done again, it adds what came since; interrupted, it goes on. Nothing here depends on what is there.
        `IntegrityError` names a version that somebody changed there.
        """
        models = list(self._definitions.models.values())
        if model is None:
            self._permits.everything("mirror", "read_offline")
        else:
            models = [self._definitions.model(model)]
            self._permits.model(models[0], "mirror versions of", "read_offline")
        with self._alone():
            return mirror(
                self._records, self._project, models, Server(to), others=model is None,
                progress=partial(progress, "mirroring"),
            )  # fmt: skip

    def bring(
        self,
        uri: str,
        source: str,
        model: str | None = None,
        *,
        cutoff: str | int | None = None,
        base_rate: float | None = None,
        sample: str | Path | None = None,
    ) -> ModelVersion:
        """Register `models:/NAME/VERSION` (or `@ALIAS`) of the tracking URI `source` as a version of a model.

        What MLflow does not know may be claimed, and is recorded as claimed:

        cutoff:    the moment after which nothing that it learned from became known; rows that judge it are asked later
        base_rate: the share of its training rows with outcome 1, which a first version is judged against
        sample:    a Parquet file of rows that it was trained on, with the columns of the model's vector
        """
        chosen = self._definitions.model(model)
        self._permits.model(chosen, "import a version of", "read_offline", "define")
        asked(uri)  # a server that is a file is made by opening it: not for a URI that names nothing
        if base_rate is not None and not 0.0 < base_rate < 1.0:
            raise InputError(f"it is {base_rate}", where="base_rate", expected="a share between 0 and 1")
        claims = Claims(
            None if cutoff is None else instant(cutoff, where="cutoff"),
            base_rate,
            None if sample is None else _rows(Path(sample), chosen),
        )
        return bring(self._records, chosen, Server(source), uri, strict=self._strict, claims=claims)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One mirroring of a project at a time: two would each write what the other was about to."""
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "mirror.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


def _rows(path: Path, model: Model) -> npt.NDArray[np.float32]:
    """The vector's columns of a Parquet file, in its order."""
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"it cannot be read: {(str(error).splitlines() or [''])[0]}", where=str(path), expected="a Parquet file"
        ) from error
    vector = model.features.vector
    if lacking := [name for name in vector if name not in frame.columns]:
        raise InputError(
            f"it has no column {lacking[0]!r}", where=str(path), expected=f"a column for each of {', '.join(vector)}"
        )
    return frame.select(pl.col(list(vector)).cast(pl.Float32)).to_numpy()
