"""What of an event a view keeps: its times, its values as floats, and the words that stand for what is no float."""

from __future__ import annotations

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.definitions import View
from backstay.definitions.sources import type_name
from backstay.features.exact import Floats, Ints
from backstay.features.rows import SHORT, in_one_chunk

_EXACT = float(1 << 53)
"""Whole numbers up to this are floats."""
FEW = 1_000
"""Events up to which a dictionary of Python's numbers them sooner than a join."""


def micros(frame: pl.DataFrame, name: str) -> Ints:
    """A column of times as integer microseconds."""
    return frame.get_column(name).to_physical().to_numpy()


def view_columns(view: View) -> list[str]:
    """The columns of the source that the view reads, without the times."""
    identity = [] if view.source.event_id is None else [view.source.event_id]
    return list(dict.fromkeys([*view.entity.keys, *identity, *value_columns(view)]))


def value_columns(view: View) -> list[str]:
    """The columns of the source that its values are made of."""
    return list(dict.fromkeys(name for value in view.values for name in value.expression.meta.root_names()))


def check_recorded(view: View, events: pl.DataFrame) -> None:
    """Raise `InputError` if events of the record have another type than declared in a column that the view reads: keys
    would be found nowhere, and every entity would seem never to have been seen."""
    recorded, declared = events.schema, view.source.schema
    for name in view_columns(view):
        if name in recorded and recorded[name] != declared[name]:
            kind = type_name(recorded[name])
            raise InputError(
                f"column {name!r} is declared as {type_name(declared[name])}, and its record has {kind}",
                where=view.source.where, expected=f"{name}: {kind}",
                fix="declare that, or a source of another name for the new form",
            )  # fmt: skip


def view_values(view: View, events: pl.DataFrame) -> tuple[Floats, dict[int, pl.Series]]:
    """The view's value columns of each event, shape (events, columns), NaN for null; and by coded column its values.

    A coded column is empty in the matrix: its values are to be turned into the numbers of words.

    Raises `InputError`, which names the definition, for an expression that ends in an error for one of the events.
    """
    out = np.empty((len(view.values), events.height)).T  # each column in one piece
    if not view.values or not events.height:
        return out, {place: pl.Series(dtype=value.dtype) for place, value in enumerate(view.values) if value.coded}
    values, words = _evaluated(view, events), {}
    for place, value in enumerate(view.values):
        column = values.get_column(str(place))
        if value.coded:
            words[place] = column
            continue
        temporal = column.dtype.is_temporal()
        column = column.to_physical() if temporal else column
        out[:, place] = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        if temporal:
            _no_later(out[:, place], column)
        strange = ~np.isfinite(out[:, place])
        if strange.any():
            out[strange, place] = np.nan
    return out, words


def _evaluated(view: View, events: pl.DataFrame) -> pl.DataFrame:
    """The values as they are declared, named by their places."""
    frame = in_one_chunk(events)
    try:
        values = frame.select(**{str(place): value.expression for place, value in enumerate(view.values)})
    except pl.exceptions.PolarsError as error:
        raise _not_evaluated(view, frame, error) from error
    return values.head(events.height)


def _not_evaluated(view: View, frame: pl.DataFrame, error: Exception) -> InputError:
    for value in view.values:
        try:
            frame.select(value.expression)
        except pl.exceptions.PolarsError as found:
            said = str(found).splitlines()[0]
            return InputError(
                f"{value.expression} ends in an error for some event of {view.source.name!r}: {said}",
                where=value.where,
                expected="a value, or null, whatever the event holds",
                fix="let it be null, such as .cast(pl.Float64, strict=False), or have a Contract refuse such events",
            )
    raise error


def _no_later(out: Floats, times: pl.Series) -> None:
    """Let a time that a float cannot hold (after 2255, and before 1684) be less far away, and not farther: else the
    last microsecond of the year 9999 would be one of the year 10000."""
    far = np.flatnonzero(np.abs(out) > _EXACT)
    if len(far):
        exact = times.gather(far).to_numpy()
        over = np.abs(out[far].astype(np.int64)) > np.abs(exact)
        out[far[over]] = np.nextafter(out[far[over]], 0.0)


def coded(column: pl.Series) -> tuple[Floats, pl.Series]:
    """A column as the numbers of its words (NaN: null), and the words."""
    if len(column) <= FEW:
        known: dict[object, int] = {}
        codes = [np.nan if word is None else known.setdefault(word, len(known)) for word in column.to_list()]
        return np.array(codes, np.float64), pl.Series(column.name, list(known), column.dtype)
    words = column.drop_nulls().unique(maintain_order=True)
    table = pl.DataFrame({"word": words, "code": np.arange(len(words), dtype=np.float64)})
    found = pl.DataFrame({"word": column}).join(table, on="word", how="left", maintain_order="left")
    return found.get_column("code").to_numpy(), words


def spelled(codes: Floats, words: pl.Series) -> pl.Series:
    """The words of some numbers; null for NaN."""
    if len(codes) <= SHORT:  # the same column, made several times faster from a few plain words
        found = [None if code != code else words[int(code)] for code in codes.tolist()]
        return pl.Series(words.name, found, words.dtype)
    return words.gather(pl.Series(codes).fill_nan(None).cast(pl.UInt32))


def highest(events: pl.DataFrame, event_id: str) -> pl.Series:
    """Which of some events are the highest version of theirs, in the order (known_time, sequence), whenever they
    happened; one that has no id is its own."""
    order = events.select(event_id, "known_time", "sequence").with_row_index("row").sort("known_time", "sequence")
    last = order.filter(pl.col(event_id).is_null() | pl.col(event_id).is_last_distinct())
    out = np.zeros(events.height, np.bool_)
    out[last.get_column("row").to_numpy()] = True
    return pl.Series(out)


def superseded(events: pl.DataFrame, event_id: str) -> Ints:
    """For each event, when a correction of it becomes visible; `NEVER` if there is none.

    The versions of an event are those of its id, in the order (known_time, sequence); one that has none is its own.
    """
    happened, known = micros(events, "event_time"), micros(events, "known_time")
    frame = pl.DataFrame(
        {
            "id": events.get_column(event_id),
            "known": known,
            "sequence": events.get_column("sequence"),
            "visible": np.maximum(happened + 1, known),
            "row": np.arange(events.height),
        }
    ).filter(pl.col("id").is_not_null() & pl.col("id").is_duplicated())
    until = np.full(events.height, NEVER)
    if frame.height:
        frame = frame.sort("id", "known", "sequence", descending=[False, True, True])
        later = pl.col("visible").cum_min().over("id").shift(1).over("id")
        frame = frame.with_columns(until=later.fill_null(NEVER))
        until[frame.get_column("row").to_numpy()] = frame.get_column("until").to_numpy()
    return until


NEVER = np.iinfo(np.int64).max
