"""The lot of exploration: which decisions are turned over, and with which probability each came about.

It is drawn by hashes of the route's salt, the entity and T: a replay draws the same again, and anybody who has the
record can do so too. Rows that say nothing of their entity are not explored, whatever their score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.definitions.exploration import Explore
from backstay.registry.routing import drawn

_ALL = float(1 << 64)


class Explorer:
    """Draws for one route.

    >>> explorer = Explorer(Explore(1.0, flip=0.25), ["customer"], "salt")
    >>> turned = [explorer.turns({"customer": "ann"}, at) for at in range(1_000)]
    >>> turned.count(True), turned == [explorer.turns({"customer": "ann"}, at) for at in range(1_000)]
    (246, True)
    >>> explorer.turns({"customer": None}, 0), explorer.chance(turned[0])
    (None, 0.25)
    """

    def __init__(self, explore: Explore, key: Sequence[str], salt: str) -> None:
        self.rare, self.usual = explore.rare, 1.0 - explore.rare
        self._key, self._slice, self._turn = tuple(key), f"explore {salt}".encode(), f"turn {salt}".encode()
        self._share, self._flip = explore.share * _ALL, explore.flip * _ALL

    def turns(self, keys: Mapping[str, Any], at: int) -> bool | None:
        """Whether the decision about an entity at T is turned over; None if its keys say nothing of the entity."""
        values = [keys.get(name) for name in self._key]
        if all(value is None for value in values):
            return None
        return drawn(self._slice, values) < self._share and drawn(self._turn, [*values, at]) < self._flip

    def chance(self, turned: bool | None) -> float:
        """The probability, given the score, with which the decision came about."""
        return 1.0 if turned is None else self.rare if turned else self.usual

    def explore(self, rows: Sequence[tuple[Any, ...]], decided: list[bool], begin: int) -> list[float]:
        """The chances of these rows, (T, keys, ...) each; `decided` is changed, from `begin` on."""
        turned = [self.turns(row[1], row[0]) for row in rows]
        for place, one in enumerate(turned, begin):
            if one:
                decided[place] = not decided[place]
        return [self.chance(one) for one in turned]
