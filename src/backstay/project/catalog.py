"""The catalogue of features: what there is, what it is made of, how fresh it is, whose it is, and who uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from backstay.core.errors import InputError, NotFoundError
from backstay.core.show import Shown
from backstay.core.times import duration_text, instant_text
from backstay.definitions import EventSource, Feature, FeatureSet
from backstay.definitions.lineage import column_tags, lineage
from backstay.definitions.sources import type_name
from backstay.lifecycle.records import Records
from backstay.project.loading import Definitions
from backstay.project.search import Found, Searched, search
from backstay.project.status import project_status


@dataclass(frozen=True, slots=True)
class FeatureSetEntry(Shown):
    """One feature set: its features as plain data, and the sources they rest on with their freshness now.

    place:    file and line of its definition
    versions: the registered versions trained on exactly this set (by its hash); None where they were not asked for
    untagged: by feature and removed tag, the reason
    """

    name: str
    hash: str
    description: str
    owner: str
    tags: list[str]
    place: str
    models: list[str]
    keys: list[str]
    sources: list[dict[str, Any]]
    features: list[dict[str, Any]]
    untagged: dict[str, dict[str, str]]
    versions: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class FeatureEntry(Shown):
    """One feature of a set, with its lineage.

    made_of:  what its definition reads: other features by name, or `source.column`
    columns:  every column of a source (None: of the request) that it comes down to, with the column's own tags
    untagged: the tags removed from it, each with the reason
    """

    name: str
    feature_set: str
    hash: str
    kind: str
    type: str
    source: str | None
    entity: str | None
    window: str | None
    hop: str | None
    max_age: str | None
    default: float | int | bool | str | None
    optional: bool
    in_vector: bool
    expression: str | None
    description: str
    tags: list[str]
    untagged: dict[str, str]
    made_of: list[str]
    columns: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    owner: str
    place: str
    models: list[str]
    versions: list[dict[str, Any]]


class Catalog:
    """The catalogue of a project's definitions: `project.catalog`."""

    def __init__(self, definitions: Definitions, records: Records) -> None:
        self._definitions, self._records = definitions, records
        self._sets = definitions.feature_sets

    def feature_sets(self) -> list[FeatureSetEntry]:
        """Every feature set that a model uses, in order of declaration."""
        return [self._set(one, None) for one in self._sets.values()]

    def show(self, name: str) -> FeatureSetEntry | FeatureEntry:
        """A feature set or a feature, by name; `SET.FEATURE` where several sets have a feature of that name."""
        if name in self._sets:
            return self._set(self._sets[name], self._versions(self._sets[name]))
        holders = [(one, feature) for one in self._sets.values() for feature in one if _named(one, feature, name)]
        if len(holders) == 1:
            return self._feature(*holders[0])
        if holders:
            raise InputError(
                f"several feature sets have a feature {name!r}",
                where="name",
                expected=f"one of {', '.join(f'{one.name}.{name}' for one, _ in holders)}",
            )
        known = [*self._sets, *(feature.name for one in self._sets.values() for feature in one)]
        near = get_close_matches(name.rpartition(".")[2], known, n=3)
        raise NotFoundError(
            f"there is no feature set and no feature {name!r}",
            where="name",
            expected=f"did you mean {' or '.join(near)}?" if near else "a name from: backstay features list",
            fix="backstay features search WORD finds one by what it is about",
        )

    def search(self, words: Sequence[str]) -> Searched:
        """Feature sets and features that have every word in a name, description, tag, owner, column, ..."""
        return search(words, list(self._findable()))

    def _findable(self) -> Iterator[Found]:
        for one in self._sets.values():
            models = self._models(one)
            about = {
                "tag": sorted(one.tags),
                "owner": [one.owner],
                "description": [one.description],
                "source": [source.name for source in one.sources],
                "model": models,
            }
            yield Found(one.name, "feature set", one.name, one.description, one.owner, sorted(one.tags), about)
            for feature in one:
                columns = leaves(one, feature)
                sources = {source.name: source for source, _ in columns if source is not None}.values()
                about = {
                    "tag": sorted(feature.tags),
                    "description": [feature.description],
                    "kind": [feature.kind],
                    "column": [column for _, column in columns],
                    "source": [source.name for source in sources],
                    "owner": [one.owner, *(source.owner for source in sources)],
                    "feature set": [one.name],
                    "model": models,
                    "description of the source": [source.description for source in sources],
                }
                yield Found(
                    feature.name, feature.kind, one.name, feature.description, one.owner, sorted(feature.tags), about
                )

    def _set(self, one: FeatureSet, versions: list[dict[str, Any]] | None) -> FeatureSetEntry:
        return FeatureSetEntry(
            name=one.name,
            hash=one.hash,
            description=one.description,
            owner=one.owner,
            tags=sorted(one.tags),
            place=one.place,
            models=self._models(one),
            keys=list(one.keys),
            sources=self._freshness(one.sources),
            features=[schema(one, feature) for feature in one],
            untagged={feature: dict(reasons) for feature, reasons in one.untagged.items()},
            versions=versions,
        )

    def _feature(self, one: FeatureSet, feature: Feature) -> FeatureEntry:
        columns = leaves(one, feature)
        sources = list({source.name: source for source, _ in columns if source is not None}.values())
        return FeatureEntry(
            **schema(one, feature),
            feature_set=one.name,
            hash=one.hash,
            hop=None if feature.hop is None else duration_text(feature.hop),
            optional=feature.optional,
            expression=_expression(one, feature),
            description=feature.description,
            tags=sorted(feature.tags),
            untagged=dict(one.untagged.get(feature.name, {})),
            made_of=[
                name if source is None else f"{source.name}.{name}" for name, source in lineage(one.views, feature)
            ],
            columns=[_column(source, column) for source, column in columns],
            sources=self._freshness(sources),
            owner=one.owner,
            place=one.place,
            models=self._models(one),
            versions=self._versions(one),
        )

    def _models(self, one: FeatureSet) -> list[str]:
        return [model.name for model in self._definitions.models.values() if model.features is one]

    def _freshness(self, sources: Sequence[EventSource]) -> list[dict[str, Any]]:
        found = project_status(self._records, [], list(sources), as_of=self._records.clock.now()).sources
        about = {one.name: {"owner": one.owner, "place": one.place} for one in sources}
        return [{**row, **about[row["source"]]} for row in found]

    def _versions(self, one: FeatureSet) -> list[dict[str, Any]]:
        out = []
        registry = self._records.registry
        for model in self._models(one):
            champion = registry.alias(model, "champion")
            for version in registry.versions(model):
                trained = version.manifest.feature_set
                if trained.hash == one.hash:
                    out.append(
                        {
                            "model": model,
                            "number": version.number,
                            "champion": champion is not None and champion.to == version.number,
                            "registered": instant_text(version.at),
                            "digest": version.digest,
                            "tags": list(trained.tags),
                            "untagged": trained.untagged,
                        }
                    )
        return out


