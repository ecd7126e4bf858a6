"""The figure of the architecture page: how events become predictions, drawn as SVG from the same plain data.

Offline above, online below: sources fill the events, of which versions are trained and the online state is made; the
server looks features up, scores them with the champion, and writes every prediction down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDE, _HIGH, _GAP, _DOWN = 210, 104, 58, 64
_MOST = 4
"""Lines in a box."""
_LETTERS = 33
"""Letters in a line."""
_STYLE = "font:12px system-ui,sans-serif"


def figure(told: Mapping[str, Any]) -> str:
    """The figure, as SVG that stands in the page."""
    columns = [place * (_WIDE + _GAP) + 1 for place in range(4)]
    above, below = 1, _HIGH + _DOWN + 1
    sources = [_named(one["source"], f"{one['events']:,}") for one in told["sources"]]
    boxes = [
        _box(columns[0], above, "Sources", sources, tall=True),
        _box(columns[1], above, "Events", _lines(told["stores"]["events"])),
        _box(columns[1], below, "Online state", [*_lines(told["stores"]["online state"]), *_entities(told)]),
        _box(columns[2], above, "Versions", [_version(one) for one in told["models"]]),
        _box(columns[2], below, "Server", [*_machine(told["server"]), told["serving"]["protocols"]]),
        _box(columns[3], above, "Ledger", _lines("versions, gates, champions, routes, and who decided why")),
        _box(columns[3], below, "Predictions", _lines(told["stores"]["predictions"])),
    ]  # fmt: skip
    middle, low = above + _HIGH // 2, below + _HIGH // 2
    ends = [one + _WIDE for one in columns]
    centre = [one + _WIDE // 2 for one in columns]
    arrows = [
        _arrow(ends[0], middle, columns[1], middle, "ingest"),
        _arrow(ends[0], low, columns[1], low, "push"),
        _arrow(centre[1], above + _HIGH, centre[1], below, "backfill"),
        _arrow(ends[1], middle, columns[2], middle, "train"),
        _arrow(ends[1], low, columns[2], low, "look up"),
        _arrow(centre[2], above + _HIGH, centre[2], below, "champion, route"),
        _arrow(ends[2], middle, columns[3], middle, "judge"),
        _arrow(ends[2], low, columns[3], low, "log"),
    ]
    width, height = ends[3] + 1, below + _HIGH + 1
    return (
        f'<svg viewBox="0 0 {width} {height}" style="{_STYLE};max-width:100%;margin:1rem 0" role="img">'
        "<title>From events to predictions: offline above, online below</title>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>{"".join(boxes)}{"".join(arrows)}</svg>'
    )


def _box(x: int, y: int, title: str, lines: Sequence[str], *, tall: bool = False) -> str:
    height, most = (2 * _HIGH + _DOWN, 14) if tall else (_HIGH, _MOST)
    shown = list(lines) if len(lines) <= most else [*lines[: most - 1], f"and {len(lines) - most + 1} more"]
    texts = "".join(
        f'<text x="{x + 10}" y="{y + 40 + 17 * place}" fill="#333">{escape(_cut(line))}</text>'
        for place, line in enumerate(shown)
    )
    frame = f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{height}" rx="6" fill="#f6f8fa" stroke="#8a94a0"/>'
    return f'{frame}<text x="{x + 10}" y="{y + 20}" font-weight="600">{escape(title)}</text>{texts}'


def _arrow(x: int, y: int, to_x: int, to_y: int, text: str) -> str:
    line = f'<line x1="{x}" y1="{y}" x2="{to_x - 1}" y2="{to_y}" stroke="#555" marker-end="url(#tip)"/>'
    if x == to_x:
        line = f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y - 1}" stroke="#555" marker-end="url(#tip)"/>'
        return f'{line}<text x="{x + 8}" y="{(y + to_y) // 2 + 4}" fill="#555">{escape(text)}</text>'
    return f'{line}<text x="{(x + to_x) // 2}" y="{y - 7}" text-anchor="middle" fill="#555">{escape(text)}</text>'


def _cut(line: str) -> str:
    return line if len(line) <= _LETTERS else line[: _LETTERS - 1] + "…"


def _lines(text: str) -> list[str]:
    """The text in lines that fit a box."""
    out = [""]
    for word in text.split():
        if out[-1] and len(out[-1]) + len(word) + 1 > _LETTERS:
            out.append("")
        out[-1] = f"{out[-1]} {word}".strip()
    return out


def _named(name: str, what: str) -> str:
    return f"{_cut(name)}: {what}" if len(name) + len(what) + 2 <= _LETTERS else name


def _entities(told: Mapping[str, Any]) -> list[str]:
    """What online state is kept by."""
    found = dict.fromkeys(part["entity"] for one in told["models"] for part in one["features"]["parts"])
    return _lines("by " + ", ".join(found)) if found else []


def _version(model: Mapping[str, Any]) -> str:
    champion = model["versions"]["champion"]
    if champion is None:
        return f"{model['model']}: no champion"
    return f"{model['model']}: v{champion['number']} ({model['runtime']['format']})"


def _machine(server: Mapping[str, Any] | None) -> list[str]:
    if server is None:
        return ["never started yet"]
    workers = server["workers"]
    machine = server["machine"]
    return [*_lines(f"{machine['cores']} cores of {machine['cpu']}"), f"{workers} worker{'s' if workers > 1 else ''}"]
