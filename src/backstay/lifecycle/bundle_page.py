"""The evidence bundle as one page for whoever decides: HTML that needs nothing else, made from the bundle's JSON alone.

first    what is asked of the reader, and by which command they answer
then     the gate's answers with their numbers, what was overridden, the shadow, the rollout so far
last     what the version is: data, features, code, parameters, files
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from backstay.core.drawing import STYLE
from backstay.core.identity import canonical_json, sha256
from backstay.core.pages import Html, code, document, facts, table
from backstay.core.times import instant_text
from backstay.evaluation.page import number
from backstay.rollout.shadow_page import sections

Told = Mapping[str, Any]

_MOST = 60
"""Numbers of one check that a page shows; the JSON has all."""
_COLOURS = {"PASS": "good", "FAIL": "bad", "INSUFFICIENT": "dim"}
_CHECK = """details{margin:.1rem 0 .6rem}summary{cursor:pointer;color:var(--muted)}
.ask{border:1px solid var(--line);background:var(--wash);padding:.6rem 1rem;margin:1rem 0}"""


def page(bundle: Told) -> str:
    """The whole page."""
    title = f"{bundle['version']}: the evidence"
    parts = [
        f"<h1>{escape(title)}</h1>", _question(bundle), *_gates(bundle["gates"], bundle),
        _overrides(bundle.get("overrides")),
        *_shadow(bundle.get("shadow")), _rollout(bundle.get("rollout")), _decisions(bundle.get("decisions")),
        *_version(bundle),
    ]  # fmt: skip
    return document(title, *parts, style=STYLE + _CHECK)


def _question(bundle: Told) -> str:
    model, _, version = bundle["version"].partition("/")
    last = bundle["gates"][-1] if bundle["gates"] else None
    against = None if last is None else last["against"]
    instead = "is answered by it" if against is None else f"is answered by it in the place of version {against}"
    told = (
        f"<p>Whoever approves lets <strong>version {escape(version)}</strong> of {escape(model)} serve: every request "
        f"{instead}, at once or by the stages of its rollout. It takes another person than "
        f"{escape(bundle['author'])}, who made it, and a reason, which is kept with the digest of this evidence. An "
        "approval holds until another version is champion, or until somebody rejects it.</p>"
    )
    verbs = [f'backstay {verb} {version} --model {model} --why "..."' for verb in ("approve", "reject")]
    lines = "".join(f"<p>{code(one)}</p>" for one in verbs)
    digest = sha256(canonical_json(bundle))
    verdict = "nothing" if last is None else _now(bundle)["verdict"]
    if verdict != "PASS" and not bundle.get("origin"):
        told += f'<p class="bad">Its gate answered {verdict}: it cannot be approved as it is.</p>'
    return f'<div class="ask">{told}{lines}<p class="dim">This evidence has the SHA-256 {code(digest)}.</p></div>'


def _now(bundle: Told) -> Told:
    """What the gate's last answer comes to, with the overrides in force."""
    found: Told = bundle.get("answer") or bundle["gates"][-1]["decision"]
    return found


def _gates(gates: Sequence[Told], bundle: Told) -> Iterator[str]:
    yield "<section><h2>What its gate answered</h2>"
    if not gates:
        yield "<p>Nothing: it has not been judged in this project.</p></section>"
        return
    last = gates[-1]
    decision = _now(bundle)
    yield facts(
        "",
        {
            "answer": _verdict(decision["verdict"]),
            "because": decision["reason"],
            "against": "the base rate: there was no champion" if last["against"] is None
            else f"version {last['against']}, the champion",
            "rows": f"{last['rows']:,}, asked from {instant_text(last['start'])} to {instant_text(last['end'])}",
            "final": None if last.get("final", True) else "no: the period is not over, and it is judged again",
            "judged": f"{instant_text(last['at'])} by {last['by']}, entry {last['entry']} of the ledger",
        },
    )  # fmt: skip
    for check in decision["checks"]:
        yield f"<h3>{escape(check['name'].replace('_', ' '))}: {_verdict(check['verdict'])}</h3>"
        yield f"<p>{escape(check['reason'])}</p>"
        if over := check.get("override"):
            said = f"overridden by {over['by']}: {over['why']}"
            yield f"<p><strong>It does not count:</strong> {escape(said)}</p>"
        rows = list(_numbers(check["evidence"]))
        if rows:
            shown = table("", ("what", ">value", "interval"), rows[:_MOST])
            more = f'<p class="dim">and {len(rows) - _MOST} more in the JSON</p>' if len(rows) > _MOST else ""
            yield f"<details><summary>the numbers behind it</summary>{shown}{more}</details>"
    if len(gates) > 1:
        told = [
            (str(one["entry"]), instant_text(one["at"]), one["by"], _verdict(one["decision"]["verdict"]),
             one["decision"]["reason"])
            for one in reversed(gates[:-1])
        ]  # fmt: skip
        yield table("Its answers before", (">entry", "at", "by", "answer", "because"), told, level=3)
    yield "</section>"


