"""Sheets: one text of sections, facts and tables, written as Markdown or as a page that stands alone.

>>> sheet = Sheet("A <title>", (Section("Facts", (Facts({"rows": "12", "lock": None}), Points(("one",)))),))
>>> print(sheet.markdown())
# A &lt;title>
<BLANKLINE>
## Facts
<BLANKLINE>
|  |  |
| --- | --- |
| rows | 12 |
| lock | not recorded |
<BLANKLINE>
- one
<BLANKLINE>
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from backstay.core.pages import code, document, facts, table

NOT_RECORDED = "not recorded"


class Code(str):
    """Text that is shown as code: a digest, a name, a path."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, a pair a row; None is said to be not recorded."""

    values: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows under their columns; `>` before a column's name: numbers, to the right. `empty`: said if there are none."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = "none"


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences, one below the other."""

    texts: Sequence[str]


Block = str | Facts | Rows | Points


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A title and its sections."""

    title: str
    sections: Sequence[Section]

    def markdown(self) -> str:
        """The sheet as GitHub writes Markdown: what people wrote is text in it, never markup."""
        parts = [f"# {_text(self.title)}"]
        for section in self.sections:
            parts += [f"## {_text(section.title)}", *(_markdown(block) for block in section.blocks)]
        return "\n\n".join(part for part in parts if part) + "\n"

    def page(self) -> str:
        """The sheet as one HTML page that needs nothing else."""
        parts = [f"<h1>{escape(self.title)}</h1>"]
        for section in self.sections:
            parts += [f"<h2>{escape(section.title)}</h2>", *(_html(block) for block in section.blocks)]
        return document(self.title, *parts)


def _markdown(block: Block) -> str:
    match block:
        case Facts(values):
            return _table(("", ""), ((name, NOT_RECORDED if one is None else one) for name, one in values.items()))
        case Rows(columns, rows, empty):
            return _table(columns, rows) if rows else _text(empty)
        case Points(texts):
            return "\n".join(f"- {_text(one)}" for one in texts)
        case _:
            return _text(block)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = [_text(name.lstrip(">")) for name in columns]
    rule = ["---:" if name.startswith(">") else "---" for name in columns]
    lines = [head, rule, *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    flat = " ".join(text.split())
    if isinstance(text, Code) and flat:
        fence = "``" if "`" in flat else "`"
        inner = f" {flat} " if "`" in flat else flat
        return f"{fence}{inner}{fence}".replace("|", "\\|")
    marked = re.sub(r"([\\`*|~#])|(\](?=[(\[:]))|(?<![A-Za-z0-9])(_)|(_)(?![A-Za-z0-9])", r"\\\g<0>", flat)
    return marked.replace("&", "&amp;").replace("<", "&lt;")


def _html(block: Block) -> str:
    match block:
        case Facts(values):
            return facts("", {name: NOT_RECORDED if one is None else _cell(one) for name, one in values.items()})
        case Rows(columns, rows, empty):
            return table("", columns, [[_cell(cell) for cell in row] for row in rows], empty=empty)
        case Points(texts):
            return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in texts)}</ul>"
        case _:
            return f"<p>{escape(block)}</p>"


def _cell(text: str) -> str:
    return code(text) if isinstance(text, Code) else text
