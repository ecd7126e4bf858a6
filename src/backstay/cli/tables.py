"""How values look to people: tables, headed blocks, times in UTC, counts and intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backstay.core.clock import SystemClock
from backstay.core.times import DAY, HOUR, MINUTE, SECOND, duration, instant, instant_text

NONE = "-"
_STYLES = {
    "PASS": "green", "yes": "green", "OK": "green", "FAIL": "red", "no": "red", "INSUFFICIENT": "yellow",
    "WARN": "yellow",
    "MISSING": "yellow", "EXPIRED": "yellow", "NULL": "yellow", NONE: "dim",
}  # fmt: skip


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None, empty: str = "none"
) -> RenderableType:
    """Rows under their columns. `>` before a name: numbers, to the right; `~` before it: may wrap, like the last one.

    The other columns stay whole, so that what is shown can be copied: where the terminal is too narrow for them the
    table is wider than the terminal, and no character is lost.
    """
    body = [[_cell(value) for value in row] for row in rows]
    if not body:
        return Text(f"{title}: {empty}" if title else empty, style="dim")
    out = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, name in enumerate(columns):
        header = name.lstrip("~>")
        wraps = name.startswith("~") or place == len(columns) - 1
        widest = max(len(header), *(row[place].cell_len for row in body))
        out.add_column(
            header,
            justify="right" if ">" in name else "left",
            overflow="fold",
            no_wrap=not wraps,
            min_width=None if wraps else widest,
        )
    for row in body:
        out.add_row(*row)
    return _headed(title, out)


def block(values: Mapping[str, object], *, title: str | None = None) -> RenderableType:
    """Names and values, one pair a line."""
    out = Table.grid(padding=(0, 2), pad_edge=False)
    out.add_column(style="dim", no_wrap=True)
    out.add_column(overflow="fold")
    for name, value in values.items():
        out.add_row(name, _cell(value))
    return _headed(title, out)


def _headed(title: str | None, body: Table) -> RenderableType:
    return body if title is None else Group(Text(title, style="bold"), body)


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    text = NONE if value is None or value == "" else "yes" if value is True else "no" if value is False else str(value)
    return Text(text, style=_STYLES.get(text, ""))


def when(micros: int | None) -> str | None:
    """A moment to the second, in UTC, as --as-of takes it."""
    return None if micros is None else instant_text(micros // SECOND * SECOND)


def when_text(text: str | None) -> str | None:
    """The same of a moment that is text already."""
    return None if text is None else f"{text.partition('.')[0].rstrip('Z')}Z"


def minute(text: str | None) -> str | None:
    """A moment that is text already to the minute, as narrow as a column wants it; --as-of takes it too."""
    return None if text is None else f"{text[:16]}Z"


def history(micros: int | None) -> str | None:
    """A moment for --as-of, where it is history; None where it is the present, which needs no --as-of."""
    return None if micros is None or micros + 2 * DAY > SystemClock().now() else when(micros)


def day_after(times: Iterable[str | None]) -> str | None:
    """The day after the last of these moments, where that is history: a good --as-of for all that is known."""
    last = max((instant(one) for one in times if one), default=None)
    end = None if last is None else history((last // DAY + 1) * DAY)
    return None if end is None else end[:10]


def age(text: str | None) -> str | None:
    """A duration in its two largest units.

    >>> age("26h"), age("101m"), age("3d"), age("59s"), age("0us")
    ('1d 2h', '1h 41m', '3d', '59s', '0s')
    """
    if text is None:
        return None
    micros = duration(text)
    for (name, unit), (smaller, part) in pairwise((("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND))):
        if micros >= unit:
            rest = micros % unit // part
            return f"{micros // unit}{name} {rest}{smaller}" if rest else f"{micros // unit}{name}"
    return f"{micros // SECOND}s"


def count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def share(value: float | None) -> str | None:
    return None if value is None else f"{value:.0%}"


def real(value: object) -> object:
    """A number with as many digits as a person reads; anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float) else value


def interval(value: Mapping[str, Any] | None, *, signed: bool = False) -> str | None:
    """An estimate with its confidence limits."""
    if value is None:
        return None
    form = "+.4f" if signed else ".3f"
    return f"{value['estimate']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"


def keys(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
