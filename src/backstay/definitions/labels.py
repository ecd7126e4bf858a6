"""A label is what came of the thing that was predicted. Labels are events too, and arrive late."""

from __future__ import annotations

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.expressions import canonical
from backstay.definitions.names import check_name
from backstay.definitions.places import declared_at, located
from backstay.definitions.sources import EventSource


class Label:
    """The outcome of what a prediction is about, taken from an event that happens in [T, T + horizon].

    source:  where outcomes arrive.
    key:     the column that identifies what was predicted: in the outcome's events, in the asked rows, and in requests.
    value:   a condition of the outcome's event: a label that is a *value*. Absent means unlabelled.
    occurs:  True, or a condition of the event: a label that is an *occurrence*. Absent at maturity means 0.
    horizon: by T + horizon the outcome has happened; a cohort is *mature* once the declared delays of source
             and void have passed, too.
    void:    a source of events that void the outcome (a cancelled flight): it leaves the denominator, and is counted.
    """

    def __init__(
        self,
        name: str,
        *,
        source: EventSource,
        key: str,
        horizon: str,
        value: pl.Expr | None = None,
        occurs: pl.Expr | bool = False,
        void: EventSource | None = None,
    ) -> None:
        self.place = declared_at()
        self.name = check_name(name, "label")
        where = located(f"label {name!r}", self.place)
        self.source, self.key, self.void = source, key, void
        self.occurrence = occurs is not False
        if (value is None) != self.occurrence:
            raise DefinitionError(
                "a label is a value or an occurrence",
                where=where,
                expected="one of value=, occurs=",
                fix='write value=pl.col("arr_delay") >= 30 for what each outcome is, occurs=True for what may not come',
            )
        self.horizon = duration(horizon, where=where)
        for table in (source, void):
            if table is not None and key not in table.schema:
                raise DefinitionError(
                    f"source {table.name!r} has no column {key!r}",
                    where=where,
                    expected=f"a column of {list(table.schema)}",
                    fix="name another key, or add it to the source's schema",
                )
        self.value = _condition(source, value if value is not None else occurs, where)

    @property
    def maturity(self) -> int:
        """Microseconds after T from which a cohort's labels are complete: what would void one is known by then, too."""
        return self.horizon + max(self.source.delay, 0 if self.void is None else self.void.delay)

    def canonical(self) -> dict[str, object]:
        return {
            "name": self.name,
            "source": self.source.canonical(),
            "key": self.key,
            "value": canonical(self.value, where=f"label {self.name!r}"),
            "occurrence": self.occurrence,
            "horizon": self.horizon,
            "void": None if self.void is None else self.void.name,
        }


def _condition(source: EventSource, given: pl.Expr | bool | None, where: str) -> pl.Expr:
    """The condition as an expression, checked against the source's columns."""
    value = given if isinstance(given, pl.Expr) else pl.lit(True)
    try:
        kind = pl.DataFrame(schema=source.schema).select(value=value).schema["value"]
    except pl.exceptions.PolarsError as error:
        raise DefinitionError(
            f"the condition does not fit source {source.name!r}: {str(error).splitlines()[0]}",
            where=where,
            expected=f"columns of {list(source.schema)}",
            fix="correct the name or the type",
        ) from None
    if kind != pl.Boolean:
        raise DefinitionError(
            f"the label's value is of type {kind}",
            where=where,
            expected="a condition (yes or no)",
            fix='compare it, such as pl.col("arr_delay") >= 30',
        )
    return value
