"""Events on their way into the record: all of them, or the good ones, or none.

Of a source without a contract everything is taken or nothing: one row that does not fit refuses the batch. Of a source
with a contract the good rows go on, and the bad ones go to quarantine: an events record of its own, named
`quarantine_SOURCE`, with a row for each, its text as it came, and the reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import DAY, EARLIEST, LATEST
from backstay.definitions import EventSource
from backstay.features.contracts import Fault, Seen, faults
from backstay.features.shaping import UTC, Shaped, shape, unit

BAD = {"expectation": pl.String(), "reason": pl.String(), "row": pl.String()}


@dataclass(frozen=True, slots=True, eq=False)
class Screened:
    """Rows parted: `good` in the form of the record, `bad` with `expectation`, `reason` and `row` (its text)."""

    good: pl.DataFrame
    bad: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How many rows are bad, by reason."""
        return dict(self.bad.group_by("reason", maintain_order=True).len().iter_rows())


def prepare(source: EventSource, events: pl.DataFrame) -> pl.DataFrame:
    """`events` in the form of the record. Raises `InputError` and changes nothing if any row does not fit by itself.

    The contract is not asked, nor is anything held against other rows.
    """
    shaped = shape(source, events)
    first = next(faults(source, shaped, now=None), None)
    if first is not None and first.name in ("time", "type", "finite"):  # these are looked for before any other
        raise refusal(source, first, shaped.rows, events)
    return shaped.rows


def screen(source: EventSource, events: pl.DataFrame, *, now: int, seen: Seen | None = None) -> Screened:
    """History, parted into good and bad rows. `now` is microseconds; `seen` is what the record holds already.

    Raises `InputError` for what is wrong with the frame as a whole, and without a contract for every bad row.
    """
    shaped = shape(source, events)
    return judged(source, shaped, events, now=now, seen=seen)


def judged(
    source: EventSource,
    shaped: Shaped,
    came: pl.DataFrame,
    *,
    now: int,
    seen: Seen | None = None,
    live: bool = False,
    texts: Callable[[pl.Series], list[str]] | None = None,
    computed: Mapping[str, pl.Expr] | None = None,
) -> Screened:
    """As `screen`, of rows in the form of the record. `texts` gives the rows of a mask as they came; `computed` is what
    features compute of a row, which must not raise."""
    rows = shaped.rows
    reasons = pl.DataFrame({"fault": pl.repeat(None, rows.height, dtype=pl.Int64, eager=True)})
    found: list[Fault] = []
    for fault in faults(source, shaped, now=now, live=live, seen=seen, computed=computed):
        if source.contract is None:
            raise refusal(source, fault, rows, came)
        first = fault.rows & pl.col("fault").is_null()
        reasons = reasons.with_columns(pl.when(first).then(len(found)).otherwise("fault").alias("fault"))
        found.append(fault)
    if not found:
        return Screened(rows, pl.DataFrame(schema=BAD))
    places = reasons.get_column("fault")
    bad = places.is_not_null()
    named = [found[place] for place in places.drop_nulls()]
    told = {
        "expectation": [fault.name for fault in named],
        "reason": [fault.reason for fault in named],
        "row": (texts or (lambda mask: row_texts(came.filter(mask))))(bad),
    }
    return Screened(rows.filter(~bad), pl.DataFrame(told, schema=BAD))


def refusal(source: EventSource, fault: Fault, rows: pl.DataFrame, came: pl.DataFrame) -> InputError:
    """The error of a batch that is refused: the rule, how many rows break it, and one of the values."""
    number = int(fault.rows.sum())
    column = fault.column if fault.column in came.columns else ""
    values = (came if column else rows).filter(fault.rows)
    value = _cells(values.get_column(fault.column).head(1))[0] if fault.column else None
    example = "" if value is None else f", such as {_shown(value)}"
    return InputError(
        f"{number} of {rows.height} events: {fault.reason}{example}",
        where=source.where,
        expected=fault.expected,
        fix=fault.fix or "mend them, or give the source a contract: then such events go to quarantine",
    )


def quarantined(bad: pl.DataFrame, *, now: int, origin: str) -> pl.DataFrame:
    """Bad rows as events of the quarantine. origin: "ingest" or "push"."""
    moment = pl.lit(now).cast(UTC)
    return bad.select(
        moment.alias("event_time"), moment.alias("known_time"), "expectation", "reason", "row",
        pl.lit(origin).alias("origin"),
    )  # fmt: skip


def row_texts(rows: pl.DataFrame) -> list[str]:
    """Each row as a JSON object: times in ISO 8601, with the zone they came with; what JSON has no form for as text.

    >>> row_texts(pl.DataFrame({"amount": [float("nan")], "shop": ["a"]}))
    ['{"amount": "NaN", "shop": "a"}']
    """
    cells = zip(*map(_cells, rows.get_columns()), strict=True)
    return [row_text(dict(zip(rows.columns, row, strict=True))) for row in cells]


def _cells(column: pl.Series) -> list[Any]:
    """The values of a column; a time that no `datetime` holds, in any zone, as a number of its units."""
    kind = column.dtype
    if (micros := unit(kind)) is None:
        return column.to_list()
    numbers, named = column.to_physical(), "d" if kind == pl.Date else getattr(kind, "time_unit", "")
    held = numbers.is_between((EARLIEST + DAY) // micros, (LATEST - DAY) // micros)
    times = pl.select(pl.when(held).then(column)).to_series().to_list()
    told = [None if number is None else f"{number}{named} from 1970" for number in numbers.to_list()]
    return [time if time is not None else text for time, text in zip(times, told, strict=True)]


def row_text(row: Any) -> str:
    """One row, or whatever came instead of one, as JSON."""
    text = json.dumps(_plain(row), ensure_ascii=False, default=str)
    return text.encode(errors="backslashreplace").decode()  # half a character (a lone surrogate) is kept as its number


def _plain(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex()
        case dict():
            return {str(name): _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value


def _shown(value: Any) -> str:
    text = value.isoformat() if isinstance(value, datetime) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def beyond(rows: pl.DataFrame, held: pl.DataFrame) -> pl.Series:
    """Which of the rows are not among `held`, where each row held stands for one row. The columns are those of both."""
    number = pl.int_range(pl.len()).over(held.columns).alias("__number")
    left = rows.select(held.columns).with_row_index("__place").with_columns(number)
    keys = [*held.columns, "__number"]
    rest = left.join(held.with_columns(number), on=keys, how="anti", nulls_equal=True).get_column("__place")
    return pl.int_range(rows.height, dtype=pl.UInt32, eager=True).is_in(rest.implode())


def beyond_texts(texts: Iterable[str], held: Iterable[str]) -> list[bool]:
    """The same for the texts of rows."""
    left: dict[str, int] = {}
    for text in held:
        left[text] = left.get(text, 0) + 1
    out = []
    for text in texts:
        left[text] = left.get(text, 0) - 1
        out.append(left[text] < 0)
    return out
