"""The report's section "From candidate to champion": each version's way in words and as a row of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from backstay.core.times import instant
from backstay.replay import charts, texts
from backstay.replay.charts import Bar, Mark, Way
from backstay.replay.texts import NONE, Summary

KINDS = {
    "champion": "pass", "replaced": "pass", "rolled back": "fail", "refused": "fail", "gate": "insufficient",
    "waits": "insufficient", "under way": "insufficient",
}  # fmt: skip
WORDS = {"gate": "stopped at its gate", "not due": "not due yet"}
WAYS = 60
"""A picture of more versions shows the last ones."""


def ways_section(summary: Summary) -> dict[str, Any]:
    """The section of a summary. What is stopped is said with where and why."""
    found = texts.rows(summary, "ways")
    start, end = summary.get("start"), summary.get("end")
    year = str(start)[:4] if start and end and str(start)[:4] == str(end)[:4] else ""
    rows = [_row(way, year) for way in found]
    chart = ""
    if start and end and rows:
        first, last = instant(str(start)), instant(str(end))
        title = f"the way of {len(rows)} versions from training to where they ended; the table below has it in words"
        drawn = [_drawn(way, row, first, last) for way, row in zip(found, rows, strict=True)][-WAYS:]
        chart = charts.ways(drawn, first, last, title)
    return {
        "chart": Markup(chart),  # noqa: S704  escaped there
        "rows": rows,
        "planted": any(row["note"] for row in rows),
        "staged": any(row["shadow"] or row["canary"] for row in rows),
    }


def _row(way: Summary, year: str) -> dict[str, Any]:
    gates, stages = texts.rows(way, "gates"), texts.rows(way, "stages")
    end = str(way.get("end") or "not due")
    past = bool(stages or way.get("champion"))
    return {
        "name": f"v{way.get('version')}",
        "note": str(way.get("note") or ""),
        "due": str(way.get("due") or ""),
        "gates": [
            {
                "verdict": texts.verdict(gate), "kind": charts.VERDICTS.get(texts.verdict(gate), "insufficient"),
                "at": _short(texts.day(gate.get("at")), year),
                "against": texts.said(texts.count(gate.get("against")), ""),
            }
            for gate in gates
            if gate.get("final")
        ],
        "shadow": [_short(_period(stage), year) for stage in stages if stage.get("stage") == "shadow"],
        "canary": [
            f"{_share(stage)} {_short(_period(stage), year)}" for stage in stages if stage.get("stage") == "canary"
        ],
        "champion": [_short(_period(reign), year) for reign in texts.rows(way, "champion")],
        "end": WORDS.get(end, end),
        "at": _short(texts.day(way.get("at")), year),
        "kind": "fail" if end == "gate" and way.get("cause") == "FAIL" else KINDS.get(end, "insufficient"),
        "stopped": end in ("rolled back", "refused", "gate"),
        "guards": [str(guard) for guard in texts.rows(way, "guards") if guard],
        "cause": str(way.get("cause") or "") if end in ("rolled back", "refused") else "",
        # Why a gate stopped a version stands among the candidates; here it is said of those that came further.
        "reason": str(way.get("reason") or "") if past or way.get("note") or end == "waits" else "",
    }  # fmt: skip


def _short(text: str, year: str) -> str:
    """A date without the year, where all are of one: the page says it in its head."""
    return text.removesuffix(f" {year}") if year else text


def _period(stage: Summary) -> str:
    return texts.days(stage.get("from"), stage.get("to"))


def _share(stage: Summary) -> str:
    share = texts.number(stage.get("share"))
    return NONE if share is None else f"{100 * share:.4g}%"


def _drawn(way: Summary, row: dict[str, Any], start: int, end: int) -> Way:
    name = row["name"]
    bars = []
    for stage in texts.rows(way, "stages"):
        share, kind = texts.number(stage.get("share")) or 0.0, str(stage.get("stage") or "")
        label = _share(stage) if kind == "canary" else ""
        said = f"{name} {kind} {label or _share(stage)}, {_period(stage)}: {stage.get('reason') or ''}"
        bars.append(_bar(stage, start, end, kind, share, label, said))
    bars += [
        _bar(reign, start, end, "champion", 1.0, "champion", f"{name} champion, {_period(reign)}")
        for reign in texts.rows(way, "champion")
    ]
    gates = [gate for gate in texts.rows(way, "gates") if gate.get("final") and gate.get("at")]
    bars += _waits(name, gates, min([bar.start for bar in bars], default=end))
    marks = [
        Mark(instant(str(gate["at"])), "", f"{name} {texts.verdict(gate)} {texts.day(gate['at'])}", texts.verdict(gate))
        for gate in gates
        if instant(str(gate["at"])) <= end
    ]
    stop = instant(str(way["at"])) if row["stopped"] and way.get("end") != "gate" and way.get("at") else None
    trained = instant(str(way["trained_at"])) if way.get("trained_at") else None
    text = row["end"] + ("" if row["at"] == NONE else f" {row['at']}")
    title = f"{name} {text}" + (f": {way.get('reason')}" if way.get("reason") else "")
    return Way(name, trained, tuple(bars), tuple(marks), stop, text, row["kind"], title, row["note"][:94])


def _waits(name: str, gates: Sequence[Summary], first: int) -> list[Bar]:
    """How long a version that had passed waited: for its rollout, or for another answer after a new champion."""
    starts = [instant(str(gate["at"])) for gate in gates]
    return [
        Bar(since, min(to, first), "waits", 0.0, "", f"{name} waits in line")
        for gate, since, to in zip(gates, starts, [*starts[1:], first][: len(starts)], strict=True)
        if texts.verdict(gate) == "PASS" and since < min(to, first)
    ]


def _bar(stage: Summary, start: int, end: int, kind: str, share: float, label: str, title: str) -> Bar:
    since, to = stage.get("from"), stage.get("to")
    first, last = (instant(str(since)) if since else start), (instant(str(to)) if to else end)
    return Bar(max(first, start), min(last, end), kind, share, label, title)
