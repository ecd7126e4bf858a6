"""Data contracts: what must hold of the events of a source, checked at ingest and at online push.

    Contract(
        Expect.not_null("customer"),
        Expect.between("amount", 0, 1_000_000),
        Expect.one_of("currency", ["EUR", "USD"]),
        Expect.unique("payment"),
        Expect.check("refund_not_larger", pl.col("refund") <= pl.col("amount")),
        Expect.volume(at_least=1_000, per="1d"),
    )

An event that breaks an expectation goes to quarantine with the reason; the others go on. The volume is of no single
event: where it is not met, that is reported. How old the newest event may be is the source's `freshness`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.times import duration, duration_text, instant
from backstay.definitions.expressions import canonical
from backstay.definitions.names import check_name
from backstay.definitions.places import declared_at, located

BUILT_IN = ("time", "type", "finite", "future", "feature", "sequence")
"""What holds of every event of a source with a contract, without being declared."""
_TIMES = {"event_time": pl.Datetime("us", "UTC"), "known_time": pl.Datetime("us", "UTC")}


@dataclass(frozen=True, slots=True, eq=False)
class Expect:
    """One expectation, made by the methods below. Columns are those of the schema, `event_time` and `known_time`.

    A null breaks `not_null` alone: every other expectation is about the values there are.
    """

    name: str
    kind: str
    sentence: str
    """what should be so, for people"""
    broken: str
    """the same where it is not so: the reason an event is in quarantine"""
    columns: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """plain data"""
    holds: pl.Expr | None = None
    """row-wise; None where rows are not judged one by one (`unique`, `volume`)"""

    @staticmethod
    def not_null(column: str) -> Expect:
        """There is a value in every event."""
        return _of(column, "not_null", "is not null", "is null", pl.col(column).is_not_null())

    @staticmethod
    def between(column: str, low: Any = None, high: Any = None) -> Expect:
        """`low` <= value <= `high`; either may be left out. The limits of a time are ISO 8601 texts with a zone."""
        ends = {"low": _limit(low, column), "high": _limit(high, column)}
        given = {name: end for name, end in ends.items() if end is not None}
        if not given:
            raise DefinitionError(
                "neither end of the range is given",
                where=_here(f"Expect.between({column!r})"),
                fix="give low, high or both",
            )
        plain = {"low": _plain(low), "high": _plain(high)}
        if len(given) == 2 and plain["low"] > plain["high"]:
            raise DefinitionError(
                f"nothing is from {low} to {high}", where=_here(f"Expect.between({column!r})"), fix="exchange the ends"
            )
        words = f"from {_shown(low)} to {_shown(high)}"
        if len(given) == 1:
            words = f"at least {_shown(low)}" if "low" in given else f"at most {_shown(high)}"
        value = pl.col(column)
        holds = pl.lit(True)
        if "low" in given:
            holds &= value >= given["low"]
        if "high" in given:
            holds &= value <= given["high"]
        return _of(column, "between", f"is {words}", f"is not {words}", holds, plain)

    @staticmethod
    def one_of(column: str, values: Sequence[Any]) -> Expect:
        """The value is one of these."""
        if isinstance(values, str) or not values:
            raise DefinitionError(
                f"the values are {values!r}",
                where=_here(f"Expect.one_of({column!r})"),
                expected="a list of values",
                fix=f'write Expect.one_of({column!r}, ["EUR", "USD"])',
            )
        if len({type(value) for value in values if value is not None}) > 1:
            raise DefinitionError(
                f"the values are of several types: {values!r}", where=_here(f"Expect.one_of({column!r})"),
                expected="values of the column's type", fix="write all of them in that type",
            )  # fmt: skip
        words = "one of " + ", ".join(map(_shown, values))
        holds = pl.col(column).is_in(list(values))
        return _of(column, "one_of", f"is {words}", f"is not {words}", holds, {"values": list(values)})

    @staticmethod
    def matches(column: str, pattern: str) -> Expect:
        """All of the text matches this regular expression (as Polars takes it: no look-around)."""
        try:
            pl.select(pl.lit("").str.contains(pattern))
        except pl.exceptions.PolarsError as error:
            raise DefinitionError(
                f"{pattern!r} is no regular expression: {str(error).splitlines()[0]}",
                where=_here(f"Expect.matches({column!r})"),
                fix="write one that Polars' str.contains takes",
            ) from None
        holds = pl.col(column).str.contains(f"^(?:{pattern})$")
        return _of(column, "matches", f"matches {pattern}", f"does not match {pattern}", holds, {"pattern": pattern})

    @staticmethod
    def unique(*columns: str) -> Expect:
        """No other event has the same value (the same values together), in the batch or in the record.

        An event with a null among them is not compared. Of several that are equal, the first to come is good.
        """
        if not columns:
            raise DefinitionError(
                "no column is given", where=_here("Expect.unique()"), fix='write Expect.unique("payment")'
            )
        if not all(isinstance(one, str) for one in columns) or len(set(columns)) < len(columns):
            raise DefinitionError(
                f"the columns are {', '.join(map(repr, columns))}", where=_here("Expect.unique()"),
                expected="names of columns, each once", fix='write Expect.unique("order", "line")',
            )  # fmt: skip
        words = " and ".join(columns)
        return Expect(
            f"{'_'.join(columns)}_unique", "unique", f"{words} {'is' if len(columns) == 1 else 'are'} unique",
            f"an event with this {words} came before", columns,
        )  # fmt: skip

    @staticmethod
    def check(name: str, holds: pl.Expr) -> Expect:
        """A row-wise expression of the event's own columns that is true, or null; where Polars raises, it is broken."""
        if not isinstance(holds, pl.Expr):
            raise DefinitionError(
                f"{holds!r} is not an expression",
                where=_here(f"Expect.check({name!r})"),
                expected="a Polars expression",
                fix='write for example pl.col("refund") <= pl.col("amount")',
            )
        plain = canonical(holds, where=_here(f"Expect.check({name!r})"))
        columns = tuple(dict.fromkeys(holds.meta.root_names()))
        return Expect(name, "check", f"{name} holds", f"{name} does not hold", columns, {"holds": plain}, holds)

    @staticmethod
    def volume(*, at_least: int = 0, at_most: int | None = None, per: str | timedelta = "1d") -> Expect:
        """How many events become known in every `per` (of UTC, counted from 1970): reported where it is not so."""
        length = duration(per, where=_here("Expect.volume"))
        ends = [at_least] if at_most is None else [at_least, at_most]
        if (
            not length
            or ends == [0]
            or any(type(one) is not int for one in ends)
            or min(ends) < 0
            or ends[0] > ends[-1]
        ):
            raise DefinitionError(
                f"at_least={at_least!r}, at_most={at_most!r}, per={per!r}", where=_here("Expect.volume"),
                expected="a period longer than nothing, and one or two whole numbers, at_most not below at_least",
                fix="write Expect.volume(at_least=1_000, per=\"1d\")",
            )  # fmt: skip
        words = f"at least {at_least:,}" + ("" if at_most is None else f" and at most {at_most:,}")
        every = f"events become known in {duration_text(length)}"
        return Expect(
            f"volume_{duration_text(length)}", "volume", f"{words} {every}", f"not {words} {every}", (),
            {"at_least": at_least, "at_most": at_most, "per": length},
        )  # fmt: skip

    def canonical(self) -> dict[str, Any]:
        """The expectation as plain data."""
        return {"name": self.name, "kind": self.kind, "columns": list(self.columns), **self.arguments}


