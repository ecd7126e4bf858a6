"""The verb `architecture`: what is deployed, on what, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count, keys, minute, share, table
from backstay.core.errors import InputError


def architecture(
    ctx: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write it as one HTML page, e.g. architecture.html.", show_default=False
        ),
    ] = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is deployed: features, versions, routes, files, batching and admission, machine, objective, and why.

    It is made from the record, not from a running server. With --out it is a page to send around: one file, no scripts.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("reading the record"):
            found = shell.project.architecture()
        if out is not None:
            try:
                out.write_text(found.page(), encoding="utf-8")
            except OSError as error:
                raise InputError(
                    f"the page cannot be written: {error.strerror}",
                    where=str(out),
                    fix="name a file in a folder there is",
                ) from None
        told = found.as_dict()
        answer = {**told, "page": None if out is None else str(out)}
        shell.show(answer, *_parts(told))
        if out is None:
            shell.next("architecture", out="architecture.html")
        else:
            shell.note(f"written: {out}")


def _parts(told: dict[str, Any]) -> list[Any]:
    from backstay.project.architecture_page import NO_SERVER, hardware

    server = told["server"]
    parts: list[Any] = [f"{told['project']}, as of {minute(told['as_of'])}", ""]
    if server is None:
        parts.append(block({"machine": NO_SERVER}, title="machine"))
    else:
        facts = {
            "hardware": hardware(server["machine"]),
            "system": f"{server['machine']['system']}, {server['machine']['python']}",
            "packages": ", ".join(f"{name} {version}" for name, version in server["packages"].items()),
            "started": f"{minute(server['at'])}, by {server['by']}{', to replay history' if server['replay'] else ''}",
            "changed since": ", ".join(f"{name}: {one['now']}" for name, one in server["changed"].items()) or "nothing",
        }
        parts.append(block(facts, title="the machine it last ran on"))
    parts += ["", block(told["serving"], title="how it serves"), "", block(told["stores"], title="where it is kept")]
    rows = [
        (one["source"], count(one["events"]), one["from"], one["known"], keys(one["trained_on"]))
        for one in told["sources"]
    ]  # fmt: skip
    parts += ["", table(("source", ">events", "history from", "known", "trained on table version"), rows)]
    for model in told["models"]:
        parts += ["", *_model(model)]
    return parts


def _named(route: dict[str, Any]) -> str:
    number = f"v{route['version']}"
    return number if route["name"] == number else f"{route['name']} {number}"


def _model(one: dict[str, Any]) -> list[Any]:
    from backstay.project.architecture_page import size

    versions, features = one["versions"], one["features"]
    champion, declared = versions["champion"], one["objective"]["objective"]
    routes = [
        f"{_named(route)} {'is shown' if route['shadow'] else 'answers'} {share(route['share'])}"
        for route in one["routes"]
    ]
    facts = {
        "asked": one["asked"],
        "label": one["label"],
        "features": f"{features['count']} of {features['feature_set']}, {len(features['inputs'])} of them inputs",
        "feature set": features["hash"],
        "made of": "; ".join(f"{part['source']} by {part['entity']}" for part in features["parts"]),
        "champion": None if champion is None else f"version {champion['number']}, since {minute(champion['since'])}",
        "previous": versions["previous"],
        "route": ", ".join(routes),
        "runtime": None if one["runtime"] is None else one["runtime"]["format"],
        "files": ", ".join(f"{file['file']} {file['problem'] or size(file['bytes'])}" for file in one["files"]),
        "objective": one["objective"]["text"],
        "why": None if declared is None else declared["why"],
        "used by": ", ".join(user["principal"] for user in one["users"]) or "whoever has the home's token",
    }
    return [block(facts, title=f"model {one['model']}")]
