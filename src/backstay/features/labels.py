"""Labels joined to what was asked, by the rules of time.

As of a moment, a row's outcome is *known* if its event had become known by then, *void* if a voiding event had, and
*mature* once the label's horizon and the declared delays of both sources have passed. Only mature rows are compared or
trained on: "arrived so far" is a biased sample, because rows come late when the outcome is late.
"""

from __future__ import annotations

import polars as pl

from backstay.definitions import Label
from backstay.features.cells import highest
from backstay.features.offline import EventReader


def join_labels(
    asked: pl.DataFrame, label: Label, events: EventReader, *, as_of: int, known: bool = False
) -> pl.DataFrame:
    """`asked` (columns `at` and the label's key) with three columns added, its rows as they came.

    label:  Boolean, null where no outcome is known as of `as_of`, or where it is void; of a label that is an
    occurrence,
            False where the row is mature and nothing came
    void:   Boolean, the outcome was voided: by an event of its key that is known by `as_of`, whenever it happened
    mature: Boolean, at + horizon + delay <= as_of, where the delay is the longer one of outcomes and voiding events
    known:  if asked for, Int64 (microseconds): when the outcome became known; null where none is, or where it is void;
            of an occurrence that did not come, when the row became mature

    Only an outcome that happens in [T, T + horizon] is the row's. Of a label that is a value the first in the order
    (event_time, known_time, sequence) counts if several arrived; an occurrence has come if one that meets its condition
    has. Where outcomes or voiding events are corrected (`event_id`), the highest version known by `as_of` counts.
    """
    rows = asked.with_row_index("_row")
    matched = (
        rows.select("_row", "at", label.key)
        .join(outcomes(label, events, as_of), on=label.key, how="inner", maintain_order="left_right")
        .filter(pl.col("_happened").is_between(pl.col("at"), pl.col("at") + label.horizon))
        .unique("_row", keep="first", maintain_order=True)
        .select("_row", "label", "_known")
    )
    joined = rows.join(matched, on="_row", how="left", maintain_order="left")
    if label.void is None:
        joined = joined.with_columns(void=pl.lit(False))
    else:
        voided = standing(events, label.void.name, label.void.event_id, as_of).select(label.key, void=pl.lit(True))
        joined = joined.join(voided.unique(), on=label.key, how="left", maintain_order="left")
        joined = joined.with_columns(pl.col("void").fill_null(False))
    mature = pl.col("at") + label.maturity <= as_of
    value, when = pl.col("label"), pl.col("_known")
    if label.occurrence:
        value, when = (
            value.fill_null(pl.when(mature).then(False)),
            when.fill_null(pl.when(mature).then(pl.col("at") + label.maturity)),
        )
    told = {"label": value, "known": when} if known else {"label": value}
    return joined.with_columns(
        mature=mature, **{name: pl.when("void").then(None).otherwise(one) for name, one in told.items()}
    ).drop("_row", "_known")


def outcomes(label: Label, events: EventReader, as_of: int) -> pl.DataFrame:
    """The outcomes known by `as_of`, in canonical order: the label's key, `label`, `_happened` and `_known`."""
    table = standing(events, label.source.name, label.source.event_id, as_of).rechunk().with_columns(label=label.value)
    wanted = pl.col("label") if label.occurrence else pl.col("label").is_not_null()
    return (
        table.filter(wanted)
        .sort("event_time", "known_time", "sequence")
        .select(
            label.key, "label", _happened=pl.col("event_time").to_physical(), _known=pl.col("known_time").to_physical()
        )
    )


def standing(events: EventReader, source: str, event_id: str | None, as_of: int) -> pl.DataFrame:
    """The events of a source known by `as_of` that no correction known by then replaces, whenever they happen.

    event_id: what names the versions of one event, if they may be corrected
    """
    table = events.read(source, known_until=as_of)
    return table if event_id is None else table.filter(highest(table, event_id))