def schema(one: FeatureSet, feature: Feature) -> dict[str, Any]:
    """What a feature is, as plain data."""
    view = one.views[feature.view] if feature.view >= 0 else None
    return {
        "name": feature.name,
        "kind": feature.kind,
        "type": type_name(feature.dtype),
        "source": None if view is None else view.source.name,
        "entity": None if view is None else view.entity.name,
        "window": None if feature.window is None else duration_text(feature.window),
        "max_age": None if feature.max_age is None else duration_text(feature.max_age),
        "default": feature.default,
        "in_vector": feature.name in one.vector,
    }


def leaves(one: FeatureSet, feature: Feature) -> list[tuple[EventSource | None, str]]:
    """Every column that a feature comes down to, with its source (None: it comes with the request)."""
    if feature.kind == "request":
        return [(None, feature.name)]
    by_name = {other.name: other for other in one}
    out: list[tuple[EventSource | None, str]] = []
    for name, source in lineage(one.views, feature):
        out += [(source, name)] if source is not None else leaves(one, by_name[name])
    return list(dict.fromkeys(out))


def _column(source: EventSource | None, column: str) -> dict[str, Any]:
    tags = [] if source is None else sorted(column_tags(source, column))
    return {"source": None if source is None else source.name, "column": column, "tags": tags}


def _expression(one: FeatureSet, feature: Feature) -> str | None:
    if feature.expression is not None:
        return str(feature.expression)
    return None if feature.column < 0 else str(one.views[feature.view].values[feature.column].expression)


def _named(one: FeatureSet, feature: Feature, name: str) -> bool:
    return name in (feature.name, f"{one.name}.{feature.name}")