class Contract:
    """Expectations on the events of one source, judged in this order: the first one broken names the row's reason."""

    __slots__ = ("expectations",)

    def __init__(self, *expectations: Expect) -> None:
        names = [one.name for one in expectations if isinstance(one, Expect)]
        if len(names) < len(expectations):
            raise DefinitionError(
                "not every part is an expectation", where=_here("Contract"), fix="use Expect.not_null(...)"
            )
        for name in names:
            check_name(name, "expectation")
            if names.count(name) > 1 or name in BUILT_IN:
                raise DefinitionError(
                    f"the expectation {name!r} is there already", where=_here("Contract"),
                    expected=f"distinct names, and none of {', '.join(BUILT_IN)}", fix="remove or rename one",
                )  # fmt: skip
        self.expectations = expectations

    def __iter__(self) -> Iterator[Expect]:
        return iter(self.expectations)

    def of_kind(self, kind: str) -> list[Expect]:
        """The expectations of one kind, such as "volume"."""
        return [one for one in self.expectations if one.kind == kind]

    def canonical(self) -> list[dict[str, Any]]:
        """The contract as plain data."""
        return [one.canonical() for one in self.expectations]

    def check(self, schema: Mapping[str, pl.DataType], where: str) -> None:
        """Raise `DefinitionError` where an expectation cannot be judged on events of this schema."""
        empty = pl.DataFrame(schema={**_TIMES, **schema})
        for one in self.expectations:
            unknown = [name for name in one.columns if name not in empty.columns]
            if unknown:
                raise DefinitionError(
                    f"the expectation {one.name!r} is about {unknown}, which the source does not have", where=where,
                    expected=f"some of {empty.columns}", fix="add the column to schema, or name another",
                )  # fmt: skip
            if one.holds is None:
                continue
            try:
                came: Any = empty.select(one.holds.alias("holds")).schema["holds"]
            except (pl.exceptions.PolarsError, TypeError) as error:
                came = str(error).splitlines()[0]
            if came != pl.Boolean:
                raise DefinitionError(
                    f"the expectation {one.name!r} cannot be judged: {came}", where=where,
                    expected="what is true or false of the column's type", fix="compare values of the same type",
                )  # fmt: skip

    def __repr__(self) -> str:
        return f"Contract({', '.join(one.name for one in self.expectations)})"


def _here(what: str) -> str:
    """What is being declared, with the user's file and line."""
    return located(what, declared_at())


def _of(
    column: str, kind: str, good: str, bad: str, holds: pl.Expr, arguments: Mapping[str, Any] | None = None
) -> Expect:
    return Expect(f"{column}_{kind}", kind, f"{column} {good}", f"{column} {bad}", (column,), arguments or {}, holds)


def _limit(value: Any, column: str) -> Any:
    """An end of a range as Polars compares it."""
    if isinstance(value, (str, datetime)):
        micros = instant(value, where=_here(f"Expect.between({column!r})"))
        return pl.lit(micros).cast(pl.Datetime("us", "UTC"))
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value)):
        raise DefinitionError(
            f"{value!r} is no limit", where=_here(f"Expect.between({column!r})"), expected="a number or time"
        )
    return value if value is None else pl.lit(value)


def _plain(value: Any) -> Any:
    return instant(value) if isinstance(value, (str, datetime)) else value


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
