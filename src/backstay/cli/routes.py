"""Verbs of the traffic: `route show | set | clear`, `rollback`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli import plain
from backstay.cli.options import HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, table, when
from backstay.core.errors import InputError

if TYPE_CHECKING:
    from backstay.registry.routing import RouteEntry

WhyOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason, for the ledger.", show_default=False)
]
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


def show(
    ctx: typer.Context,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which versions share a model's requests with its champion, and who set that, when and why.

    What the server really serves, `GET /v1/models/MODEL` says.
    """
    with Shell(ctx, project, home, as_json) as shell:
        name = shell.project.model(model).name
        _show(shell, name, shell.project.routes.show(model))


def set_(
    ctx: typer.Context,
    parts: Annotated[
        list[str],
        typer.Argument(
            metavar="VERSION=SHARE|shadow=VERSION ...",
            show_default=False,
            help="v7=5% gives version 7 a share; baseline=5% sets as many of the champion's apart, to compare with; "
            "shadow=v8 shows requests to version 8. The rest is the champion's.",
        ),
    ],
    why: WhyOption,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="NAME",
            show_default=False,
            help="A key that entities are told apart by; may be repeated. By default all keys of the model.",
        ),
    ] = None,
    reshuffle: Annotated[
        bool, typer.Option("--reshuffle", metavar="", help="Assign entities anew, for an independent experiment.")
    ] = False,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a model's route: each entity always gets the same version, and a share that grows keeps its entities.

    Running servers look for it ten times a second, and follow without a failed request. What is not named any more
    gets nothing.
    """  # fmt: skip
    shares, shadows = _parts(parts)
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("setting the route"):
            entry = shell.project.routes.set(shares, model, shadow=shadows, key=key, why=why, reshuffle=reshuffle)
        _show(shell, entry.model, entry)
        shell.next("route", "show", model=model)


def clear(
    ctx: typer.Context,
    why: WhyOption,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give every request of a model to its champion again, and end its shadows.

    The salt is kept: a share that is set later gets the same entities.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("clearing the route"):
            entry = shell.project.routes.clear(model, why=why)
        _show(shell, entry.model, entry)


def explore(
    ctx: typer.Context,
    share: Annotated[
        str, typer.Argument(metavar="SHARE", help="Of the entities, such as 1%; 0% ends it.", show_default=False)
    ],
    why: WhyOption,
    flip: Annotated[
        float, typer.Option("--flip", metavar="X", help="With which probability each decision is turned over.")
    ] = 0.5,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="NAME",
            show_default=False,
            help="A key that entities are told apart by; may be repeated. By default as the route has it.",
        ),
    ] = None,
    high_stakes: Annotated[
        bool, typer.Option("--high-stakes", metavar="", help="Of a model whose stakes are high: this is meant.")
    ] = False,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn decisions of a small share of entities over by lot, and log the probability of each decision.

    So other thresholds can be judged later, by `backstay counterfactual`. It goes on whatever shares are set.
    """  # fmt: skip
    told = _SHARE.fullmatch(share)
    if told is None:
        raise InputError(f"{share!r} is no share", where="route explore", expected="such as 1%, or 0% to end it")
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("setting the route"):
            entry = shell.project.routes.explore(
                float(told[1]) / 100, model, flip=flip, key=key, why=why, high_stakes=high_stakes
            )
        _show(shell, entry.model, entry)


def rollback(
    ctx: typer.Context,
    why: WhyOption,
    model: ModelOption = None,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the champion before this one champion again. No gate is asked; twice goes back twice.

    Running servers keep that version in memory: they look ten times a second, and follow without a failed request.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("rolling back"):
            move = shell.project.routes.rollback(model, why=why)
        facts = {
            "champion": f"version {move.to}", "before": f"version {move.previous}", "since": when(move.at),
            "by": move.actor, "why": why,
        }  # fmt: skip
        shell.show(plain.move(move), block(facts, title=f"model {move.model}"))
        shell.next("versions", model=model)


def _show(shell: Shell, model: str, entry: RouteEntry | None) -> None:
    champion = shell.project.records.registry.alias(model, "champion")
    number = None if champion is None else champion.to
    left = 1.0 if entry is None else entry.champion
    told: list[dict[str, Any]] = [{"name": "champion", "version": number, "share": left, "shadow": False}]
    told += [] if entry is None else [part.as_dict() for part in entry.parts]
    answer: dict[str, Any] = {"model": model, "parts": told}
    rows = [(one["name"], one["version"], f"{one['share']:.2%}", _does(one, number)) for one in told]
    lines = [table(("route", ">version", ">share", "what it does"), rows)]
    if entry is not None:
        answer |= {
            "key": list(entry.key), "salt": entry.salt, "why": entry.why, "at": entry.at, "by": entry.actor,
            "entry": entry.entry_id, "breakers": None if entry.breakers is None else asdict(entry.breakers),
            "cut": entry.cut, "explore": None if entry.explore is None else entry.explore.as_dict(),
        }  # fmt: skip
        facts = {"by key": ", ".join(entry.key), "since": when(entry.at), "by": entry.actor, "why": entry.why}
        if entry.cut is not None:
            what = "it is a shadow no more" if entry.cut.get("shadow") else "its requests are the champion's"
            facts["cut"] = f"version {entry.cut['number']}, by a server: {what}"
        if entry.explore is not None:
            some = entry.explore
            facts["explores"] = f"{some.share:.2%} of the entities: each decision is turned over with {some.flip:.0%}"
        lines = [block(facts, title=f"route of {model}"), "", *lines]
    shell.show(answer, *lines)


def _does(part: Mapping[str, Any], champion: int | None) -> str:
    if part["shadow"]:
        return "is shown requests"
    if part["name"] != "baseline":
        return "answers"
    current = part["version"] == champion
    return "answers, as the champion's cohort" if current else "nothing: it is champion no more"


def _parts(words: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Shares and shadows, by version, from words such as v7=5%, shadow=v8 and shadow=v8:10%."""
    shares: dict[str, float] = {}
    shadows: dict[str, float] = {}
    for word in words:
        name, _, value = word.partition("=")
        into, text = shares, value
        if name == "shadow":
            into = shadows
            name, _, text = value.partition(":")
            text = text or "100%"
        share = _SHARE.fullmatch(text)
        if not name or share is None:
            raise InputError(
                f"{word!r} is no part of a route", where="route",
                expected="v7=5%, shadow=v8, shadow=v8:10% or baseline=5%",
            )  # fmt: skip
        if name in into:
            raise InputError(f"{name} stands in it twice", where="route", expected="each version once")
        into[name] = float(share[1]) / 100
    return shares, shadows
