"""The canonical form of a Polars expression: what the expression says, independent of how Polars writes it down.

A feature set's hash covers its expressions. Polars' own serialization changes between versions, so the tree is
translated into ours: lists of plain values, one shape per kind of node. `tests/definitions/test_expressions.py` pins
the form of many expressions, so a Polars release that writes a node differently fails there, and is translated here.

Only row-wise expressions are features. What looks at other rows by its very kind (an aggregation, a window, `shift`,
`fill_null(strategy=...)`, Python code) is refused here by name; what only turns out to, as by a function that Polars
adds one day, is found by `backstay.features.rowwise`.
"""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl

from backstay.core.errors import DefinitionError

_ACROSS_ROWS = {
    "Agg": "an aggregation over rows",
    "Over": "a window over rows",
    "Rolling": "a window over rows",
    "Len": "a count of rows",
    "Sort": "a sort of rows",
    "SortBy": "a sort of rows",
    "Gather": "a selection of rows",
    "Filter": "a filter of rows",
    "Slice": "a slice of rows",
    "Explode": "an explosion into rows",
    "AnonymousFunction": "Python code, whose text is not part of the expression",
    "AnonymousAgg": "Python code, whose text is not part of the expression",
}

_FUNCTIONS_ACROSS_ROWS = """
    All Any Append ArgMax ArgMin ArgSort ArgUnique Correlation CumCount CumMax CumMin CumProd CumSum CumulativeEval
    Diff DropNans DropNulls Entropy EwmMean EwmMeanBy EwmStd EwmVar ExtendConstant FillNullWithStrategy ForwardFill
    BackwardFill GatherEvery HasNulls Hist Interpolate InterpolateBy IsDuplicated IsFirstDistinct IsLastDistinct
    IsUnique Kurtosis Mode NullCount PctChange PeakMax PeakMin QCut RLE RLEID Random Rank Reshape Reverse
    RollingExpr RollingExprBy SearchSorted Shift ShiftAndFill Skew TopK TopKBy Unique UniqueCounts ValueCounts
"""
"""Functions, as Polars names them in its serialization, whose value depends on other rows."""


def as_expression(value: str | pl.Expr, *, where: str) -> pl.Expr:
    """A column's name or an expression, as an expression."""
    if isinstance(value, str):
        return pl.col(value)
    if isinstance(value, pl.Expr):
        return value
    raise DefinitionError(
        f"{value!r} is neither a column nor an expression",
        where=where,
        expected='a column name or a Polars expression such as pl.col("x") / 60',
    )


def canonical(expression: pl.Expr, *, where: str = "") -> Any:
    """The expression as plain lists and values.

    >>> canonical(pl.col("delay") >= 30)
    ['binary', 'GtEq', ['column', 'delay'], ['literal', 'int', 30]]
    """
    return _node(json.loads(expression.meta.serialize(format="json")), where)


def _node(node: Any, where: str) -> Any:
    (kind, body), *more = [(node, None)] if isinstance(node, str) else node.items()
    if kind == "Selector":
        raise DefinitionError(
            "the expression contains columns that are not named one by one",
            where=where,
            expected='columns such as pl.col("amount")',
            fix="name each of them: which ones a pattern takes depends on what else there is",
        )
    if more or kind in _ACROSS_ROWS:
        raise _refused(_ACROSS_ROWS.get(kind, "an unknown part"), where)
    translate = _TRANSLATE.get(kind)
    return translate(body, where) if translate else [kind, _plain(body, where)]


def _plain(value: Any, where: str) -> Any:
    """Nodes nested in an unknown part are still walked, so that nothing across rows hides in it."""
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)) in _TRANSLATE.keys() | _ACROSS_ROWS.keys():
            return _node(value, where)
        return {key: _plain(part, where) for key, part in sorted(value.items())}
    if isinstance(value, list):
        return [_plain(part, where) for part in value]
    return value


def _literal(body: Any, where: str) -> Any:
    ((kind, value),) = body.items()
    if kind == "Dyn" and isinstance(value, dict):
        ((dynamic, content),) = value.items()
        return ["literal", {"Int": "int", "Float": "float", "Str": "string"}.get(dynamic, dynamic), content]
    # Typed scalars are read back through Polars: lists are Arrow bytes in its serialization.
    text = json.dumps({"Literal": body})
    series = pl.select(pl.Expr.deserialize(io.StringIO(text), format="json")).to_series()
    if len(series) != 1:
        raise DefinitionError(
            "the expression contains a series",
            where=where,
            expected="values that do not depend on the row",
            fix="write them as a list, as in is_in([...]), or as a when/then",
        )
    item = series.item()
    if isinstance(item, pl.Series):
        item = item.to_list()
    plain = item if isinstance(item, (bool, int, float, str, list, type(None))) else repr(item)
    return ["literal", str(series.dtype), plain]


def _call(body: Any, where: str) -> Any:
    function = body["function"]
    names = {function} if isinstance(function, str) else {*function, *map(str, _inner(function))}
    if across := sorted(names & set(_FUNCTIONS_ACROSS_ROWS.split())):
        raise _refused(f"{across[0]}, which looks at other rows", where)
    return ["call", _data(function), *(_node(part, where) for part in body["input"])]


def _inner(function: dict[str, Any]) -> list[str]:
    """The names inside a family of functions: `{"Boolean": "IsUnique"}`, `{"Boolean": {"Any": ...}}`."""
    return [
        name
        for part in function.values()
        for name in ([part] if isinstance(part, str) else part or [])
        if isinstance(name, str)
    ]


def _data(value: Any) -> Any:
    """Plain data, such as a type, in one order."""
    if isinstance(value, dict):
        return {key: _data(part) for key, part in sorted(value.items())}
    return [_data(part) for part in value] if isinstance(value, list) else value


def _refused(what: str, where: str) -> DefinitionError:
    return DefinitionError(
        f"the expression contains {what}",
        where=where,
        expected="a row-wise expression, whose value depends on its own row only",
        fix="make it a windowed feature, or compute it from columns of the same row",
    )


def _alias(body: Any, where: str) -> Any:
    return _node(body[0], where)  # a feature's name is in its set, not in its expression


_TRANSLATE: dict[str, Any] = {
    "Column": lambda body, _where: ["column", body],
    "Literal": _literal,
    "BinaryExpr": lambda b, where: ["binary", b["op"], _node(b["left"], where), _node(b["right"], where)],
    "Cast": lambda b, where: ["cast", _data(b["dtype"]), b["options"], _node(b["expr"], where)],
    "Ternary": lambda b, where: ["if", *(_node(b[part], where) for part in ("predicate", "truthy", "falsy"))],
    "Function": _call,
    "Alias": _alias,
}
