"""Drawings: plain data in, the text of one `<svg>` out. No script, no library.

A drawing names classes and never colours: the page's style sheet (`STYLE`) knows light, dark and paper. What a drawing
is told is text that anyone may have written, so all of it is escaped here; each mark has a `<title>` that says it in
words.

>>> drawing("bar", 10, "3 of 4", [rect(0, 0, 570, 10, "part")])[:44]
'<svg class="chart bar" viewBox="0 0 760 10" '
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

WIDTH, LINE, LETTER = 760, 14, 6.8
"""In a chart's own units: how wide each is, how high a line of text, and how wide a letter at the most on average."""
STYLE = """:root{color-scheme:light dark;--paper:#fdfcfa;--ink:#1c2733;--muted:#5c6975;--line:#e3e5e4;--wash:#f4f4f1;
--pass:#17764a;--fail:#b23326;--insufficient:#876512;--s0:#1b6291;--s1:#b4460f;--s2:#17764a;--s3:#7a3e9d;--s4:#8a6d00;
--s5:#0a7a7a}
@media screen and (prefers-color-scheme:dark){:root{--paper:#11161b;--ink:#e3e8ec;--muted:#97a4af;--line:#2a333b;
--wash:#1a2128;--pass:#5cc490;--fail:#f28476;--insufficient:#d8b45e;--s0:#71b7e6;--s1:#f0a071;--s2:#5cc490;--s3:#c79be6;
--s4:#d8b45e;--s5:#5fc9c9}}
body{background:var(--paper);color:var(--ink)}td,th{border-color:var(--line)}th,.dim{color:var(--muted)}
section{border-color:var(--line)}.good{color:var(--pass)}.bad{color:var(--fail)}
figure{margin:.8rem 0 1.6rem}figcaption{color:var(--muted);font-size:13px;max-width:46rem}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:0 2rem}
.chart{display:block;width:100%;height:auto;overflow:visible}
.chart text{font-size:11px;fill:var(--ink);font-variant-numeric:tabular-nums}
.chart .tick,.chart .axis{fill:var(--muted)}.chart .name{font-weight:600}
.chart .flag{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
.chart .grid{stroke:var(--line)}.chart .rule{stroke:var(--muted);stroke-dasharray:4 3;fill:none}
.chart .zero{stroke:var(--ink)}.chart .hover{fill:transparent}.chart g:hover>.hover{fill:var(--wash)}
.chart .curve{fill:none;stroke-width:1.8;stroke-linejoin:round}.chart .band{stroke:none;opacity:.16}
.chart .cell{fill:var(--s1)}.chart .drifts{fill:var(--ink)}
.chart .bar{stroke-width:2.2;stroke-linecap:round;opacity:.65}.chart .count{opacity:.5;stroke:none}
.chart .pass{fill:var(--pass);stroke:var(--pass)}.chart .fail{fill:var(--fail);stroke:var(--fail)}
.chart .insufficient{fill:var(--insufficient);stroke:var(--insufficient)}
.chart .s0{stroke:var(--s0)}.chart .s1{stroke:var(--s1)}.chart .s2{stroke:var(--s2)}.chart .s3{stroke:var(--s3)}
.chart .s4{stroke:var(--s4)}.chart .s5{stroke:var(--s5)}
.chart .f0{fill:var(--s0)}.chart .f1{fill:var(--s1)}.chart .f2{fill:var(--s2)}.chart .f3{fill:var(--s3)}
.chart .f4{fill:var(--s4)}.chart .f5{fill:var(--s5)}
@media print{*{-webkit-print-color-adjust:exact;print-color-adjust:exact}figure,tr{break-inside:avoid}}"""
"""The style sheet of pages with drawings: `s0` to `s5` colour lines, `f0` to `f5` areas; light, dark and on paper."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Span(NamedTuple):
    """An estimate with its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scale:
    """From data to drawing, linear or logarithmic; what lies outside is drawn at the edge.

    >>> Scale(0, 10, 100, 200)(2.5), Scale(1, 100, 0, 50, log=True)(10), Scale(0, 10, 100, 200)(99)
    (125.0, 25.0, 200.0)
    """

    low: float
    high: float
    left: float
    right: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        share = (at - low) / (high - low) if high > low else 0.5
        return self.left + share * (self.right - self.left)


