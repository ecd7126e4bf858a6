"""Rows of which a row-wise expression makes Polars raise, such as a strict cast of a text that is no number.

Polars then answers for no row at all, and says which value it was in words only. The rows are found by halving: what
is whole is evaluated once, and one bad row among n costs about 2 log2(n) evaluations of ever fewer rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from backstay.definitions import EventSource, FeatureSet

RAISED = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What evaluating an expression may raise. A panic of Polars is no `Exception`, and is caught by its name only."""
_VALUES = re.compile(r" for \d+ (?:out of \d+ )?value.*")


def raising(rows: pl.DataFrame, expression: pl.Expr, *, first: bool = False) -> dict[str, pl.Series]:
    """By what Polars says of them, without their values, the rows (true) for which the expression raises.

    first: only one value for which it does, the first: where it is enough that there is one, and many would take long
    """
    read = rows.select(expression.meta.root_names())
    if _said(read, expression) is None:
        return {}
    distinct = read.unique(maintain_order=True)  # the same "n/a" in half of the rows is one
    found: dict[int, str] = {}
    waiting = [(0, distinct.height)] if distinct.height else []
    while waiting and not (first and found):
        begin, end = waiting.pop()
        words = _said(distinct[begin:end], expression)
        if words is not None and end - begin == 1:
            found[begin] = words
        elif words is not None:
            half = (begin + end) // 2
            waiting += [(half, end), (begin, half)]
    if not found:
        return {}
    told = distinct[list(found)].with_columns(__said=pl.Series(list(found.values())))
    said = read.join(told, on=read.columns, how="left", nulls_equal=True, maintain_order="left").get_column("__said")
    return {words: (said == words).fill_null(value=False) for words in dict.fromkeys(found.values())}


def _said(rows: pl.DataFrame, expression: pl.Expr) -> str | None:
    """What Polars says if it raises. The values are left out: a row has them, and a reason is common to many rows."""
    try:
        rows.select(expression)
    except RAISED as error:
        return _VALUES.sub("", str(error).splitlines()[0])
    return None


def computed(source: EventSource, feature_sets: Iterable[FeatureSet]) -> dict[str, pl.Expr]:
    """What features compute of each event of the source, by the first that does; a column alone is not computed."""
    found: dict[str, tuple[str, pl.Expr]] = {}
    for features in feature_sets:
        for feature in features:
            view = features.views[feature.view] if feature.view >= 0 else None
            if view is not None and view.source.name == source.name and feature.column >= 0:
                value = view.values[feature.column]
                if value.form[0] != "column":
                    found.setdefault(repr(value.form), (f"{features.name}.{feature.name}", value.expression))
    return dict(found.values())
