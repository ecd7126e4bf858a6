"""A label is what came of the thing that was predicted. Labels are events too, and arrive late."""

from __future__ import annotations

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.expressions import canonical
from backstay.definitions.names import check_name
from backstay.definitions.sources import EventSource


class Label:
    """The outcome of what a prediction is about, taken from an event that happens later.

    source:  where outcomes arrive.
    key:     the column that identifies what was predicted: in the outcome's events, in the asked rows, and in requests.
    value:   a condition of the outcome's event (a label that is a value: absent means unlabelled).
    horizon: by T + horizon the outcome has happened; with the source's declared delay, a cohort is then *mature*.
    void:    a source of events that void the outcome (a cancelled flight): it leaves the denominator, and is counted.
    """

    def __init__(
        self,
        name: str,
        *,
        source: EventSource,
        key: str,
        value: pl.Expr,
        horizon: str,
        void: EventSource | None = None,
    ) -> None:
        self.name = check_name(name, "label")
        self.source, self.key, self.value, self.void = source, key, value, void
        self.horizon = duration(horizon, where=f"label {name!r}")
        for table in (source, void):
            if table is not None and key not in table.schema:
                raise DefinitionError(f"source {table.name!r} has no column {key!r}", where=f"label {name!r}")
        kind = pl.DataFrame(schema=source.schema).select(value=value).schema["value"]
        if kind != pl.Boolean:
            raise DefinitionError(
                f"the label's value is of type {kind}",
                where=f"label {name!r}",
                expected="a condition (yes or no)",
                fix='compare it, such as pl.col("arr_delay") >= 30',
            )

    @property
    def maturity(self) -> int:
        """Microseconds after T from which a cohort's labels are complete."""
        return self.horizon + self.source.delay

    def canonical(self) -> dict[str, object]:
        return {
            "name": self.name,
            "source": self.source.canonical(),
            "key": self.key,
            "value": canonical(self.value, where=f"label {self.name!r}"),
            "horizon": self.horizon,
            "void": None if self.void is None else self.void.name,
        }