def _numbers(evidence: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """What a check rests on, flat: names, values, intervals."""
    match evidence:
        case Mapping() if {"estimate", "low", "high"} <= evidence.keys():
            rows = f" of {evidence['n']:,} rows" if isinstance(evidence.get("n"), int) else ""
            limits = f"[{number(evidence['low'])}, {number(evidence['high'])}]{rows}"
            yield name, number(evidence["estimate"]), limits
        case Mapping():
            for key, value in evidence.items():
                yield from _numbers(value, f"{name} {key}".strip())
        case list() | tuple():
            if all(isinstance(one, str | int | float) for one in evidence):
                if evidence:
                    yield name, ", ".join(map(str, evidence)), ""
                return
            for place, value in enumerate(evidence, 1):
                label = value.get("name") if isinstance(value, Mapping) else None
                yield from _numbers(value, f"{name} {label or place}")
        case bool() | None:
            yield name, {True: "yes", False: "no", None: ""}[evidence], ""
        case int() | float():
            yield name, _moment(name, evidence) or number(evidence), ""
        case _:
            yield name, str(evidence), ""


def _moment(name: str, value: float) -> str | None:
    last = name.rpartition(" ")[2]
    return (
        instant_text(int(value)) if last in ("start", "end", "as_of", "at", "until", "since") and value > 1e12 else None
    )


def _overrides(some: Sequence[Told] | None) -> str:
    if not some:
        return ""
    rows = [
        (str(one["entry"]), instant_text(one["at"]), one["by"], str(one.get("check", "")),
         "taken back" if one.get("withdrawn") else "does not count", str(one.get("why", "")))
        for one in some
    ]  # fmt: skip
    return f"<section>{table('What was overridden', ('>entry', 'at', 'by', 'check', '', 'why'), rows)}</section>"


def _shadow(told: Told | None) -> Iterator[str]:
    if told is None:
        yield "<section><h2>As a shadow</h2><p>It was none: it was shown no request that others answered.</p></section>"
        return
    yield "<section><h2>As a shadow, beside what was answered</h2>"
    yield from sections(told)
    yield "</section>"


def _rollout(some: Sequence[Told] | None) -> str:
    if not some:
        return ""
    rows = [
        (str(one["entry"]), instant_text(one["at"]), one["by"], str(one["stage"]).replace("_", " "),
         f"{one['share']:.4g}", str(one.get("reason", "")))
        for one in some
    ]  # fmt: skip
    return (
        f"<section>{table('Its rollout so far', ('>entry', 'at', 'by', 'stage', '>share', 'because'), rows)}</section>"
    )


def _decisions(some: Sequence[Told] | None) -> str:
    if not some:
        return ""
    rows = [
        (str(one["entry"]), instant_text(one["at"]), one["by"], f"{one['decision']}ed".replace("eed", "ed"),
         one["why"], code(one["bundle"][:12]))
        for one in some
    ]  # fmt: skip
    columns = (">entry", "at", "by", "", "why", "evidence")
    return f"<section>{table('What was decided before', columns, rows)}</section>"


def _version(bundle: Told) -> Iterator[str]:
    made = bundle["manifest"]
    data, features, made_by = made["dataset"], made["feature_set"], made["code"]
    yield "<section><h2>What it is</h2>"
    origin = bundle.get("origin")
    yield facts(
        "",
        {
            "manifest": code(bundle["digest"]), "made by": bundle["author"],
            "registered": instant_text(bundle["registered"]),
            "came from": None if not origin else ", ".join(f"{name} {value}" for name, value in origin.items()),
            "note": made.get("note") or None, "rule in force": bundle.get("rule") or "as it was trained",
            "threshold": number(made["threshold"]), "base rate": number(made["base_rate"]),
        },
    )  # fmt: skip
    yield facts(
        "Data",
        {
            "rows": f"{data.get('rows', 0):,} of {data.get('asked', 0):,} asked", "void": f"{data.get('void', 0):,}",
            "not mature": f"{data.get('immature', 0):,}", "known as of": instant_text(data["as_of"]),
            "learned from rows until": instant_text(made["cutoff"]), "digest": code(data["digest"]),
            "tables": ", ".join(f"{name} {version}" for name, version in data.get("sources", {}).items()) or None,
        },
        level=3,
    )  # fmt: skip
    yield facts("Features", {"set": features["name"], "hash": code(features["hash"])}, level=3)
    commit, dirty = made_by.get("commit"), made_by.get("dirty")
    yield facts(
        "Code",
        {
            "commit": code(commit) if commit else "not recorded",
            "uncommitted changes": code(dirty) if dirty else "none" if commit else "not recorded",
            "lock file": code(made_by["lock"]) if made_by.get("lock") else "not recorded",
        },
        level=3,
    )  # fmt: skip
    yield table(
        f"Parameters of {made['estimator']}", ("parameter", "value"),
        [(code(name), Html(escape(str(value)))) for name, value in sorted(made["parameters"].items())], level=3,
        empty="none",
    )  # fmt: skip
    files = [(code(name), code(digest)) for name, digest in sorted(made["files"].items())]
    yield table("Files", ("file", "SHA-256"), files, level=3)
    yield "</section>"


def _verdict(text: str) -> Html:
    return Html(f'<span class="{_COLOURS.get(text, "dim")}">{escape(text)}</span>')
