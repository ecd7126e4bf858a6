"""How results show themselves: a table in a notebook, aligned lines in a terminal, plain data for a program."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from backstay.core.times import instant_text


class Shown:
    """Mix-in for result records: `str()` gives aligned lines, `_repr_html_` a table, both from `as_dict()`.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, slots=True)
    ... class Counted(Shown):
    ...     served: int
    ...     errors: int
    >>> print(Counted(12, 0))
    served  12
    errors  0
    """

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """The record as plain data."""
        assert is_dataclass(self)
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    def __str__(self) -> str:
        return "\n".join(_lines(self.as_dict()))

    def _repr_html_(self) -> str:
        return _html(self.as_dict())


def dated(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Plain data with the moments under these names as text, in UTC; one that is None, or not there, stays so.

    >>> dated({"since": 0, "until": None, "rows": 3}, "since", "until", "at")
    {'since': '1970-01-01T00:00:00Z', 'until': None, 'rows': 3}
    """
    times = {name: instant_text(data[name]) for name in names if data.get(name) is not None}
    return {**data, **times}


def plain(value: Any) -> Any:
    """A value as plain data: records as dictionaries, sequences as lists."""
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def _lines(data: dict[str, Any], indent: str = "") -> list[str]:
    width = max((len(name) for name in data), default=0)
    out = []
    for name, value in data.items():
        if isinstance(value, dict) and value:
            out += [f"{indent}{name}", *_lines(value, indent + "  ")]
        elif isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            out.append(f"{indent}{name}")
            for part in value:
                out.append(f"{indent}  - " + ", ".join(f"{key} {item}" for key, item in part.items()))
        else:
            out.append(f"{indent}{name:<{width}}  {value}")
    return out


def _html(value: Any) -> str:
    if isinstance(value, dict):
        rows = (
            f"<tr><th style='text-align:left'>{html.escape(n)}</th><td>{_html(v)}</td></tr>" for n, v in value.items()
        )
        return f"<table>{''.join(rows)}</table>"
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        names = list(dict.fromkeys(name for part in value for name in part))
        head = "".join(f"<th style='text-align:left'>{html.escape(name)}</th>" for name in names)
        body = ("<tr>" + "".join(f"<td>{_html(part.get(name))}</td>" for name in names) + "</tr>" for part in value)
        return f"<table><tr>{head}</tr>{''.join(body)}</table>"
    return html.escape(str(value))
