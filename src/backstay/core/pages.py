"""Pages: HTML that stands alone, without scripts, and looks the same wherever Backstay writes it.

>>> table("Models", ("model", ">rows"), [("a<b", "12")])[:61]
'<h2>Models</h2><table><thead><tr><th>model</th><th class="n">'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:66rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.25rem 1.2rem .25rem 0;text-align:left;
border-bottom:1px solid #ddd;vertical-align:top}th{color:#555;font-weight:600}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.good{color:#176b2c}.bad{color:#a11212}.dim{color:#666}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-bottom:0}
h3{font-size:1rem;margin:1.2rem 0 0}section{border-top:2px solid #222;margin-top:2rem;padding-top:.2rem}
code{font-size:.92em;overflow-wrap:anywhere}"""


class Html(str):
    """Text that is HTML already: it is not escaped again."""

    __slots__ = ()


def document(title: str, *parts: str, refresh: int = 0, style: str = "") -> str:
    """A whole page. `parts` are HTML; refresh: after how many seconds a browser loads it again (0: never).

    style: a style sheet beside the page's own, such as that of drawings
    """
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    head = f'<meta charset="utf-8">{again}<title>{escape(title)}</title><style>{_STYLE}{style}</style>'
    view = '<meta name="viewport" content="width=device-width">'
    return f'<!doctype html><html lang="en"><head>{head}{view}</head><body>{"".join(parts)}</body></html>'


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, level: int = 2, empty: str = "") -> str:
    """Rows under their columns; `>` before a column's name: numbers, to the right. `empty`: said if there are none."""
    body = list(rows)
    heading = f"<h{level}>{escape(title)}</h{level}>" if title else ""
    if not body and empty:
        return f'{heading}<p class="dim">{escape(empty)}</p>'
    kinds = [' class="n"' if name.startswith(">") else "" for name in columns]
    head = "".join(f"<th{k}>{escape(n.lstrip('>'))}</th>" for k, n in zip(kinds, columns, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{k}>{cell(v)}</td>" for k, v in zip(kinds, row, strict=True)) + "</tr>" for row in body
    )
    return f"{heading}<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def facts(title: str, values: Mapping[str, str | None], *, level: int = 2) -> str:
    """Names and values, a pair a row; what is None is left out."""
    heading = f"<h{level}>{escape(title)}</h{level}>" if title else ""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{cell(value)}</td></tr>" for name, value in values.items() if value is not None
    )
    return f"{heading}<table><tbody>{rows}</tbody></table>"


def cell(value: str) -> str:
    """A text as HTML."""
    return value if isinstance(value, Html) else escape(value)


def code(text: str) -> Html:
    """A text as code: a digest, a name, a path."""
    return Html(f"<code>{escape(text)}</code>")
