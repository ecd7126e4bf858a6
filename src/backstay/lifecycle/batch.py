"""Batch scoring: a table's rows, each at its own T, scored by the files that serve; larger than memory, and resumable.

Nothing is scored twice or lost: parts that are there stay, whatever was killed, and the others are computed from the
same events, by the same version (`runs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.features.asking import Asking
from backstay.features.historical import views
from backstay.features.rows import RowEngine, Rows
from backstay.features.rowwise import check_rowwise
from backstay.features.shaping import UTC
from backstay.features.views import Status
from backstay.lifecycle.records import Records
from backstay.lifecycle.runs import Run, Wanted, chosen_version, taken_up
from backstay.registry.versions import ModelVersion
from backstay.serving.champions import honoured
from backstay.serving.scoring import row_by_row
from backstay.storage.parts import Parts
from backstay.storage.ports import EventStore
from backstay.storage.tables import Table

LINEAGE = (
    "prediction_id", "row", "at", "score", "decision", "error", "model", "version", "version_digest", "feature_set",
    "rule", "scored_at",
)  # fmt: skip
"""The columns that every row of the output has."""

Progress = Callable[[str, int, int], None]


_REASONS = 20
"""Of how many reasons each is told."""


@dataclass(frozen=True, slots=True)
class Predicted(Shown):
    """What a batch run has written: `rows` of the table, of which `scored` have a score and `refused` have an `error`.

    at: the column of each row's T, or the T of all rows. written: parts that this call wrote; the others were there.
    errors: by reason, how many rows could not be asked, with where the first of them stands
    """

    model: str
    version: int
    digest: str
    run: str
    out: Path
    at: str | int
    rows: int
    scored: int
    refused: int
    parts: int
    written: int
    errors: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def frame(self) -> pl.LazyFrame:
        """The output, in the order of the table."""
        return pl.scan_parquet(self.out / "part-*.parquet")


def predict(
    records: Records, model: Model, opened: Callable[[int | None], Table], out: Path, wanted: Wanted, progress: Progress
) -> Predicted:
    """Score every row of a table into Parquet files in `out`; `opened` opens it, at a version if it has versions."""
    version = chosen_version(records, model, wanted.version)
    honoured(model, version)
    parts = Parts(out)
    with parts.writing():
        run, table, missing = taken_up(records, model, version, opened, parts, wanted)
        batch = _Batch(records, model, version, table, run, wanted.memory)
        done, what = run.rows_of(set(range(run.parts)) - set(missing)), f"scoring with version {version.number}"
        progress(what, done, run.rows)
        # Closed here and not when it is forgotten: what is raised there, as by Ctrl-C, is printed and lost.
        with closing(table.parts(run.part, missing)) as read:
            for number, frame in read:
                parts.write(number, batch.scored(frame, number * run.part), run.as_dict())
                done += frame.height
                progress(what, done, run.rows)
        run.unchanged(opened, table)
    return _told(version, run, table, out, len(missing))


def _told(version: ModelVersion, run: Run, table: Table, out: Path, written: int) -> Predicted:
    """What the parts hold, all of them: those that were there before, too."""
    output = pl.scan_parquet(out / "part-*.parquet")
    refused = output.filter(pl.col("error").is_not_null()).group_by("error").agg(pl.len(), pl.col("row").min())
    reasons = refused.sort("len", "error", descending=[True, False]).collect(engine="streaming")
    without = int(reasons.get_column("len").sum())
    told = {
        reason: {"rows": rows, "first": table.place(row)} for reason, rows, row in reasons.head(_REASONS).iter_rows()
    }
    if rest := max(reasons.height - _REASONS, 0):  # a model may name each row's value in its error
        other = reasons[_REASONS:]
        first = table.place(other.select(pl.col("row").min()).item())
        told[f"{rest} other reasons"] = {"rows": int(other.get_column("len").sum()), "first": first}
    return Predicted(
        model=version.model,
        version=version.number,
        digest=version.digest,
        run=run.id,
        out=out,
        at=run.asked["at"] if isinstance(run.asked["at"], str) else instant_text(run.at or 0),
        rows=run.rows,
        scored=run.rows - without,
        refused=without,
        parts=run.parts,
        written=written,
        errors=told,
    )


class _Batch:
    """Scores one part after the other, all from the same events and by the same version."""

    def __init__(
        self, records: Records, model: Model, version: ModelVersion, table: Table, run: Run, memory: int | None
    ) -> None:
        self._version, self._run, self._memory, self._table = version, run, memory, table
        self._clock, self._features = records.clock, model.features
        at = run.asked["at"]
        self._asking = Asking(
            model.features,
            table.schema,
            at=at if isinstance(at, str) else run.at or 0,
            now=run.begun,
            where=table.where,
            texts=table.texts,
        )
        if run.rows:
            self._asking.check_filled(table.schema)
        self._kept = _kept(table, run)
        self._engine = RowEngine(model.features, dated=False)
        self._checked = False
        self._events = _Pinned(records.events, run.watermark, keep=memory is None)
        self._scorer, self._rule = records.scorer(model, version), records.rule(version, run.asked.get("rule", ""))

    def scored(self, frame: pl.DataFrame, begin: int) -> pl.DataFrame:
        """A part of the table, whose first row has the number `begin`, with its predictions."""
        asked, error = self._asking.frame(frame)
        good = error.is_null()
        places = good.arg_true()
        rows = self._rows(asked.filter(good))
        if len(places) and not self._checked:
            base = [feature.name for feature in self._features if feature.kind != "derived"]
            check_rowwise(self._features, rows.frame().select(base))
            self._checked = True
        raw, whys = row_by_row(self._scorer, rows.vector())
        scores = np.full(frame.height, np.nan)
        scores[places.to_numpy()] = self._rule.scores(np.where(np.isfinite(raw), raw, np.nan))
        if whys:
            none = pl.Series([whys.get(place) for place in range(len(places))], dtype=pl.String)
            error = error.scatter(places, none)
        out = frame.select(self._kept).with_columns(self._lineage(asked, error, scores, begin))
        return self._with_features(out, rows, places) if self._run.asked["features"] else out

    def _rows(self, asked: pl.DataFrame) -> Rows:
        room = views(self._engine, asked, self._events, as_of=None, memory=self._memory)
        return self._engine.filled(room, asked)

    def _lineage(self, asked: pl.DataFrame, error: pl.Series, scores: Any, begin: int) -> list[pl.Series | pl.Expr]:
        version, score = self._version, pl.Series("score", scores).fill_nan(None)
        row = pl.int_range(begin, begin + asked.height, dtype=pl.Int64, eager=True).alias("row")
        return [
            (f"{self._run.id}-" + row.cast(pl.String).str.zfill(9)).alias("prediction_id"),
            row,
            asked.get_column("at").cast(UTC),
            score,
            (score >= self._rule.threshold).alias("decision"),
            error,
            pl.lit(version.model).alias("model"),
            pl.lit(version.number).cast(pl.Int64).alias("version"),
            pl.lit(version.digest).alias("version_digest"),
            pl.lit(self._features.hash).alias("feature_set"),
            pl.lit(self._rule.name).alias("rule"),
            pl.lit(self._clock.now()).cast(UTC).alias("scored_at"),
        ]

    def _with_features(self, out: pl.DataFrame, rows: Rows, places: pl.Series) -> pl.DataFrame:
        names = pl.Series([status.name for status in Status])
        told = [
            names.gather(rows.statuses[:, place]).alias(f"{feature.name}__status")
            for place, feature in enumerate(self._features)
        ]
        made = rows.frame().with_columns(told)
        whole = pl.DataFrame({"row": range(out.height)}).join(
            made.with_columns(row=places.cast(pl.Int64)), on="row", how="left", maintain_order="left"
        )
        return out.with_columns(whole.drop("row").get_columns())


def _kept(table: Table, run: Run) -> list[str]:
    """The columns of the table that go into the output, which has names of its own."""
    keep = list(table.schema) if run.asked["keep"] is None else list(run.asked["keep"])
    for name in keep:
        if name not in table.schema:
            raise InputError(f"there is no column {name!r}", where=table.where, expected=f"of {list(table.schema)}")
        if keep.count(name) > 1:
            raise InputError(
                f"the column {name!r} is named twice", where="keep", expected="each once", fix="name it once"
            )
        if name in LINEAGE and name != run.asked["at"]:
            raise InputError(
                f"the column {name!r} has the name of one that is written",
                where=table.where,
                expected=f"other names than {', '.join(LINEAGE)}",
                fix="rename it, or name the columns to keep (--keep)",
            )
    return [name for name in keep if name not in LINEAGE]


class _Pinned:
    """The events record as it was when a run began. What fits into memory is read once."""

    def __init__(self, events: EventStore, watermark: dict[str, int], *, keep: bool) -> None:
        self._events, self._watermark, self._keep = events, watermark, keep
        self._held: dict[tuple[Any, ...], pl.DataFrame] = {}

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        last = self._watermark[source]
        last = last if sequence_until is None else min(last, sequence_until)
        key = (source, *(columns or ()), known_until, known_after, last)
        found = self._held.get(key)
        if found is None:
            found = self._events.read(
                source, columns=columns, known_until=known_until, known_after=known_after, sequence_until=last
            )
            if self._keep:
                self._held[key] = found
        return found

    def batches(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        sequence_after: int = 0,
        sequence_until: int | None = None,
        rows: int = 100_000,
    ) -> Iterator[pl.DataFrame]:
        last = self._watermark[source]
        last = last if sequence_until is None else min(last, sequence_until)
        return self._events.batches(
            source,
            columns=columns,
            known_until=known_until,
            sequence_after=sequence_after,
            sequence_until=last,
            rows=rows,
        )

    def last_sequence(self, source: str) -> int:
        return self._watermark[source]
