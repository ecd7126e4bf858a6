"""Verbs of the catalogue: `features list | show | search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstay.cli.options import HomeOption, JsonOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import age, block, minute, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from backstay.project.catalog import FeatureEntry, FeatureSetEntry


def features_list(
    ctx: typer.Context, project: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """List the feature sets: owner, tags, the models that use them, and how fresh their sources are now.

    Use it to see what there is; `features show` tells all about one of them, or about one feature.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking"):
            sets = shell.project.catalog.feature_sets()
        rows = [
            (
                one.name,
                len(one.features),
                one.owner,
                ", ".join(one.tags),
                ", ".join(one.models),
                _fresh(one.sources),
                one.description,
            )
            for one in sets
        ]
        columns = ("feature set", ">features", "owner", "~tags", "~models", "~age of sources", "description")
        shell.show({"feature_sets": [_plain(one) for one in sets]}, table(columns, rows))
        if sets:
            shell.next("features", "show", sets[0].name)


def features_show(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A feature set, a feature, or SET.FEATURE.", show_default=False),
    ],
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a feature set, or one feature: schema, lineage to source columns, freshness, owner, tags, who uses it.

    Use it before you rely on a feature or change one: it names the file and line, and the versions trained on it.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("looking"):
            from backstay.project.catalog import FeatureSetEntry

            entry = shell.project.catalog.show(name)
        parts = _set(entry) if isinstance(entry, FeatureSetEntry) else _feature(entry)
        shell.show(_plain(entry), *parts)


def features_search(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="What it is about.", show_default=False)],
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search feature sets and features by name, description, tag, owner, source, column or model, best first.

    Use it to find out whether somebody has made the feature already. Each word must be found.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("searching"):
            searched = shell.project.catalog.search(words)
        rows = [
            (one.name, one.kind, one.feature_set, ", ".join(one.matched), ", ".join(one.tags), one.description)
            for one in searched.found
        ]
        columns = ("name", "kind", "feature set", "~found in", "~tags", "description")
        shell.show(searched.as_dict(), table(columns, rows, empty="nothing has all of these words"))
        if searched.found:
            best = searched.found[0]
            shared = sum(one.name == best.name for one in searched.found) > 1
            shell.next("features", "show", f"{best.feature_set}.{best.name}" if shared else best.name)
        elif searched.did_you_mean:
            shell.note(f"did you mean: {', '.join(searched.did_you_mean)}?")


def _plain(entry: FeatureSetEntry | FeatureEntry) -> dict[str, Any]:
    answer = entry.as_dict()
    if answer["versions"] is None:  # the list does not look them up
        del answer["versions"]
    return answer


def _fresh(sources: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['source']} {age(one['age']) or 'empty'}" for one in sources)


def _set(one: FeatureSetEntry) -> list[RenderableType]:
    rows = []
    for feature in one.features:
        made = f"{feature['source']} by {feature['entity']}"
        if feature["source"] is None:
            made = f"request field, {feature['type']}" if feature["kind"] == "request" else "an expression"
        if not feature["in_vector"]:
            made += "; not an input"
        window = f"max age {feature['max_age']}" if feature["max_age"] else feature["window"]
        rows.append((feature["name"], feature["kind"], window, feature["default"], made))
    removed = {
        feature: "; ".join(f"{tag}: {why}" for tag, why in reasons.items()) for feature, reasons in one.untagged.items()
    }
    return [
        block(
            {
                "description": one.description,
                "owner": one.owner,
                "defined in": one.place,
                "tags": ", ".join(one.tags),
                "keys": ", ".join(one.keys),
                "models": ", ".join(one.models),
                "hash": one.hash[:12],
            },
            title=f"feature set {one.name}",
        ),
        "",
        table(("feature", "kind", "window", "default", "made of"), rows),
        *(["", block(removed, title="tags removed")] if removed else []),
        "",
        _sources(one.sources),
        "",
        _versions(one.versions or []),
    ]


def _feature(one: FeatureEntry) -> list[RenderableType]:
    columns = [
        (column["source"] or "the request", column["column"], ", ".join(column["tags"])) for column in one.columns
    ]
    facts = {
        "description": one.description,
        "kind": one.kind,
        "type": one.type,
        "entity": one.entity,
        "window": one.window,
        "hop": one.hop,
        "max age": one.max_age,
        "default": one.default,
        "expression": one.expression,
        "made of": ", ".join(one.made_of),
        "model input": one.in_vector,
        "tags": ", ".join(one.tags),
        **{f"{tag} removed": why for tag, why in one.untagged.items()},
        "owner": one.owner,
        "defined in": one.place,
        "models": ", ".join(one.models),
    }
    given = {name: value for name, value in facts.items() if value not in (None, "")}
    return [
        block(given, title=f"feature {one.name} of feature set {one.feature_set}"),
        "",
        table(("from source", "column", "tags"), columns, title="lineage"),
        *(["", _sources(one.sources)] if one.sources else []),
        "",
        _versions(one.versions),
    ]


def _sources(sources: list[dict[str, Any]]) -> RenderableType:
    rows = [(one["source"], minute(one["last_event"]), age(one["age"]), one["owner"], one["place"]) for one in sources]
    return table(("source", "last event", ">age", "owner", "defined in"), rows, title="sources now")


def _versions(versions: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (one["model"], one["number"], "champion" if one["champion"] else None, minute(one["registered"]),
         ", ".join(one["tags"]))
        for one in versions
    ]  # fmt: skip
    columns = ("model", ">version", "alias", "registered", "tags")
    return table(columns, rows, title="versions trained on it", empty="none")
