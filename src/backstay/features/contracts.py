"""What is wrong with the rows of a frame: by the rules that always hold, and by the source's contract.

A *fault* is one rule and the rows that break it. They are found in this order, and a row has the first that it breaks:
times and types, finite numbers, the future, the contract's expectations, what features compute of it; then, among the
rows good so far, uniqueness and the producer's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import polars as pl

from backstay.core.times import EARLIEST, LATEST, MINUTE, age_text, duration_text, instant_text
from backstay.definitions import EventSource, Expect
from backstay.definitions.sources import type_name
from backstay.features.raising import RAISED, raising
from backstay.features.shaping import Shaped
from backstay.storage.ports import EventStore

LIVE_AHEAD = 5 * MINUTE
"""How far a live event may lie ahead of the server's clock: clocks differ."""


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """A rule that some rows break.

    reason: what is so; rows: which of them (true where it is broken); column: where to look for an example
    """

    name: str
    reason: str
    rows: pl.Series
    column: str = ""
    expected: str = ""
    fix: str = ""


class Seen:
    """What the record holds of the columns that must be unique, and the producer's highest number.

    It keeps every such value in memory; `follow` reads what was appended since.
    """

    def __init__(self, source: EventSource) -> None:
        unique = () if source.contract is None else source.contract.of_kind("unique")
        self._source = source
        self._keys: dict[tuple[str, ...], set[tuple[object, ...]]] = {one.columns: set() for one in unique}
        columns = [name for columns in self._keys for name in columns]
        self._columns = list(dict.fromkeys([*columns, *([source.sequence] if source.sequence else [])]))
        self._upto = 0
        self.highest: int | None = None

    @property
    def needed(self) -> bool:
        """Whether anything of an event depends on what the record holds."""
        return bool(self._columns)

    def follow(self, events: EventStore) -> Seen:
        """Read what the record holds beyond what was seen, if anything here depends on it."""
        name = self._source.name
        if self._columns and (last := events.last_sequence(name)) > self._upto:
            for batch in events.batches(name, columns=self._columns, sequence_after=self._upto, sequence_until=last):
                self._add(batch)
            self._upto = last
        return self

    def appended(self, rows: pl.DataFrame, first: int, last: int) -> None:
        """Rows that were just appended under these numbers; left to `follow` where others came before them."""
        if first == self._upto + 1:
            self._add(rows)
            self._upto = last

    def _add(self, rows: pl.DataFrame) -> None:
        for columns, values in self._keys.items():
            values.update(rows.select(columns).drop_nulls().iter_rows())
        if self._source.sequence and rows.height:
            highest: int | None = rows.get_column(self._source.sequence).max()  # type: ignore[assignment]
            self.highest = max((one for one in (self.highest, highest) if one is not None), default=None)

    def repeated(self, columns: tuple[str, ...], rows: pl.DataFrame) -> pl.Series:
        """Which rows have values that the record, or an earlier row, has already; a row with a null never has."""
        held, batch, out = self._keys[columns], set[tuple[object, ...]](), []
        keys = rows.select(columns)
        if not held and not any(kind.is_float() for kind in keys.dtypes):  # a year's history, say; NaN equals no NaN
            whole = pl.all_horizontal(pl.all().is_not_null())
            return keys.select(whole & ~pl.struct(pl.all()).is_first_distinct()).to_series()
        for key in keys.iter_rows():
            again = None not in key and (key in held or key in batch)
            batch.add(key)
            out.append(again)
        return pl.Series(out, dtype=pl.Boolean)


def faults(
    source: EventSource,
    shaped: Shaped,
    *,
    now: int | None,
    live: bool = False,
    seen: Seen | None = None,
    computed: Mapping[str, pl.Expr] | None = None,
) -> Iterator[Fault]:
    """Every rule that some rows break. Without `now`, none is in the future. `live`: the rows come as they happen, in
    their own order; otherwise they are history, in the order in which they became known. computed: what features
    compute of each row, by the feature (`raising.computed`)."""
    rows = shaped.rows
    good = pl.repeat(True, rows.height, dtype=pl.Boolean, eager=True)
    for fault in chain(_single(source, shaped, now, live), _computed(source, shaped.rows, computed or {})):
        good &= ~fault.rows
        yield fault
    for one in source.contract.of_kind("unique") if source.contract is not None else ():
        places = good.arg_true()
        again = (seen or Seen(source)).repeated(one.columns, rows[places])
        if again.any():
            fault = Fault(one.name, one.broken, _at(places, again, rows.height), one.columns[0], one.sentence)
            good &= ~fault.rows
            yield fault
    if source.sequence is not None:
        places = good.arg_true()
        stuck = _stuck(source, rows[places], None if seen is None else seen.highest, live)
        if stuck.any():
            yield Fault(
                "sequence", f"{source.sequence} does not rise: the event came before, or out of order",
                _at(places, stuck, rows.height), source.sequence, "a number above that of every event before",
                "leave out what was sent before; sequence= is for a number that rises from event to event",
            )  # fmt: skip


