"""Training sets: the asked rows of a model with their features and labels, as everything was known at a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.features.historical import views
from backstay.features.labels import join_labels, standing
from backstay.features.offline import EventReader, check_asked
from backstay.features.rows import RowEngine
from backstay.features.rowwise import check_rowwise
from backstay.storage.ports import EventStore


@dataclass(slots=True)
class TrainingSet:
    """Rows that are mature and not void, in the order they were asked.

    frame:    `at`, the keys, every feature, and `label`
    vector:   the model's input, float32, shape (rows, features of the vector)
    outcome:  0 or 1 a row
    versions: the table version of each source that was read
    seals:    of each of those, the digest of its content; see `EventStore.seal`
    void, immature, unlabelled: asked rows that were left out, and why
    """

    frame: pl.DataFrame
    vector: npt.NDArray[np.float32]
    outcome: npt.NDArray[np.int8]
    versions: dict[str, int]
    asked: int
    void: int
    immature: int
    unlabelled: int
    seals: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    """such as "pii", inherited from the features"""

    @property
    def rows(self) -> int:
        return self.frame.height

    def before(self, cutoff: int, maturity: int) -> TrainingSet:
        """The rows whose labels were mature at `cutoff`: what may be trained on when later rows are held out."""
        keep = self.frame.get_column("at").to_numpy() + maturity <= cutoff
        return replace(
            self,
            frame=self.frame.filter(keep),
            vector=self.vector[keep],
            outcome=self.outcome[keep],
            immature=self.immature + int((~keep).sum()),
        )


def asked_rows(model: Model, events: EventReader, *, since: int | None, until: int, as_of: int) -> pl.DataFrame:
    """What was asked in [since, until): `at`, keys and request fields of each asked event known by `as_of`.

    In the order of the events record.
    """
    ask = model.ask
    fields = {f.name: pl.col(ask.fields.get(f.name, f.name)).cast(f.dtype) for f in model.features.requests}
    asked = standing(events, ask.source.name, ask.source.event_id, as_of)
    rows = asked.with_columns(at=pl.col("event_time").to_physical() - ask.before).filter(pl.col("at") < until)
    if since is not None:
        rows = rows.filter(pl.col("at") >= since)
    return rows.select("at", *model.keys, **fields)


def training_set(
    model: Model,
    events: EventStore,
    *,
    as_of: int,
    since: int | None = None,
    until: int | None = None,
    memory: int | None = None,
) -> TrainingSet:
    """The training set of a model as known at `as_of`, of rows asked in [since, until).

    A row is in it if its label is mature at `as_of`, known and not void. Derived features are checked to be row-wise.
    `memory` bounds the bytes that a source's events may take at once, roughly; see `historical`.
    Raises `InputError` if nothing is left.
    """
    label = model.label
    read = [*model.features.sources, model.ask.source, label.source, *([label.void] if label.void else [])]
    versions = {source.name: events.version(source.name) for source in read}
    seals = {name: events.seal(name, version) for name, version in versions.items() if version >= 0}
    asked = asked_rows(model, events, since=since, until=as_of if until is None else min(until, as_of), as_of=as_of)
    labelled = join_labels(asked, model.label, events, as_of=as_of)
    kept = labelled.filter(pl.col("mature") & pl.col("label").is_not_null())
    if not kept.height:
        raise InputError(
            f"none of the {asked.height} rows asked has a mature label as of {instant_text(as_of)}",
            where=f"training set of model {model.name!r}",
            fix="ingest its sources first, or ask for an earlier period",
        )
    check_asked(model.features, kept)
    engine = RowEngine(model.features, dated=False)
    rows = engine.filled(views(engine, kept, events, as_of=as_of, memory=memory), kept)
    features = rows.frame()
    base = [f.name for f in model.features if f.kind != "derived"]
    check_rowwise(model.features, features.select(base))
    keys = [key for key in ("at", *model.keys) if key not in features.columns]
    frame = pl.concat([kept.select(keys), features, kept.select("label")], how="horizontal")
    return TrainingSet(
        frame=frame,
        vector=rows.vector(),
        outcome=kept.get_column("label").cast(pl.Int8).to_numpy(),
        versions=versions,
        asked=asked.height,
        **_left_out(labelled),
        seals={name: seal.digest for name, seal in seals.items() if seal.digest is not None},
        tags=tuple(sorted(model.features.tags)),
    )


def _left_out(labelled: pl.DataFrame) -> dict[str, int]:
    """How many rows have no label that may be learned from, by the reason."""
    void, mature = labelled.get_column("void"), labelled.get_column("mature")
    unlabelled = mature & ~void & labelled.get_column("label").is_null()
    return {"void": int(void.sum()), "immature": int((~mature & ~void).sum()), "unlabelled": int(unlabelled.sum())}
