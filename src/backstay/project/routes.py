"""The routes of a project: `project.routes`. Which versions share a model's requests with its champion; rollback."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from numbers import Real

from backstay.core.errors import InputError, NotFoundError, RefusedError
from backstay.definitions import Breakers, Model
from backstay.definitions.exploration import Explore
from backstay.lifecycle.approval import approved
from backstay.lifecycle.ends import blameless
from backstay.lifecycle.records import Records
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.registry.routing import BASELINE, BUCKETS, Part, RouteEntry, Routing
from backstay.registry.versions import AliasMove, ModelVersion

_VERSION = re.compile(r"v?([1-9][0-9]*)")


class Routes:
    """Sets and shows routes, and rolls back. Servers look for them ten times a second.

    project.routes.set({"v7": 0.05}, shadow=["v8"], why="is v7 as good on live traffic?")
    project.routes.set({"v7": 0.25, "baseline": 0.25}, shadow=["v8"], why="no harm at 5%")
    project.routes.rollback(why="complaints from the desk")
    """

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits
        self._routing = Routing(records.ledger, records.registry)

    def show(self, model: str | None = None) -> RouteEntry | None:
        """The route of a model as it was last set; None if it never was."""
        return self._routing.get(self._definitions.model(model).name)

    def set(
        self,
        shares: Mapping[str, float],
        model: str | None = None,
        *,
        shadow: Mapping[str, float] | Sequence[str] = (),
        key: Sequence[str] | None = None,
        why: str,
        reshuffle: bool = False,
    ) -> RouteEntry:
        """Set a model's route, whole: what is not named any more gets nothing.

        shares:    version ("v7"), or an alias, to its share, above 0 and at most 1; the rest is the champion's. An
                   alias is resolved now: a share does not change its version because an alias moves. "baseline" is a
                   cohort of the champion, told apart from its other requests.
        shadow:    versions, or aliases, that are shown requests and answer nobody; as a mapping, of which share
        key:       the keys that entities are told apart by; by default those of the route before, else all of the model
        reshuffle: assign entities anew, for an experiment that is independent of the one before

        Servers cut a share by themselves by the model's `rollout.breakers`, or the defaults.

        Raises `InputError` for a version of another feature set, or shares that are none; `RefusedError` for a share of
        a version that was stopped in its rollout for what it did; `ConflictError` if somebody else set the route
        meanwhile.
        """
        one = self._definitions.model(model)
        self._permits.model(one, "route requests of", "promote")
        before = self._routing.get(one.name)
        known = one.keys if before is None else before.key
        chosen = tuple(known if key is None else key)
        if not chosen or not set(chosen) <= set(one.keys):
            raise InputError(
                f"the route's key is {', '.join(chosen) or 'empty'}", where=f"route of model {one.name!r}",
                expected=f"of {', '.join(one.keys)}",
            )  # fmt: skip
        shown = shadow if isinstance(shadow, Mapping) else dict.fromkeys(shadow, 1.0)
        parts = [self._part(one, name, share, False) for name, share in shares.items()]
        parts += [self._part(one, name, share, True) for name, share in shown.items()]
        return self._routing.set(
            one.name, parts, key=chosen, why=why, at=self._records.clock.now(), actor=self._records.actor,
            reshuffle=reshuffle, breakers=Breakers() if one.rollout is None else one.rollout.breakers,
        )  # fmt: skip

    def clear(self, model: str | None = None, *, why: str) -> RouteEntry:
        """Give every request to the champion again, with no shadows."""
        return self.set({}, model, why=why)

    def explore(
        self, share: float, model: str | None = None, *, flip: float = 0.5, key: Sequence[str] | None = None, why: str,
        high_stakes: bool = False,
    ) -> RouteEntry:  # fmt: skip
        """Turn decisions over by lot, for a small share of entities, so that other thresholds can be judged later.

        It goes on, whatever shares are set, until it is ended with the share 0. The shares stay as they are.

        flip:        with which probability each decision about such an entity is turned over
        key:         the keys that entities are told apart by; by default those of the route before
        high_stakes: of a model whose stakes are high: that this is meant

        Raises `RefusedError` for a model of high stakes without that, and while a version is being rolled out.
        """
        one = self._definitions.model(model)
        self._permits.model(one, "explore decisions of", "promote")
        where, explore = f"route of model {one.name!r}", Explore(share, flip) if share else None
        if explore is not None and one.stakes == "high" and not high_stakes:
            raise RefusedError(
                f"the stakes of model {one.name!r} are high, and decisions about people would be turned over by lot",
                where=where, expected="that this is meant", fix="say so: --high-stakes",
            )  # fmt: skip
        rollout = self._records.ledger.last("rollout", one.name)
        if rollout is not None and rollout.body["stage"] not in ("promoted", "rolled_back", "refused"):
            what = f"version {rollout.body['number']} is being rolled out"
            raise RefusedError(what, where=where, expected="a route that nothing else is setting", fix="wait for it")
        before = self._routing.get(one.name)
        chosen = tuple(key or (one.keys if before is None else before.key))
        if not set(chosen) <= set(one.keys):
            found = f"the route's key is {', '.join(chosen)}"
            raise InputError(found, where=where, expected=f"of {', '.join(one.keys)}")
        if before is not None and chosen != before.key and any(not part.shadow for part in before.parts):
            found = f"{', '.join(before.key)} tells apart who is in which share"
            raise RefusedError(
                found, where=where, expected="the same key, while there are shares", fix="leave --key out"
            )
        parts, breakers = ((), None) if before is None else (before.parts, before.breakers)
        return self._routing.set(
            one.name, parts, key=chosen, why=why, at=self._records.clock.now(), actor=self._records.actor,
            breakers=breakers, explore=explore,
        )  # fmt: skip

    def rollback(self, model: str | None = None, *, why: str) -> AliasMove:
        """Make the champion before this one champion again; rolling back twice goes back twice. No gate is asked."""
        one = self._definitions.model(model)
        self._permits.model(one, "roll back", "promote")
        records = self._records
        return self._routing.rollback(one.name, why=why, at=records.clock.now(), actor=records.actor)

    def _part(self, model: Model, name: str, share: float, shadow: bool) -> Part:
        version = self._version(model, "champion" if name == BASELINE and not shadow else name)
        if version.manifest.feature_set.hash != model.features.hash:
            raise InputError(
                f"version {version.number} was trained on another definition of {model.features.name!r}",
                where=f"route of model {model.name!r}", expected="a version that a server can compute",
                fix="train a new version",
            )  # fmt: skip
        # A bool is a number to Python: True would be all of the requests.
        number = isinstance(share, Real) and not isinstance(share, bool)
        if not number or not 0 < share <= 1:
            told = f"{share:g}" if number else repr(share)
            raise InputError(
                f"the share of {name} is {told}", where=f"route of model {model.name!r}",
                expected="a number above 0 and at most 1 (100%)", fix="say 0.05 for 5%",
            )  # fmt: skip
        if not shadow and name != BASELINE:
            approved(self._records, model, version)
            blameless(self._records, version, f"route of model {model.name!r}")
        name = f"v{version.number}" if _VERSION.fullmatch(name) else name
        return Part(name, version.number, version.digest, max(1, round(share * BUCKETS)), shadow)

    def _version(self, model: Model, name: str) -> ModelVersion:
        registry, number = self._records.registry, _VERSION.fullmatch(name)
        if number is not None:
            return registry.get(model.name, int(number[1]))
        move = registry.alias(model.name, name)
        if move is None:
            raise NotFoundError(
                f"model {model.name!r} has no alias {name!r}", where=f"route of model {model.name!r}",
                expected="v and a version's number, or an alias", fix=f"backstay versions --model {model.name}",
            )  # fmt: skip
        return registry.get(model.name, move.to)