def _at(places: pl.Series, chosen: pl.Series, height: int) -> pl.Series:
    """The rows at the chosen ones of some places, as a mask over all rows."""
    return pl.int_range(height, dtype=pl.UInt32, eager=True).is_in(places.filter(chosen).implode())


def _single(source: EventSource, shaped: Shaped, now: int | None, live: bool) -> Iterator[Fault]:
    """Rules about one row at a time."""
    rows = shaped.rows
    yield from _times(source, shaped)
    yield from _outside(source, rows)
    for name, unread in shaped.unread.items():
        if name in source.schema:
            kind = type_name(source.schema[name])
            yield Fault("type", f"{name} is not read as {kind}", unread, name, f"{kind} in every row", "mend the value")
    for name, dtype in rows.schema.items():
        if dtype == pl.Float64 and not (finite := rows.get_column(name).is_finite()).all():
            yield Fault(
                "finite", f"{name} is NaN or infinite", (~finite).fill_null(value=False), name,
                "finite numbers, or null where there is none", f'pl.col("{name}").fill_nan(None)',
            )  # fmt: skip
    if now is not None:
        yield from _future(source, rows, now, live)
    yield from _expected(source, rows)
    if source.sequence is not None and (missing := rows.get_column(source.sequence).is_null()).any():
        yield Fault(
            "sequence", f"there is no {source.sequence}", missing, source.sequence, "the producer's number",
            "add it: an event without one that is sent twice is counted twice",
        )  # fmt: skip


def _expected(source: EventSource, rows: pl.DataFrame) -> Iterator[Fault]:
    """What the contract expects of one event at a time."""
    expected = [] if source.contract is None else [one for one in source.contract if one.holds is not None]
    found: list[tuple[pl.Series, dict[str, pl.Series]]]
    try:
        found = [(wrong, {}) for wrong in _broken(rows, expected)]
    except RAISED:
        found = [_judgeable(rows, one) for one in expected]
    for one, (wrong, raised) in zip(expected, found, strict=True):
        column = one.columns[0] if one.columns else ""
        for words, bad in raised.items():
            yield Fault(one.name, f"{one.name} cannot be judged: {words}", bad, column, one.sentence)
        if wrong.any():
            yield Fault(one.name, one.broken, wrong, column, one.sentence)


def _computed(source: EventSource, rows: pl.DataFrame, computed: Mapping[str, pl.Expr]) -> Iterator[Fault]:
    """What no feature can be computed of: kept in the record, it would take the feature from every other event, too."""
    for name, expression in computed.items():
        for words, bad in raising(rows, expression, first=source.contract is None).items():
            yield Fault(
                "feature", f"{name} cannot be computed: {words}", bad, expression.meta.root_names()[0],
                f"values that {name} can be computed of",
                "write its expression so that it is null there, as by cast(..., strict=False), or give the source a "
                "contract: then such events go to quarantine",
            )  # fmt: skip


def _broken(rows: pl.DataFrame, expected: list[Expect]) -> list[pl.Series]:
    """Of each expectation the rows that break it; a null breaks none."""
    marks = [~one.holds for one in expected if one.holds is not None]
    named = {str(place): mark.fill_null(value=False) for place, mark in enumerate(marks)}
    return rows.with_columns(**named).select(list(named)).get_columns()  # no column of events is called "0"


def _judgeable(rows: pl.DataFrame, one: Expect) -> tuple[pl.Series, dict[str, pl.Series]]:
    """The rows that break an expectation; and by what Polars says of them, those for which it raises."""
    assert one.holds is not None
    raised = raising(rows, one.holds)
    judged = pl.repeat(True, rows.height, dtype=pl.Boolean, eager=True)
    for bad in raised.values():
        judged &= ~bad
    places = judged.arg_true()
    (wrong,) = _broken(rows[places], [one])
    return _at(places, wrong, rows.height), raised


