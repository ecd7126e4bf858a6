"""The canonical form of a Polars expression: what the expression says, independent of how Polars writes it down.

A feature set's hash covers its expressions. Polars' own serialization changes between versions, so the tree is
translated into ours: lists of plain values, one shape per kind of node. `tests/definitions/test_expressions.py` pins
the form of many expressions, so a Polars release that writes a node differently fails there, and is translated here.

Only row-wise expressions are features. What looks at other rows by its very kind (an aggregation, a window, Python
code) is refused here by name; what only turns out to (`shift`, `rank`) is found by `backstay.features.rowwise`.
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
    if isinstance(node, str):
        return [node]
    (kind, body), *more = node.items()
    if more or kind in _ACROSS_ROWS:
        raise DefinitionError(
            f"the expression contains {_ACROSS_ROWS.get(kind, 'an unknown part')}",
            where=where,
            expected="a row-wise expression, whose value depends on its own row only",
            fix="make it a windowed feature, or compute it from columns of the same row",
        )
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


def _literal(body: Any, _where: str) -> Any:
    ((kind, value),) = body.items()
    if kind == "Dyn" and isinstance(value, dict):
        ((dynamic, content),) = value.items()
        return ["literal", {"Int": "int", "Float": "float", "Str": "string"}.get(dynamic, dynamic), content]
    # Typed scalars are read back through Polars: lists are Arrow bytes in its serialization.
    text = json.dumps({"Literal": body})
    series = pl.select(pl.Expr.deserialize(io.StringIO(text), format="json")).to_series()
    item = series.item()
    if isinstance(item, pl.Series):
        item = item.to_list()
    plain = item if isinstance(item, (bool, int, float, str, list, type(None))) else repr(item)
    return ["literal", str(series.dtype), plain]


def _alias(body: Any, where: str) -> Any:
    return _node(body[0], where)  # a feature's name is in its set, not in its expression


_TRANSLATE: dict[str, Any] = {
    "Column": lambda body, _where: ["column", body],
    "Literal": _literal,
    "BinaryExpr": lambda b, where: ["binary", b["op"], _node(b["left"], where), _node(b["right"], where)],
    "Cast": lambda b, where: ["cast", _plain(b["dtype"], where), b["options"], _node(b["expr"], where)],
    "Ternary": lambda b, where: ["if", *(_node(b[part], where) for part in ("predicate", "truthy", "falsy"))],
    "Function": lambda b, where: ["call", _plain(b["function"], where), *(_node(part, where) for part in b["input"])],
    "Alias": _alias,
}
