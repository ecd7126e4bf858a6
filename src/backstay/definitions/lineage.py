"""What a feature is made of, down to source columns, and the tags that it inherits from all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backstay.core.errors import DefinitionError
from backstay.definitions.feature import Feature
from backstay.definitions.sources import EventSource
from backstay.definitions.tags import Tags, Untag
from backstay.definitions.views import View

CALLER = "the caller"
"""The origin of what comes with the request itself."""


def column_tags(source: EventSource, column: str) -> frozenset[str]:
    """The tags of one column of a source, with those of the source as a whole."""
    tags = source.tags
    return frozenset(tags.get(column, ()) if isinstance(tags, Mapping) else tags)


def inherited(
    views: Sequence[View], features: Sequence[Feature], own: Tags, untag: Untag, where: str
) -> dict[str, frozenset[str]]:
    """The tags of each feature, in the order of declaration: derived features come after what they read."""
    out: dict[str, frozenset[str]] = {}
    for feature in features:
        tags = frozenset(own.get(feature.name, ()) if isinstance(own, Mapping) else own)
        for name, source in lineage(views, feature):
            tags |= out[name] if source is None else column_tags(source, name)
        removed = frozenset(untag.get(feature.name, {}))
        if removed - tags:
            raise DefinitionError(
                f"feature {feature.name!r} does not carry the tag {min(removed - tags)!r} that is removed",
                where=where,
                expected=f"one of {sorted(tags)}" if tags else "a tag that it inherits",
                fix="remove it from untag",
            )
        out[feature.name] = tags - removed
    return out


def lineage(views: Sequence[View], feature: Feature) -> list[tuple[str, EventSource | None]]:
    """What a feature is made of: columns of a source (with the source), or other features (with None)."""
    if feature.expression is not None:
        return [(name, None) for name in dict.fromkeys(feature.expression.meta.root_names())]
    if feature.view < 0:
        return []
    view = views[feature.view]
    read = [] if feature.column < 0 else view.values[feature.column].expression.meta.root_names()
    return [(name, view.source) for name in dict.fromkeys([*view.entity.keys, *read])]


def origins(views: Sequence[View], features: Sequence[Feature]) -> dict[str, frozenset[str]]:
    """The sources that each feature is made of in the end; `CALLER` for what a request brings.

    In the order of declaration: derived features come after what they read.
    """
    out: dict[str, frozenset[str]] = {}
    for feature in features:
        found: set[str] = set() if feature.view >= 0 or feature.expression is not None else {CALLER}
        for name, source in lineage(views, feature):
            found |= out[name] if source is None else {source.name}
        out[feature.name] = frozenset(found)
    return out
