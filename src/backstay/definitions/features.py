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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.identity import digest_of
from backstay.core.times import duration, duration_text
from backstay.definitions.entities import Entity
from backstay.definitions.expressions import as_expression, canonical
from backstay.definitions.names import check_name
from backstay.definitions.sources import EventSource, dtype

SEMANTICS = 1
"""Version of what the engine computes for a definition. A change of any value of any feature raises it."""

Kind = Literal["count", "sum", "mean", "share", "latest", "request", "derived"]


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """What is computed over the events of a window; see `Count`, `Sum`, `Mean`, `Share`."""

    kind: Literal["count", "sum", "mean", "share"]
    value: str | pl.Expr | None = None


def Count() -> Aggregate:  # noqa: N802 - reads as a declaration beside Mean(...)
    """The number of events in the window; 0 when there are none."""
    return Aggregate("count")


def Sum(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The exact sum of the non-null values, rounded once; 0 when there are none."""
    return Aggregate("sum", value)


def Mean(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The exact sum, rounded once, divided by the number of non-null values; null when there are none."""
    return Aggregate("mean", value)


def Share(condition: pl.Expr | str) -> Aggregate:  # noqa: N802
    """The share of events for which the condition holds, of those for which it is known; null when there are none."""
    return Aggregate("share", condition)


class Windowed:
    """Aggregates over the events of one entity in `[T - window, T)`, exact, for several windows at once.

    Features are named `{entity}_{name}_{window}`.
    """

    def __init__(self, source: EventSource, *, by: Entity, over: Sequence[str] | str, **aggregates: Aggregate) -> None:
        where = f"Windowed({source.name}, by={by.name})"
        windows = [over] if isinstance(over, str) else list(over)
        if not windows or not aggregates:
            raise DefinitionError(
                "a window needs at least one duration and one aggregate", where=where, fix='over=["3h"], x=Mean("x")'
            )
        self.source, self.entity, self.aggregates = source, by, aggregates
        self.windows = tuple(duration(window, where=where) for window in windows)
        if min(self.windows) == 0:
            raise DefinitionError("a window of length 0 holds nothing", where=where, expected="a positive duration")
        for name, aggregate in aggregates.items():
            if not isinstance(aggregate, Aggregate):
                raise DefinitionError(
                    f"{name}={aggregate!r} is not an aggregate", where=where, expected="Count(), Sum, Mean or Share"
                )


class Latest:
    """Values of the last visible event of an entity, EXPIRED when it is older than `max_age`.

    `Latest(weather, by=origin, max_age="3h", wind="wind_speed")` makes the feature `origin_wind`.
    """

    def __init__(self, source: EventSource, *, by: Entity, max_age: str | None = None, **values: str | pl.Expr) -> None:
        self.source, self.entity, self.values = source, by, values
        self.max_age = None if max_age is None else duration(max_age, where=f"Latest({source.name}, by={by.name})")


class Request:
    """Inputs that come with the request: name to type. All are required; a value may be null only where `optional`."""

    def __init__(self, *, optional: Sequence[str] = (), **fields: Any) -> None:
        self.fields = {name: dtype(kind, where=f"Request({name})") for name, kind in fields.items()}
        self.optional = frozenset(optional)


class Derived:
    """Row-wise Polars expressions of features declared before, named by keyword."""

    def __init__(self, **expressions: pl.Expr) -> None:
        self.expressions = expressions


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One resolved feature of a set. `column` is its place among its view's value columns (-1: none)."""

    name: str
    kind: Kind
    dtype: pl.DataType
    view: int = -1
    column: int = -1
    window: int | None = None
    max_age: int | None = None
    default: float | int | bool | str | None = None
    expression: pl.Expr | None = None
    optional: bool = False


@dataclass(slots=True, eq=False)
class View:
    """All that a feature set asks of one (source, entity) pair: what online state is kept for."""

    source: EventSource
    entity: Entity
    values: list[pl.Expr] = field(default_factory=list)
    canonical_values: list[Any] = field(default_factory=list)
    longest: int = 0

    def column(self, value: str | pl.Expr, where: str) -> int:
        expression = as_expression(value, where=where)
        form = canonical(expression, where=where)
        if form not in self.canonical_values:
            self._check_numeric(expression, where)
            self.values.append(expression)
            self.canonical_values.append(form)
        return self.canonical_values.index(form)

    def _check_numeric(self, expression: pl.Expr, where: str) -> None:
        empty = pl.DataFrame(schema=self.source.schema)
        try:
            kind = empty.select(value=expression).schema["value"]
        except pl.exceptions.PolarsError as error:
            raise DefinitionError(
                f"the expression does not fit source {self.source.name!r}: {str(error).splitlines()[0]}",
                where=where,
                expected=f"columns of {list(self.source.schema)}",
            ) from None
        if not (kind.is_numeric() or kind == pl.Boolean):
            raise DefinitionError(
                f"the value is of type {kind}",
                where=where,
                expected="a number or a condition",
                fix="encode it as a number",
            )

    @property
    def name(self) -> str:
        return f"{self.source.name}.{self.entity.name}"

    def canonical(self) -> dict[str, Any]:
        keys = list(self.entity.keys)
        return {"source": self.source.canonical(), "keys": keys, "values": self.canonical_values}


class FeatureSet:
    """Named features, resolved and checked when declared; see the module's text for the shape of `blocks`.

    `defaults` gives a feature the value that replaces a missing one, before derived features are computed. The
    feature keeps its status, so that a default in use is seen and counted.
    """

    def __init__(
        self,
        name: str,
        blocks: Sequence[Windowed | Latest | Request | Derived],
        *,
        defaults: Mapping[str, float | int | bool | str] | None = None,
        description: str = "",
        owner: str = "",
    ) -> None:
        self.name = check_name(name, "feature set")
        self.description, self.owner = description, owner
        self.views: list[View] = []
        self.features: list[Feature] = []
        self.derivations: list[dict[str, pl.Expr]] = []
        self._defaults = dict(defaults or {})
        for block in blocks:
            self._add(block)
        unknown = self._defaults.keys() - {feature.name for feature in self.features}
        if unknown:
            raise DefinitionError(
                f"defaults for features that do not exist: {sorted(unknown)}", where=f"feature set {name!r}"
            )
        self.vector = tuple(f.name for f in self.features if f.dtype.is_numeric() or f.dtype == pl.Boolean)
        self.hash = digest_of(self.canonical())

    def _add(self, block: Windowed | Latest | Request | Derived) -> None:
        if isinstance(block, Windowed):
            self._add_windowed(block)
        elif isinstance(block, Latest):
            view, index = self._view(block.source, block.entity)
            for name, value in block.values.items():
                full = f"{block.entity.name}_{name}"
                column = view.column(value, self._where(full))
                self._append(Feature(full, "latest", pl.Float64(), index, column, max_age=block.max_age))
        elif isinstance(block, Request):
            for name, kind in block.fields.items():
                self._append(Feature(name, "request", kind, optional=name in block.optional))
        elif isinstance(block, Derived):
            self._add_derived(block)
        else:
            raise DefinitionError(
                f"{block!r} is not part of a feature set",
                where=f"feature set {self.name!r}",
                expected="Windowed, Latest, Request or Derived",
            )

    def _add_windowed(self, block: Windowed) -> None:
        view, index = self._view(block.source, block.entity)
        for window in block.windows:
            view.longest = max(view.longest, window)
            for name, aggregate in block.aggregates.items():
                full = f"{block.entity.name}_{name}_{duration_text(window)}"
                column = -1 if aggregate.value is None else view.column(aggregate.value, self._where(full))
                kind = pl.Int64() if aggregate.kind == "count" else pl.Float64()
                self._append(Feature(full, aggregate.kind, kind, index, column, window=window))

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
                ) from None
            self._append(Feature(name, "derived", kind, expression=expression))
        self.derivations.append(dict(block.expressions))

    def _view(self, source: EventSource, entity: Entity) -> tuple[View, int]:
        missing = [key for key in entity.keys if key not in source.schema]
        if missing:
            raise DefinitionError(
                f"source {source.name!r} has no column {missing[0]!r}, a key of entity {entity.name!r}",
                where=f"feature set {self.name!r}",
                expected=f"one of {list(source.schema)}",
            )
        for index, view in enumerate(self.views):
            if view.source is source and view.entity is entity:
                return view, index
        self.views.append(View(source, entity))
        return self.views[-1], len(self.views) - 1

    def _append(self, feature: Feature) -> None:
        check_name(feature.name, "feature")
        if any(feature.name == other.name for other in self.features):
            raise DefinitionError(
                f"two features are named {feature.name!r}", where=f"feature set {self.name!r}", fix="rename one"
            )
        if feature.name in self._defaults:
            if feature.kind == "derived":
                raise DefinitionError(
                    f"{feature.name!r} is derived and cannot have a default",
                    where=f"feature set {self.name!r}",
                    fix="use fill_null in its expression",
                )
            value = _typed_default(self._defaults[feature.name], feature, self._where(feature.name))
            feature = Feature(
                **{name: getattr(feature, name) for name in Feature.__slots__ if name != "default"}, default=value
            )
        self.features.append(feature)

    def _where(self, feature: str) -> str:
        return f"feature set {self.name!r}, feature {feature!r}"

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

    def canonical(self) -> dict[str, Any]:
        """Everything that decides a value, in plain data: what `hash` covers."""

        def form(feature: Feature) -> list[Any]:
            expression = None if feature.expression is None else canonical(feature.expression)
            return [
                feature.name, feature.kind, str(feature.dtype), feature.view, feature.column, feature.window,
                feature.max_age, feature.default, expression,
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


def _typed_default(value: Any, feature: Feature, where: str) -> Any:
    fits = {
        "Float64": isinstance(value, (int, float)) and not isinstance(value, bool),
        "Int64": isinstance(value, int) and not isinstance(value, bool),
        "Boolean": isinstance(value, bool),
        "String": isinstance(value, str),
    }.get(str(feature.dtype), False)
    if not fits or value != value:
        raise DefinitionError(
            f"the default {value!r} does not fit", where=where, expected=f"a value of type {feature.dtype}"
        )
    return float(value) if feature.dtype == pl.Float64 else value
