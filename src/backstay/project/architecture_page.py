"""The architecture as one page that needs nothing else: no script, no file beside it, nothing loaded from anywhere.

It shows what `Architecture.as_dict` holds; what is not known is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from backstay.core.pages import Html, code, document, facts, table
from backstay.evaluation.budgets import percent
from backstay.project.architecture_figure import figure

NO_SERVER = "no server has started with this home yet, so nothing is known of the machine: backstay serve"


def render(told: Mapping[str, Any]) -> str:
    """The whole page, of the architecture as plain data."""
    return document(
        f"{told['project']}: architecture",
        f"<h1>The architecture of {escape(told['project'])}</h1>",
        f'<p class="dim">From the record, as of {_minute(told["as_of"])}. What was decided stands in the ledger, what '
        "a version is in its manifest, what a server ran on in what it wrote down as it started.</p>",
        figure(told),
        *_server(told["server"]),
        facts("How it serves", told["serving"]),
        facts("Where it is kept", told["stores"]),
        table("Sources", _SOURCES, [_source(one) for one in told["sources"]], empty="none"),
        *(part for model in told["models"] for part in _model(model, told["stores"]["online state"])),
    )


def size(count: int | None) -> str:
    """Bytes as people read them.

    >>> size(812), size(48_213), size(3_400_000), size(16 << 30), size(None)
    ('812 B', '48.2 kB', '3.4 MB', '17.2 GB', 'unknown')
    """
    if count is None:
        return "unknown"
    number, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1_000 or unit == "TB":
            break
        number /= 1_000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.3g} {unit}"


def hardware(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    return f"{machine['cpu']}, {machine['cores']} cores, {size(machine['memory'])} of memory"


def _server(server: Mapping[str, Any] | None) -> Iterator[str]:
    if server is None:
        yield f'<h2>The machine</h2><p class="bad">{escape(NO_SERVER)}</p>'
        return
    machine = server["machine"]
    yield facts(
        "The machine it last ran on",
        {
            "hardware": hardware(machine),
            "system": machine["system"],
            "Python": machine["python"],
            "packages": ", ".join(f"{name} {version}" for name, version in server["packages"].items()),
            "workers": str(server["workers"]),
            "started": f"{_minute(server['at'])} by {server['by']} (ledger entry {server['entry']})"
            + (", to replay history: recorded at the moment of the entry before" if server["replay"] else ""),
        },
    )
    changed = [(name, str(one["then"]), str(one["now"])) for name, one in server["changed"].items()]
    if changed:
        yield '<p class="bad">Settings have changed since: a server that starts now serves otherwise.</p>'
        yield table("", ("setting", "as it started", "now"), changed)
    settings = [(name, str(value)) for name, value in server["settings"].items()]
    yield "<details><summary>The settings it started with</summary>"
    yield table("", ("setting", "value"), settings)
    yield "</details>"


_SOURCES = ("source", "history from", "known", ">events in its Delta table", "champions trained on", "fresh", "owner")


def _source(one: Mapping[str, Any]) -> tuple[str, ...]:
    trained = ", ".join(f"{model}: table version {number}" for model, number in one["trained_on"].items())
    fresh = f"at most {one['freshness']}" if one["freshness"] else "not declared"
    return one["source"], one["from"], one["known"], f"{one['events']:,}", trained or "-", fresh, one["owner"] or "-"


def _model(one: Mapping[str, Any], online: str) -> Iterator[str]:
    features, files = one["features"], one["files"]
    parts = [_part(part, online) for part in features["parts"]]
    yield f"<section><h2>Model {escape(one['model'])}</h2><p>{escape(one['description'])}</p>"
    yield facts("", _about(one))
    yield from _objective(one["objective"])
    yield table("Features", _PARTS, parts, level=3, empty="none from sources")
    yield facts(
        "",
        {
            "feature set": Html(f"{escape(features['feature_set'])} {code(features['hash'])}"),
            "in all": f"{features['count']} features, {len(features['inputs'])} of them inputs of the model",
            "with the request": ", ".join(features["requests"]) or "none",
            "derived": ", ".join(features["derived"]) or "none",
            "owner": features["owner"] or None,
            "tags": ", ".join(features["tags"]) or None,
        },
    )
    yield table("Route", _ROUTE, [_route(route) for route in one["routes"]], level=3, empty="nobody answers")
    if one["route_why"]:
        yield f"<p>Why: {escape(one['route_why'])}</p>"
    rows = [(file["file"], size(file["bytes"]), _content(file)) for file in files]
    yield table("Files of the champion", ("file", ">size", "SHA-256"), rows, level=3, empty="none") + "</section>"


def _about(one: Mapping[str, Any]) -> dict[str, str]:
    versions, runtime = one["versions"], one["runtime"]
    before, registered = versions["previous"], versions["registered"]
    return {
        "asked": one["asked"],
        "label": one["label"],
        "keys": ", ".join(one["keys"]),
        "champion": _champion(versions["champion"]),
        "previous": "none" if before is None else f"version {before}, kept in memory for a rollback",
        "registered": "1 version" if registered == 1 else f"{registered} versions",
        "runtime": f"{one['declared_runtime']}; no version yet" if runtime is None else _runtime(runtime),
        "used by": _users(one["users"]),
        "defined in": one["place"],
    }


_ROUTE = ("route", "version", ">share", "what it does")


def _route(one: Mapping[str, Any]) -> tuple[str, ...]:
    return one["name"], f"version {one['version']}", percent(one["share"]), "is shown" if one["shadow"] else "answers"


def _champion(one: Mapping[str, Any] | None) -> Html | str:
    if one is None:
        return "none: requests are 503"
    why = f"; {one['why']}" if one["why"] else ""
    text = (
        f"version {one['number']}, since {_minute(one['since'])}, by {one['by']}{why}. Trained on {one['rows']:,} rows"
    )
    return Html(f"{escape(text)} known by {escape(_minute(one['cutoff']))}. Digest {code(one['digest'])}")


def _runtime(one: Mapping[str, Any]) -> str:
    risk = "; its files can hold code" if one["can_hold_code"] else ""
    compared = f"at most {one['max_difference']:.1e} from the estimator's scores, over {one['compared_rows']:,} rows"
    return f"{one['format']}, one thread, of a {one['estimator'].rpartition('.')[2]}; {compared}{risk}"


def _content(file: Mapping[str, Any]) -> Html:
    if file["problem"] is not None:
        return Html(f'<span class="bad">{escape(file["problem"])}</span>')
    return code(file["sha256"])


def _users(users: list[dict[str, Any]]) -> str:
    named = "; ".join(f"{one['principal']} ({', '.join(one['roles'])})" for one in users)
    return named or "whoever has the home's token: no role has been granted"


def _objective(told: Mapping[str, Any]) -> Iterator[str]:
    declared = told["objective"]
    if declared is None:
        yield f'<h3>Objective</h3><p class="bad">{escape(told["text"])}</p>'
        return
    yield f"<h3>Objective</h3><p>{escape(told['text'])}</p>"
    yield f"<p><b>Why:</b> {escape(declared['why'])}</p>"
    rows = [
        (budget["promise"], percent(budget["target"]), window["over"], f"{window['requests']:,}", f"{window['bad']:,}",
         percent(window["share"]), "-" if window["burn"] is None else f"{window['burn']:.3g}x")
        for budget in told["budgets"]
        for window in budget["windows"]
    ]  # fmt: skip
    yield table("", ("promise", ">target", ">window", ">requests", ">bad", ">good", ">burn rate"), rows)
    yield from (f'<p class="bad">{escape(text)}</p>' for text in told["ringing"])


_PARTS = ("source", "by", "kinds", "windows, ages", ">features", "offline", "online")


def _part(part: Mapping[str, Any], online: str) -> tuple[str, ...]:
    return (
        part["source"], part["entity"], ", ".join(part["kinds"]), ", ".join(part["windows"]) or "-",
        str(len(part["features"])), f"Delta table events/{part['source']}", f"{online}, by {part['entity']}",
    )  # fmt: skip


def _minute(text: str) -> str:
    return f"{text[:10]} {text[11:16]} UTC"
