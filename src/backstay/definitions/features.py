"""Features: windowed aggregates, latest values, request-time inputs, and row-wise expressions of these.

A *feature set* is the unit that models name. It is immutable: its `hash` covers the canonical form of everything
that decides a value, and the version of the engine's semantics. The *vector* of a model is every numeric feature of
its set in order of declaration; strings and times are there for derived features to read.

    delays = FeatureSet("delays", [
        Windowed(landings, by=carrier, over="3h", delay=Mean("arr_delay"), late=Share(pl.col("arr_delay") >= 30)),
        Latest(weather, by=origin, max_age="3h", wind="wind_speed"),
        Request(departure="datetime", distance="float"),
        Derived(hour=pl.col("departure").dt.convert_time_zone("America/New_York").dt.hour()),
    ])

makes carrier_delay_3h, carrier_late_3h, origin_wind, distance, hour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal, get_args

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.identity import digest_of
from backstay.core.times import duration_text
from backstay.definitions.aggregates import ANY_TYPE, COUNTS
from backstay.definitions.blocks import Derived, Latest, Request, Windowed
from backstay.definitions.entities import Entity
from backstay.definitions.expressions import canonical
from backstay.definitions.feature import Feature
from backstay.definitions.lineage import inherited
from backstay.definitions.names import check_name
from backstay.definitions.places import declared_at, located
from backstay.definitions.sources import EventSource, type_name
from backstay.definitions.tags import Tags, Untag, checked_tags, checked_untag
from backstay.definitions.views import View

SEMANTICS = 5
"""Version of what the engine computes for a definition. A change of any value of any feature raises it."""

OnFailure = Literal["fail", "last_known", "defaults"]
Block = Windowed | Latest | Request | Derived


class FeatureSet:
    """Named features, resolved and checked when declared; see the module's text for the shape of `blocks`.

    defaults:     gives a feature the value that replaces a missing one, before derived features are computed. The
                  feature keeps its status, so that a default in use is seen and counted.
    on_failure:   what a server does while its online state is down or too slow. "fail": it answers 503.
                  "last_known": from what it read before, at the request's T; 503 for an entity that it has not read.
                  "defaults": the declared defaults, and null where there is none. Statuses say so. It decides no value
                  otherwise, and `hash` does not cover it.
    descriptions: what a feature means, for people, by feature.
    tags:         such as "pii": of the whole set, or by feature. Features inherit the tags of what they are made of.
    untag:        removes an inherited tag, by feature and tag, with the reason: `{"age_band": {"pii": "ten bands"}}`.
                  The removal is recorded with every version that is trained on the set.
    """

    def __init__(
        self,
        name: str,
        blocks: Sequence[Block],
        *,
        defaults: Mapping[str, float | int | bool | str] | None = None,
        on_failure: OnFailure = "fail",
        description: str = "",
        owner: str = "",
        descriptions: Mapping[str, str] | None = None,
        tags: Tags = (),
        untag: Untag | None = None,
    ) -> None:
        self.place = self._place = declared_at()
        self.name = check_name(name, "feature set")
        self.description, self.owner = description, owner
        self.on_failure = on_failure
        self.views: list[View] = []
        self.features: list[Feature] = []
        self.derivations: list[dict[str, pl.Expr]] = []
        _check_mappings(self.where, defaults=defaults, descriptions=descriptions, untag=untag)
        self._defaults = dict(defaults or {})
        if on_failure not in get_args(OnFailure):
            raise DefinitionError(
                f"on_failure is {on_failure!r}", where=self.where, expected=f"one of {', '.join(get_args(OnFailure))}"
            )
        if not isinstance(blocks, (list, tuple)) or not blocks:
            raise DefinitionError(
                "a feature set needs a list of at least one block",
                where=self.where,
                expected="Windowed, Latest, Request or Derived",
                fix=f'write FeatureSet("{self.name}", [Latest(...), ...])',
            )
        for block in blocks:
            self._add(block)
        self._place = self.place
        tags, self.untagged = checked_tags(tags, self.where), checked_untag(untag or {}, self.where)
        self._check_names(
            defaults=self._defaults,
            descriptions=descriptions or {},
            tags=tags if isinstance(tags, Mapping) else {},
            untag=self.untagged,
        )
        found = inherited(self.views, self.features, tags, self.untagged, self.where)
        self.features = [
            replace(one, description=(descriptions or {}).get(one.name, ""), tags=found[one.name])
            for one in self.features
        ]
        self.vector = tuple(f.name for f in self.features if f.dtype.is_numeric() or f.dtype == pl.Boolean)
        self.hash = digest_of(self.canonical())

    def _check_names(self, **given: Mapping[str, Any]) -> None:
        """What is given by feature is of features that there are."""
        names = {feature.name for feature in self.features}
        for what, by_feature in given.items():
            if unknown := sorted(by_feature.keys() - names):
                near = get_close_matches(unknown[0], names, n=3) or sorted(names)
                raise DefinitionError(
                    f"{what} for features that do not exist: {unknown}",
                    where=self.where,
                    expected="names as the features have them, with entity and window",
                    fix=f"did you mean {' or '.join(near)}?",
                )

    def _add(self, block: Block) -> None:
        self._place = getattr(block, "place", self.place)
        if isinstance(block, Windowed):
            self._add_windowed(block)
        elif isinstance(block, Latest):
            view, index = self._view(block.source, block.entity)
            for name, value in block.values.items():
                full = f"{block.entity.name}_{name}"
                column = view.column(value, self._where(full), any_type=True)
                self._append(Feature(full, "latest", view.values[column].dtype, index, column, max_age=block.max_age))
        elif isinstance(block, Request):
            for name, kind in block.fields.items():
                self._append(Feature(name, "request", kind, optional=name in block.optional))
        elif isinstance(block, Derived):
            self._add_derived(block)
        else:
            raise DefinitionError(
                f"{block!r} is not part of a feature set",
                where=self.where,
                expected="Windowed, Latest, Request or Derived",
                fix="write one of these",
            )

    def _add_windowed(self, block: Windowed) -> None:
        view, index = self._view(block.source, block.entity)
        hop = "" if block.hop is None else f"_hop_{duration_text(block.hop)}"
        for window in block.windows:
            view.longest = max(view.longest, window + (block.hop or 0))
            for name, aggregate in block.aggregates.items():
                full = f"{block.entity.name}_{name}_{duration_text(window)}{hop}"
                column, kind = -1, pl.DataType()
                if aggregate.value is not None:
                    any_type = aggregate.kind in ANY_TYPE
                    condition = aggregate.kind == "share"
                    column = view.column(aggregate.value, self._where(full), any_type=any_type, condition=condition)
                    kind = view.values[column].dtype if aggregate.kind in ("first", "last") else pl.Float64()
                if aggregate.kind in COUNTS:
                    kind = pl.Int64()
                self._append(Feature(full, aggregate.kind, kind, index, column, window=window, hop=block.hop))

    def _add_derived(self, block: Derived) -> None:
        frame = pl.DataFrame(schema={feature.name: feature.dtype for feature in self.features})
        for name, expression in block.expressions.items():
            canonical(expression, where=self._where(name))
            try:
                kind = frame.select(value=expression).schema["value"]
            except pl.exceptions.PolarsError as error:
                raise DefinitionError(
                    f"the expression cannot be computed: {str(error).splitlines()[0]}",
                    where=self._where(name),
                    expected="an expression of features declared before this Derived block",
                    fix=f"name some of {frame.columns}; what reads a derived feature goes into a later Derived block",
                ) from None
            self._append(Feature(name, "derived", kind, expression=expression))
        self.derivations.append(dict(block.expressions))

    def _view(self, source: EventSource, entity: Entity) -> tuple[View, int]:
        for key in entity.keys:
            if key not in source.schema:
                raise DefinitionError(
                    f"source {source.name!r} has no column {key!r}, a key of entity {entity.name!r}",
                    where=located(f"feature set {self.name!r}", self._place),
                    expected=f"one of {list(source.schema)}",
                    fix=f"add it to the source's schema, or name the keys: Entity({entity.name!r}, keys=[...])",
                )
            self._check_key(source, entity, key)
        for index, view in enumerate(self.views):
            if view.source is source and view.entity is entity:
                return view, index
        self.views.append(View(source, entity))
        return self.views[-1], len(self.views) - 1

    def _check_key(self, source: EventSource, entity: Entity, key: str) -> None:
        kind = source.schema[key]
        where = located(f"feature set {self.name!r}", self._place)
        if kind.is_float():
            raise DefinitionError(
                f"key {key!r} of entity {entity.name!r} is a float in source {source.name!r}",
                where=where,
                expected="a string, int, bool or datetime",
                fix="cast it: equal floats may be written differently",
            )
        for view in self.views:
            other = view.source.schema[key] if key in view.entity.keys else kind
            if other != kind:
                raise DefinitionError(
                    f"key {key!r} is {kind} in source {source.name!r} and {other} in source {view.source.name!r}",
                    where=where,
                    expected="one type for one key",
                    fix="give the column the same type in both sources",
                )

    def _append(self, feature: Feature) -> None:
        check_name(feature.name, "feature", where=self._where(feature.name))
        if any(feature.name == other.name for other in self.features):
            raise DefinitionError(
                f"two features are named {feature.name!r}", where=self._where(feature.name), fix="rename one"
            )
        if feature.name in self._defaults:
            if feature.kind == "derived":
                raise DefinitionError(
                    f"{feature.name!r} is derived and cannot have a default",
                    where=self.where,
                    fix="use fill_null in its expression",
                )
            value = _typed_default(self._defaults[feature.name], feature, self._where(feature.name))
            feature = replace(feature, default=value)
        self.features.append(feature)

    def _where(self, feature: str) -> str:
        return located(f"feature set {self.name!r}, feature {feature!r}", self._place)

    @property
    def where(self) -> str:
        """The set with its file and line, as errors name it."""
        return located(f"feature set {self.name!r}", self.place)

    @property
    def requests(self) -> list[Feature]:
        """The request-time inputs."""
        return [feature for feature in self.features if feature.kind == "request"]

    @property
    def keys(self) -> tuple[str, ...]:
        """The entity keys that a request must carry, in order of first use."""
        return tuple(dict.fromkeys(key for view in self.views for key in view.entity.keys))

    @property
    def sources(self) -> list[EventSource]:
        return list({view.source.name: view.source for view in self.views}.values())

    @property
    def tags(self) -> frozenset[str]:
        """Every tag that one of the features carries: what a training set or model made of them inherits."""
        return frozenset(tag for feature in self.features for tag in feature.tags)

    def canonical(self) -> dict[str, Any]:
        """Everything that decides a value, in plain data: what `hash` covers."""

        def form(feature: Feature) -> list[Any]:
            expression = None if feature.expression is None else canonical(feature.expression)
            return [
                feature.name, feature.kind, str(feature.dtype), feature.view, feature.column, feature.window,
                feature.hop, feature.max_age, feature.default, expression,
            ]  # fmt: skip

        return {
            "semantics": SEMANTICS,
            "views": [view.canonical() for view in self.views],
            "features": [form(feature) for feature in self.features],
            "blocks": [list(block) for block in self.derivations],
        }

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        return f"FeatureSet({self.name!r}, {len(self)} features, hash={self.hash[:12]})"


def _check_mappings(where: str, **given: Any) -> None:
    """What is given by feature is a mapping."""
    for what, by_feature in given.items():
        if by_feature is not None and not isinstance(by_feature, Mapping):
            raise DefinitionError(
                f"{what} is a {type(by_feature).__name__}",
                where=where,
                expected="a mapping by feature",
                fix=f'write for example {what}={{"amount": ...}}',
            )


def _typed_default(value: Any, feature: Feature, where: str) -> Any:
    fits = {
        "Float64": isinstance(value, (int, float)) and not isinstance(value, bool),
        "Int64": isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
        "Boolean": isinstance(value, bool),
        "String": isinstance(value, str),
    }.get(str(feature.dtype), False)
    if not fits or not _finite(value):
        kind = type_name(feature.dtype)
        if kind == "datetime":
            raise DefinitionError(
                "a time has no default", where=where, expected="a default of a number, a condition or a text",
                fix="use fill_null in a Derived",
            )  # fmt: skip
        raise DefinitionError(
            f"the default {value!r} does not fit",
            where=where,
            expected=f"a finite {kind}" if fits else f"a value of type {kind}{', 64 bits' * (kind == 'int')}",
            fix="write the default in that type",
        )
    return float(value) if feature.dtype == pl.Float64 else value


def _finite(value: Any) -> bool:
    """Whether a number is one that a float can be; all else is."""
    try:
        return not isinstance(value, (int, float)) or math.isfinite(value)
    except OverflowError:
        return False
