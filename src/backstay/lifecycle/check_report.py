"""A judgement as other tools take it: Markdown for a pull request, JUnit XML for CI. Pure: the same bytes each time.

JUnit has no word for "the evidence does not suffice". It is an `error` here, and what was failed a `failure`: both make
a build red, and they are told apart. A check that somebody overrides is `skipped`, with who and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from backstay.core.times import instant_text
from backstay.lifecycle.judgement import Judgement
from backstay.registry.versions import ModelVersion
from backstay.rollout import Check, Verdict

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST = 600
"""Characters of a reason in a table; GitHub cuts a comment at 65,536."""
_MARKS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.INSUFFICIENT: "⚠️"}
_SAYS = {
    Verdict.PASS: "may become champion",
    Verdict.FAIL: "may not become champion",
    Verdict.INSUFFICIENT: "may not become champion: the evidence does not suffice",
}


def markdown(judgement: Judgement, version: ModelVersion) -> str:
    """A summary for a pull request, in GitHub's and GitLab's Markdown.

    It begins with a comment by which a bot finds its own summary of this model again.
    """
    one, decision = judgement, judgement.decision
    lines = [
        f"<!-- backstay check {_cell(one.model)} -->",
        f"## {_MARKS[decision.verdict]} {decision.verdict}: version {one.number} of `{_code(one.model)}` "
        f"{_SAYS[decision.verdict]}",
        "",
        *_facts(judgement, version),
        "",
        "| check | answer | why |",
        "| --- | --- | --- |",
        *(f"| `{_code(check.name)}` | {_answer(check)} | {_cell(_short(check.said))} |" for check in decision.checks),
        "",
        *_comparison(judgement),
        *_slices(decision.checks),
    ]
    if one.reuse.warning:
        lines += [f"> ⚠️ **Holdout reuse**: {_cell(one.reuse.warning)}.", ""]
    if decision.overridden:
        lines += [f"> ⚠️ **Overridden**: {', '.join(f'`{_code(one.name)}`' for one in decision.overridden)}.", ""]
    lines += [
        f"Ledger entry {one.entry_id}, as of {instant_text(one.as_of)}; it holds until {instant_text(one.expires)}. "
        f"Again: `backstay check {one.number} --model {_code(one.model)}`"
    ]
    return "\n".join(lines) + "\n"


def junit(judgement: Judgement, version: ModelVersion) -> str:
    """JUnit XML: a test suite of one test case a check."""
    one, checks = judgement, judgement.decision.checks
    counts = {
        "tests": len(checks),
        "failures": sum(_outcome(check) == "failure" for check in checks),
        "errors": sum(_outcome(check) == "error" for check in checks),
        "skipped": sum(_outcome(check) == "skipped" for check in checks),
    }
    numbers = {name: str(count) for name, count in counts.items()} | {"time": "0"}
    root = ElementTree.Element("testsuites", {"name": "backstay check", **numbers})
    name = _xml(f"{one.model}/{one.number}")
    stamp = instant_text(one.as_of).replace("Z", "")
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, "timestamp": stamp, **numbers})
    told = {
        "verdict": one.decision.verdict, "manifest": version.digest, "against": _against(one), "rows": one.rows,
        "entry": one.entry_id, "expires": instant_text(one.expires), "holdout_reuse": one.reuse.candidates,
    }  # fmt: skip
    listed = ElementTree.SubElement(suite, "properties")
    for key, value in told.items():
        ElementTree.SubElement(listed, "property", {"name": key, "value": _xml(str(value))})
    for check in checks:
        place = {"classname": f"backstay.{_xml(one.model)}.{one.number}", "name": _xml(check.name), "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", place)
        if outcome := _outcome(check):
            said = {"message": _xml(check.said)} | ({} if outcome == "skipped" else {"type": check.verdict.value})
            ElementTree.SubElement(case, outcome, said).text = _xml(check.said)
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(check.reason)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def as_json(judgement: Judgement, version: ModelVersion, code: int) -> dict[str, Any]:
    """The answer as plain data; `code` is the exit code that goes with it."""
    one = judgement
    return {
        "model": one.model, "number": one.number, "manifest": version.digest, "author": version.author,
        "against": one.against, "start": instant_text(one.start), "end": instant_text(one.end), "rows": one.rows,
        "final": one.final, "metric": one.metric, "margin": one.margin, "refresh": one.refresh,
        "interval": one.interval(), **one.decision.as_dict(),
        "overridden": [check.name for check in one.decision.overridden],
        "reuse": {**one.reuse.as_dict(), "warning": one.reuse.warning}, "entry": one.entry_id,
        "as_of": instant_text(one.as_of), "expires": instant_text(one.expires), "exit_code": code,
    }  # fmt: skip


def _facts(one: Judgement, version: ModelVersion) -> list[str]:
    code = version.manifest.code
    commit = "no commit" if code.commit is None else f"commit `{code.commit[:12]}`"
    dirty = " with uncommitted changes" if code.dirty is not None else ""
    kind = ", a refresh of it" if one.refresh else ""
    return [
        f"- version {one.number}, `{version.digest[:12]}`, {commit}{dirty}, by {_cell(version.author)}",
        f"- against {_against(one)}{kind}, on {one.rows:,} rows asked from {instant_text(one.start)[:10]} to "
        f"{instant_text(one.end)[:10]}, which neither has learned from",
    ]


def _against(one: Judgement) -> str:
    return "the base rate" if one.against is None else f"champion {one.against}"


def _comparison(one: Judgement) -> list[str]:
    """The comparison in numbers, where one was made."""
    found = next((check for check in one.decision.checks if check.name.startswith("better_than")), None)
    gain = one.interval()
    if found is None or gain is None:
        return []
    champion, candidate = (_real(found.evidence.get(name)) for name in ("champion", "candidate"))
    low, high = _real(gain["low"], signed=True), _real(gain["high"], signed=True)
    return [
        f"| metric | {_against(one)} | candidate | gain ({gain['level']:.0%} interval) | margin |",
        "| --- | --- | --- | --- | --- |",
        f"| {_cell(one.metric)} | {champion} | {candidate} | {_real(gain['estimate'], signed=True)} [{low}, {high}] "
        f"| {one.margin:g} |",
        "",
    ]


def _slices(checks: Iterable[Check]) -> list[str]:
    """The candidate beside the champion on each declared or pinned slice."""
    found = next((check for check in checks if check.name == "holds_on_slices"), None)
    told = found.evidence.get("slices") if found is not None else None
    if not isinstance(told, Mapping) or not told:
        return []
    rows = []
    for name, one in told.items():
        gain = one.get("gain")
        limits = f"{_real(gain['estimate'], signed=True)} [{_real(gain['low'], signed=True)}, " \
                 f"{_real(gain['high'], signed=True)}]" if isinstance(gain, Mapping) else "-"  # fmt: skip
        rows.append(f"| {_cell(name)} | {one['verdict']} | {one.get('rows', 0):,} | {limits} |")
    return ["<details><summary>Slices</summary>", "", "| slice | answer | rows | gain |", "| --- | --- | --- | --- |",
            *rows, "", "</details>", ""]  # fmt: skip


def _answer(check: Check) -> str:
    if check.override is not None:
        return f"⚠️ {check.verdict}, overridden"
    return f"{_MARKS[check.verdict]} {check.verdict}"


def _outcome(check: Check) -> str:
    """JUnit's word for a check; "" if it was passed."""
    if check.override is not None:
        return "skipped"
    return {Verdict.PASS: "", Verdict.FAIL: "failure", Verdict.INSUFFICIENT: "error"}[check.verdict]


def _real(value: object, *, signed: bool = False) -> str:
    if not isinstance(value, int | float):
        return "-"
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"


def _cell(text: str) -> str:
    """A text in a cell: what Markdown or HTML would take for its own is written so that it is not."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#@])", r"\\\1", plain).replace("\\@", "@\u200b")


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'").replace("|", "\\|")


def _xml(text: str) -> str:
    """Without the characters that XML 1.0 has no form for."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