def _times(source: EventSource, shaped: Shaped) -> Iterator[Fault]:
    zone = f"of {source.timezone}, that occurs once" if source.timezone else "with a zone"
    for name, came in (("event_time", source.event_time), ("known_time", source.known_time or source.event_time)):
        if name in shaped.unread:
            yield Fault(
                "time", f"{name} is not a time {zone}", shaped.unread[name], came, f"an ISO 8601 time {zone}",
                "write such times with their offset"
                if source.timezone
                else 'declare EventSource(..., timezone="America/New_York"), or write times with their offset',
            )  # fmt: skip
        missing = shaped.rows.get_column(name).is_null()
        if missing.any():
            yield Fault("time", f"there is no {name}", missing, came, "a time in every event", "drop them, or add it")


def _outside(source: EventSource, rows: pl.DataFrame) -> Iterator[Fault]:
    """Times that no `datetime` holds: nothing that shows one, or reckons with it, could go on with them."""
    came = {"event_time": source.event_time, "known_time": source.known_time or source.event_time}
    for name, kind in rows.schema.items():
        if isinstance(kind, pl.Datetime):
            outside = ~rows.get_column(name).to_physical().is_between(EARLIEST, LATEST)
            if outside.any():
                yield Fault(
                    "time" if name in came else "type", f"{name} is outside the years 1 to 9999 in UTC",
                    outside.fill_null(value=False), came.get(name, name), "a time of the calendar, or null",
                    "check the unit of the times, and leave out what only stands for never",
                )  # fmt: skip


def _future(source: EventSource, rows: pl.DataFrame, now: int, live: bool) -> Iterator[Fault]:
    # What becomes known by a declared delay may stand in the record before that: it isn't visible until then.
    name = "known_time" if source.known_time is not None and not live else "event_time"
    limit = now + LIVE_AHEAD if live else now
    late = (rows.get_column(name).dt.epoch("us") > limit).fill_null(value=False)
    if late.any():
        yield Fault(
            "future", f"{name} is in the future", late, name, f"not after {instant_text(limit)}",
            "check the producer's clock, and the unit and zone of its times",
        )  # fmt: skip


def _stuck(source: EventSource, rows: pl.DataFrame, highest: int | None, live: bool) -> pl.Series:
    """Which rows have a producer's number that does not rise.

    History without a known time of its own is taken in the order of the number itself: then it is only not twice.
    """
    assert source.sequence is not None
    number = pl.col(source.sequence)
    order = rows.select("known_time", number).with_row_index("place")
    if not live:
        by = ["known_time", source.sequence] if source.known_time is not None else [source.sequence]
        order = order.sort(by, maintain_order=True)
    before = pl.max_horizontal(number.cum_max().shift(1), pl.lit(highest, dtype=pl.Int64))
    stuck = (number <= before).fill_null(value=False)
    return order.with_columns(stuck=stuck).sort("place").get_column("stuck")


def volumes(source: EventSource, events: EventStore, *, since: int, until: int, begins: bool) -> list[str]:
    """Sentences about the complete periods, between two known times, in which too few or too many events came.

    begins: the record begins at `since`, within a period that is not counted
    """
    out = []
    for one in () if source.contract is None else source.contract.of_kind("volume"):
        per, least, most = (one.arguments[name] for name in ("per", "at_least", "at_most"))
        first, last = -(-since // per) if begins else since // per, until // per
        if first >= last:
            continue
        known = events.read(
            source.name, columns=["known_time"], known_after=first * per - 1, known_until=last * per - 1
        )
        periods = known.select(period=pl.col("known_time").dt.epoch("us") // per)
        counted = dict(periods.group_by("period").len().iter_rows())
        numbers = [(period, counted.get(period, 0)) for period in range(first, last)]
        wrong = [
            (period, number) for period, number in numbers if number < least or (most is not None and number > most)
        ]
        if wrong:
            period, number = wrong[-1]
            share = f"{len(wrong)} of {last - first} times"
            out.append(f"{one.broken}: {share}, the last from {instant_text(period * per)} with {number:,}")
    return out


def late(source: EventSource, known: int | None, now: int) -> str | None:
    """A sentence if nothing of the source became known for longer than its `freshness` allows, at `now`.

    known: when the last event became known (None: there is none)
    """
    if source.freshness is None or (known is not None and now - known <= source.freshness):
        return None
    objective = f"the objective is {duration_text(source.freshness)}"
    if known is None:
        return f"nothing has ever become known; {objective}"
    return f"nothing became known for {age_text(now - known)}; {objective}"
