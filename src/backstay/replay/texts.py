"""How the report writes single values of a summary: what is missing, or no finite number, is a dash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from backstay.core import drawing
from backstay.core.drawing import Span
from backstay.core.times import instant, instant_datetime

NONE = "–"  # noqa: RUF001  an en dash, as in any printed table

Summary = Mapping[str, Any]


def number(value: object) -> float | None:
    """The value if it is a finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def count(value: object) -> str:
    found = number(value)
    return NONE if found is None else f"{found:,.0f}"


def decimal(value: object, decimals: int = 4) -> str:
    found = number(value)
    return NONE if found is None else f"{found:.{decimals}f}"


def percent(value: object) -> str:
    found = number(value)
    return NONE if found is None else drawing.percent(found)


def ms(value: object) -> str:
    found = number(value)
    if found is None:
        return NONE
    return f"{found:.2f} ms" if found < 10 else f"{found:.1f} ms" if found < 100 else f"{found:,.0f} ms"


def seconds(value: object) -> str:
    found = number(value)
    return NONE if found is None else f"{found:.1f} s" if found < 10 else f"{found:,.0f} s"


def day(value: object) -> str:
    """The day, and the time of day in UTC unless it is midnight."""
    if value is None:
        return NONE
    moment = instant_datetime(instant(str(value)))
    time = f", {moment:%H:%M} UTC" if (moment.hour, moment.minute) != (0, 0) else ""
    return f"{moment.day} {moment:%b %Y}{time}"


def days(start: object, end: object) -> str:
    """From a day to another, the year once; without an end: since a day.

    >>> days("2013-05-09", "2013-05-16"), days("2013-05-09", None), days(None, None) == NONE
    ('9 May to 16 May 2013', 'since 9 May 2013', True)
    """
    first, last = day(start), day(end)
    if NONE in (first, last):
        return NONE if first == last else f"since {first}" if last == NONE else f"to {last}"
    return f"{first.removesuffix(last[-5:])} to {last}"


def said(value: str, rest: str) -> str:
    return "" if value == NONE else value + rest


def versions(values: object) -> str:
    found = values if isinstance(values, list | tuple) else []
    return ", ".join(f"v{version}" for version in found) or NONE


def verdict(row: Summary) -> str:
    return str(row.get("verdict") or "INSUFFICIENT")


def span(interval: object) -> Span | None:
    """An interval's three numbers, if all three are there."""
    if not isinstance(interval, Mapping):
        return None
    numbers = [number(interval.get(name)) for name in Span._fields]
    present = [found for found in numbers if found is not None]
    return Span(*present) if len(present) == len(numbers) else None


def rows(summary: Summary, name: str) -> list[Any]:
    """What a summary lists under a name; nothing where it lacks it."""
    return list(summary.get(name) or [])


def part(summary: Summary, name: str) -> Summary:
    """What a summary holds under a name; nothing where it lacks it."""
    return summary.get(name) or {}
