"""An entity is what a feature is about: a carrier, an airport, a route, a customer."""

from __future__ import annotations

from collections.abc import Sequence

from backstay.core.errors import DefinitionError
from backstay.definitions.names import check_name
from backstay.definitions.places import declared_at, located


class Entity:
    """One kind of thing that features describe.

    `keys` are the columns of an event, and the keys of a request, that identify one; by default the one column
    named as the entity. A composite key lists several:

    >>> Entity("route", keys=["origin", "dest"]).keys
    ('origin', 'dest')
    """

    __slots__ = ("description", "keys", "name", "place")

    def __init__(self, name: str, keys: str | Sequence[str] = (), *, description: str = "") -> None:
        self.place = declared_at()
        self.name = check_name(name, "entity")
        keys = (keys,) if isinstance(keys, str) else keys
        if not isinstance(keys, Sequence):
            raise DefinitionError(
                f"keys={keys!r} names no columns",
                where=self.where,
                expected="a column or a list of them",
                fix=f"leave keys out if the column is {name!r}, or write for example keys=[{name!r}]",
            )
        self.keys = tuple(check_name(key, "entity key") for key in keys) or (name,)
        self.description = description
        if name == "global":
            raise DefinitionError(
                "'global' is the entity of features without one", where=self.where, fix="leave by= out, or rename it"
            )
        if len(set(self.keys)) < len(self.keys):
            raise DefinitionError(f"a key is named twice: {list(self.keys)}", where=self.where, fix="name each once")

    @property
    def where(self) -> str:
        """The entity with its file and line, as errors name it."""
        return located(f"entity {self.name!r}", self.place)

    def __repr__(self) -> str:
        return f"Entity({self.name!r}, keys={list(self.keys)!r})"


def _everything() -> Entity:
    entity = Entity("everything", description="all there is: a feature of no entity in particular")
    entity.name, entity.keys, entity.place = "global", (), ""
    return entity


GLOBAL = _everything()
"""What a feature without an entity is about; it has no keys."""
