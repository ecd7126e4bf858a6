"""The deployed architecture of a project, from what is recorded: nothing is asked of a running server.

What was decided stands in the ledger, what a version is in its manifest, what features are in the definitions, and
what a server last ran on, and with, is what it wrote down when it started (`started.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.core.times import duration_text, instant_text
from backstay.definitions import EventSource, Model
from backstay.definitions.roles import Access
from backstay.evaluation.budgets import Kept
from backstay.lifecycle.records import Records
from backstay.project.architecture_page import render
from backstay.project.deployed import deployed
from backstay.project.loading import Definitions
from backstay.project.serving_words import in_words
from backstay.project.started import SERVER, STARTED, in_force, online_store
from backstay.registry.access import Authority


@dataclass(frozen=True, slots=True)
class Architecture(Shown):
    """What is deployed, and on what, as plain data.

    server:  what the last server wrote down as it started (None: none ever did), and which settings say otherwise now
    stores:  where each record is kept
    sources: what comes in, with the size of its table
    serving: how requests are batched, admitted, logged and cut off, in words
    models:  each with its features, files, versions, route, objective, and who may use it
    """

    project: str
    as_of: str
    server: dict[str, Any] | None
    serving: dict[str, str]
    stores: dict[str, str]
    sources: list[dict[str, Any]]
    models: list[dict[str, Any]]

    def page(self) -> str:
        """All of it as one HTML page that needs nothing else."""
        return render(self.as_dict())


def architecture(
    name: str,
    definitions: Definitions,
    settings: Mapping[str, Any],
    records: Records,
    authority: Authority,
    kept: list[Kept],
) -> Architecture:
    """The architecture now. `kept`: how each model keeps its objective."""
    server = _server(records, settings)
    promises, access = {one.model: one for one in kept}, authority.now()
    models = [
        {
            **_question(model),
            "features": _features(model),
            **deployed(records, model),
            "objective": promises[model.name].as_dict(),
            "users": _users(access, model),
        }
        for model in definitions.models.values()
    ]
    return Architecture(
        project=name,
        as_of=instant_text(records.clock.now()),
        server=server,
        serving=in_words(settings if server is None else {**settings, **server["settings"]}, definitions, server),
        stores={
            "events": "Delta tables, one a source, behind a write-ahead log",
            "online state": online_store(settings["online.url"]),
            "predictions": f"segments and a Delta table, {settings['predictions.mode']}",
            "ledger": "SQLite, append-only, each entry chained to the one before",
            "artifacts": "files named by their SHA-256",
        },
        sources=[_source(records, source, models) for source in definitions.sources.values()],
        models=models,
    )


def _question(model: Model) -> dict[str, Any]:
    label = model.label
    return {
        "model": model.name,
        "description": model.description,
        "place": model.place,
        "asked": f"{duration_text(model.ask.before)} before each of {model.ask.source.name}",
        "label": f"{label.name}: {'whether it occurs' if label.occurrence else 'a value'} in {label.source.name}, "
        f"within {duration_text(label.horizon)}",
        "declared_runtime": model.runtime,
        "keys": list(model.keys),
    }


def _features(model: Model) -> dict[str, Any]:
    """What the feature set is made of: a part for each source and entity, the request's fields, and what is derived."""
    one = model.features
    parts = []
    for place, view in enumerate(one.views):
        some = [feature for feature in one if feature.view == place]
        spans = dict.fromkeys(feature.window or feature.max_age for feature in some)
        parts.append({
            "source": view.source.name,
            "entity": view.entity.name,
            "kinds": list(dict.fromkeys(feature.kind for feature in some)),
            "windows": [duration_text(span) for span in spans if span is not None],
            "features": [feature.name for feature in some],
        })  # fmt: skip
    return {
        "feature_set": one.name,
        "hash": one.hash,
        "owner": one.owner,
        "place": one.place,
        "tags": sorted(one.tags),
        "count": len(list(one)),
        "inputs": list(one.vector),
        "on_failure": one.on_failure,
        "parts": parts,
        "requests": [feature.name for feature in one.requests],
        "derived": [feature.name for feature in one if feature.kind == "derived"],
    }


def _source(records: Records, source: EventSource, models: list[dict[str, Any]]) -> dict[str, Any]:
    """A source and its table: how many events, and which of its versions the champions were trained on."""
    trained = {
        one["model"]: champion["tables"][source.name]
        for one in models
        if (champion := one["versions"]["champion"]) is not None and source.name in champion["tables"]
    }
    read = source.read
    return {
        "source": source.name,
        "owner": source.owner,
        "place": source.place,
        "from": "pushes" if read is None else read.__name__ if callable(read) else type(read).__name__,
        "known": f"{duration_text(source.delay)} later" if source.delay else "as its events say",
        "freshness": None if source.freshness is None else duration_text(source.freshness),
        "events": records.events.last_sequence(source.name),
        "trained_on": trained,
    }


def _server(records: Records, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    entry = records.ledger.last(SERVER, STARTED)
    if entry is None:
        return None
    body = dict(entry.body)
    then, now = body["settings"], in_force(settings)
    # Where it listened, and with how many, may have been said on the command line.
    given = {"serving.host", "serving.workers"}
    changed = {
        name: {"then": then.get(name), "now": now.get(name)}
        for name in sorted((then.keys() | now.keys()) - given)
        if then.get(name) != now.get(name)
    }
    return {
        "at": instant_text(entry.at), "by": entry.actor, "entry": entry.id, **body, "changed": changed,
    }  # fmt: skip


def _users(access: Access, model: Model) -> list[dict[str, Any]]:
    """Who may use a model, and with which roles. While the project is open, whoever has the home's token may."""
    return [
        {"principal": name, "roles": sorted({one.role for one in grants if one.feature_set in (None, wanted)})}
        for wanted in [model.features.name]
        for name, grants in sorted(access.grants.items())
        if any(one.feature_set in (None, wanted) for one in grants)
    ]
