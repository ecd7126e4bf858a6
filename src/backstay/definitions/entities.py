"""An entity is what a feature is about: a carrier, an airport, a route, a customer."""

from __future__ import annotations

from collections.abc import Sequence

from backstay.definitions.names import check_name


class Entity:
    """One kind of thing that features describe.

    `keys` are the columns of an event, and the keys of a request, that identify one; by default the one column
    named as the entity. A composite key lists several:

    >>> Entity("route", keys=["origin", "dest"]).keys
    ('origin', 'dest')
    """

    __slots__ = ("description", "keys", "name")

    def __init__(self, name: str, keys: Sequence[str] = (), *, description: str = "") -> None:
        self.name = check_name(name, "entity")
        self.keys = tuple(check_name(key, "entity key") for key in keys) or (name,)
        self.description = description

    def __repr__(self) -> str:
        return f"Entity({self.name!r}, keys={list(self.keys)!r})"


def _everything() -> Entity:
    entity = Entity("global", description="all there is: a feature of no entity in particular")
    entity.keys = ()
    return entity


GLOBAL = _everything()
"""What a feature without an entity is about; it has no keys."""