def element(tag: str, *children: str, title: str = "", **attributes: object) -> str:
    """One element; the children are markup already, title and attributes are escaped here (`class_` is `class`).

    >>> element("text", "late", class_='a"b', text_anchor="end", x=1.25)
    '<text class="a&quot;b" text-anchor="end" x="1.2">late</text>'
    """
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    written = "".join(f' {names[name]}="{_plain(value)}"' for name, value in attributes.items() if value != "")
    inside = (f"<title>{_plain(title)}</title>" if title else "") + "".join(children)
    return f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>"


def _plain(value: object) -> str:
    text = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
    return escape(_NOT_XML.sub("\ufffd", text))


def text(x: float, y: float, content: str, class_: str = "", anchor: str = "") -> str:
    """A line of text, escaped."""
    return element("text", _plain(content), x=float(x), y=float(y), class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str, title: str = "") -> str:
    """A straight line."""
    return element("line", title=title, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def rect(x1: float, y1: float, x2: float, y2: float, class_: str, title: str = "") -> str:
    """A rectangle between two corners."""
    size = {"width": float(max(x2 - x1, 0.0)), "height": float(max(y2 - y1, 0.0))}
    return element("rect", title=title, x=float(x1), y=float(y1), class_=class_, **size)


def drawing(kind: str, height: float, title: str, parts: Iterable[str]) -> str:
    """The `<svg>` around the parts; its title is what a screen reader says."""
    box = f"0 0 {WIDTH} {math.ceil(height)}"
    return element("svg", *parts, title=title, class_=f"chart {kind}", viewBox=box, role="img")


def ticks(low: float, high: float, about: int = 5) -> tuple[list[float], int]:
    """Round values between two limits, and how many decimals they need.

    >>> ticks(0.703, 0.762)
    ([0.72, 0.74, 0.76], 2)
    >>> ticks(0, 9300)
    ([0.0, 2000.0, 4000.0, 6000.0, 8000.0], 0)
    """
    raw = max(high - low, 1e-9) / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(step for factor in (1, 2, 5, 10) if (step := factor * magnitude) >= raw * 0.999)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, decimals) for index in range(first, last + 1)], decimals


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two limits.

    >>> log_ticks(0.4, 30)
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [round(factor * 10.0**power, 9) for power in powers for factor in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]


def signed(value: float, decimals: int = 4) -> str:
    r"""With its sign, and a true minus.

    >>> signed(0.00212), signed(-0.5, 1) == "\u22120.5", signed(0.0, 2)
    ('+0.0021', True, '0.00')
    """
    written = f"{abs(value):.{decimals}f}"
    return ("" if float(written) == 0 else "+" if value > 0 else "\u2212") + written


def percent(part: float) -> str:
    """A share as people read it: only all of it is 100%, only none of it is 0%.

    >>> percent(0.78), percent(1), percent(0.99999), percent(0.00001)
    ('78.0%', '100%', '>99.9%', '<0.1%')
    """
    if 0 < part < 0.001 or 0.999 < part < 1:
        return "<0.1%" if part < 0.5 else ">99.9%"
    return f"{100 * part:.0f}%" if part in (0, 1) else f"{100 * part:.1f}%"


def lanes(starts: Sequence[float], widths: Sequence[float]) -> list[int]:
    """A line of text for each label, from left to right, such that no two touch.

    >>> lanes([0, 10, 50], [20, 20, 20])
    [0, 1, 0]
    """
    ends: list[float] = []
    chosen: list[int] = []
    for start, width in zip(starts, widths, strict=True):
        lane = next((lane for lane, end in enumerate(ends) if end <= start), len(ends))
        ends[lane : lane + 1] = [start + width]
        chosen.append(lane)
    return chosen
