"""A route is a ledger entry of a model: which versions share its requests with the champion, and which shadow it.

An entity always falls into the same of 10,000 buckets, by a salted hash of its keys. Each share holds buckets; whatever
nobody holds is the champion's. A share that grows keeps those it has and takes free ones, one that shrinks gives back
its last ones, and other shares stay as they are: so an entity changes its version only where that is what was asked.

A part named "baseline" is a cohort of the champion: answered by it, but told apart from its other requests, so that a
new version is compared with as many entities, drawn the same way, over the same time.

    routing = Routing(ledger, registry)
    routing.set(model, [Part("v7", 7, digest, 500), Part("v8", 8, digest, 10_000, shadow=True)], ...)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from backstay.core.errors import InputError, NotFoundError
from backstay.core.show import Shown
from backstay.definitions.exploration import Explore
from backstay.definitions.rollout import Breakers
from backstay.registry.versions import AliasMove, Registry
from backstay.storage.chain import check_entry
from backstay.storage.ports import Entry, Ledger

ROUTE = "route"
"""The ledger's kind of entry; its subject is the model."""
BUCKETS = 10_000
BASELINE = "baseline"
"""The name of the part that is a cohort of the champion."""

Span = tuple[int, int]
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Part(Shown):
    """What one version gets of a model's requests.

    name:    how the route calls it: "v7", or the alias that pointed at the version when the route was set; "baseline":
             a cohort of the champion, whose version and digest it has. Once another version is champion it is nothing
             any more: servers give its entities to the champion, as if it were not there
    buckets: how many of the 10,000
    spans:   which ones, as [begin, end); a shadow's are the entities whose requests it sees
    shadow:  whether it is only shown them, and answers nobody
    """

    name: str
    version: int
    digest: str
    buckets: int
    shadow: bool = False
    spans: tuple[Span, ...] = ()

    @property
    def share(self) -> float:
        return self.buckets / BUCKETS

    @property
    def baseline(self) -> bool:
        """Whether it is a cohort of the champion."""
        return self.name == BASELINE and not self.shadow

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "version": self.version, "digest": self.digest, "share": self.share,
            "shadow": self.shadow,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RouteEntry(Shown):
    """The route of a model as it was last set: who, when, why. `entry_id` is what the next one must have seen.

    key:      the keys that entities are told apart by; salt: what their hash is salted with
    breakers: when a server cuts a share by itself; None: as by default
    cut:      where it is such a cut: {"version": digest, "number": n, "reason": text, "evidence": {...}}, with
              "shadow": true where it was a shadow; else None
    explore:  of which entities decisions are turned over by lot; None: of nobody
    """

    model: str
    parts: tuple[Part, ...]
    key: tuple[str, ...]
    salt: str
    why: str
    at: int
    actor: str
    entry_id: int
    breakers: Breakers | None = None
    cut: Mapping[str, Any] | None = None
    explore: Explore | None = None

    @property
    def champion(self) -> float:
        """The share that is left for the champion, beside its baseline."""
        return 1 - sum(part.buckets for part in self.parts if not part.shadow) / BUCKETS

    def cohort(self, keys: Mapping[str, Any]) -> str:
        """The name of the part in whose share an entity is; "" if in none: it is the champion's.

        Only by its keys: what was assigned by a request's id, or at random, is in none. Whoever answers for the part is
        in it (the champion, for a version that failed), and a baseline is named though its champion was replaced.
        """
        values = [keys.get(name) for name in self.key]
        if all(value is None for value in values):
            return ""
        number = bucket(self.salt.encode(), values)
        shares = (part for part in self.parts if not part.shadow)
        return next((one.name for one in shares if any(begin <= number < end for begin, end in one.spans)), "")


class Routing:
    """Sets and reads routes; any number of processes may use the same ledger."""

    def __init__(self, ledger: Ledger, registry: Registry) -> None:
        self._ledger, self._registry = ledger, registry

    def get(self, model: str) -> RouteEntry | None:
        """The route of a model; None if it was never set."""
        entry = self._ledger.last(ROUTE, model)
        return None if entry is None else _route(entry)

    def set(
        self, model: str, parts: Sequence[Part], *, key: Sequence[str], why: str, at: int, actor: str,
        reshuffle: bool = False, expect: int | None = None, breakers: Breakers | None = None,
        cut: Mapping[str, Any] | None = None, explore: Explore | Literal["as before"] | None = "as before",
    ) -> RouteEntry:  # fmt: skip
        """Set a model's route by compare-and-swap: `ConflictError` if another was set meanwhile.

        reshuffle: draw a new salt, so that entities are assigned anew, independently of the assignment before
        expect:    the `entry_id` that was seen; by default the last one's
        breakers:  when a server cuts a share by itself; None: as by default
        cut:       for servers: whose share was cut, why, and on which evidence; see `RouteEntry.cut`
        explore:   whose decisions are turned over by lot; by default as before, whatever the shares are
        """
        if not why:
            raise InputError("a route is set without a reason", where="why", expected="a sentence for the ledger")
        before = self.get(model)
        _check(model, parts)
        kept = before is not None and not reshuffle and before.key == tuple(key)
        salt = before.salt if before is not None and kept else _drawn_salt(model, before, at)
        spread = allocate(parts, before.parts if before is not None and kept else ())
        body = {
            "parts": [
                {
                    "name": one.name, "version": one.version, "manifest": one.digest, "shadow": one.shadow,
                    "spans": [list(span) for span in one.spans],
                }
                for one in spread
            ],
            "key": list(key), "salt": salt, "why": why, "previous": None if before is None else before.entry_id,
        }  # fmt: skip
        if breakers is not None:
            body["breakers"] = asdict(breakers)
        if cut is not None:
            body["cut"] = dict(cut)
        if explore == "as before":
            explore = None if before is None else before.explore
        if explore is not None:
            body["explore"] = asdict(explore)
        seen = (0 if before is None else before.entry_id) if expect is None else expect
        return _route(self._ledger.append(ROUTE, model, body, at=at, actor=actor, expect=seen))

    def seen(self, entry: int) -> RouteEntry | None:
        """The route that was set by this entry of the ledger; None if it is none of a route."""
        found = self._ledger.entries(kind=ROUTE, after=entry - 1)
        return _route(found[0]) if found and found[0].id == entry else None

    def before(self, model: str) -> int | None:
        """The version that was champion before, to which a rollback goes; None if there is none.

        Rolling back twice goes back twice: a rollback is itself nothing to go back from.
        """
        past: list[int] = []
        for move in self._registry.history(model, "champion"):
            if move.evidence.get("rollback") and len(past) > 1 and past[-2] == move.to:
                past.pop()
            else:
                past.append(move.to)
        return past[-2] if len(past) > 1 else None

    def rollback(self, model: str, *, why: str, at: int, actor: str) -> AliasMove:
        """Make the version before champion again, by compare-and-swap; no gate is asked."""
        move, to = self._registry.alias(model, "champion"), self.before(model)
        if move is None or to is None:
            raise NotFoundError(
                f"model {model!r} has no champion before this one", where=f"model {model!r}",
                fix=f"backstay promote NUMBER --model {model}",
            )  # fmt: skip
        evidence = {"rollback": True, "from": move.to, "reason": why}
        return self._registry.move_alias(
            model, "champion", to, evidence=evidence, at=at, actor=actor, expect=move.entry_id
        )


def bucket(salt: bytes, values: Sequence[Any]) -> int:
    """Which of the 10,000 buckets an entity with these values of its keys falls into."""
    return drawn(salt, values) % BUCKETS


def drawn(salt: bytes, values: Sequence[Any]) -> int:
    """The number of 64 bits that is drawn for an entity with these values of its keys."""
    return int.from_bytes(blake2b(_encode(values), digest_size=8, key=salt[:64]).digest(), "little")


def _drawn_salt(model: str, before: RouteEntry | None, at: int) -> str:
    """A salt of its own for each entry of the ledger, and the same where the same history is replayed."""
    return blake2b(_encode([model, 0 if before is None else before.entry_id, at]), digest_size=8).hexdigest()


def allocate(parts: Sequence[Part], before: Sequence[Part]) -> list[Part]:
    """The parts with their buckets. Those that stay keep theirs; growth takes the lowest free ones.

    >>> one = allocate([Part("v2", 2, "d", 100)], [])
    >>> one[0].spans, allocate([Part("v2", 2, "d", 500)], one)[0].spans
    (((0, 100),), ((0, 500),))
    """
    had = {_holder(one): [*_numbers(one.spans)] for one in before if not one.shadow}
    held = {_holder(one): had.get(_holder(one), [])[: one.buckets] for one in parts if not one.shadow}
    taken = {number for numbers in held.values() for number in numbers}
    free = iter([number for number in range(BUCKETS) if number not in taken])
    out = []
    for one in parts:
        mine = list(range(one.buckets)) if one.shadow else held[_holder(one)]
        # In the order in which they were taken, so that shrinking gives back what was taken last.
        mine += [next(free) for _ in range(one.buckets - len(mine))]
        out.append(Part(one.name, one.version, one.digest, one.buckets, one.shadow, tuple(_spans(mine))))
    return out


def _holder(part: Part) -> tuple[str, str]:
    """Who keeps buckets from route to route: a version, and the baseline, whichever version is champion."""
    return ("", BASELINE) if part.baseline else (part.digest, "")


def _numbers(spans: Sequence[Span]) -> list[int]:
    return [number for begin, end in spans for number in range(begin, end)]


def _spans(numbers: Sequence[int]) -> list[Span]:
    out: list[Span] = []
    for number in numbers:
        if out and out[-1][1] == number:
            out[-1] = (out[-1][0], number + 1)
        else:
            out.append((number, number + 1))
    return out


def _check(model: str, parts: Sequence[Part]) -> None:
    where = f"route of model {model!r}"
    for one in parts:
        if not 1 <= one.buckets <= BUCKETS:
            raise InputError(
                f"the share of {one.name} is {100 * one.share:.6g}%", where=where, expected="from 0.01% to 100%"
            )
        if one.name == BASELINE and one.shadow:
            raise InputError("the baseline is a shadow", where=where, expected="a share, which the champion answers")
    for shadow in (False, True):
        holders = [_holder(one) for one in parts if one.shadow is shadow]
        if len(set(holders)) < len(holders):
            raise InputError("a version stands in it twice", where=where, expected="each version, and baseline, once")
    total = sum(one.buckets for one in parts if not one.shadow)
    if total > BUCKETS:
        raise InputError(f"the shares come to {total / BUCKETS:.2%}", where=where, expected="at most 100% together")


def _route(entry: Entry) -> RouteEntry:
    check_entry(entry, (entry.id - 1, entry.previous))
    body: Mapping[str, Any] = entry.body
    parts, explore = [], body.get("explore")
    for one in body["parts"]:
        spans = tuple((begin, end) for begin, end in one["spans"])
        buckets = sum(end - begin for begin, end in spans)
        parts.append(Part(one["name"], one["version"], one["manifest"], buckets, one["shadow"], spans))
    return RouteEntry(
        entry.subject, tuple(parts), tuple(body["key"]), body["salt"], body["why"], entry.at, entry.actor, entry.id,
        _breakers(body.get("breakers")), body.get("cut"), None if explore is None else Explore(**explore),
    )  # fmt: skip


def _breakers(bounds: Mapping[str, Any] | None) -> Breakers | None:
    """As an entry holds them; a bound that is not known any more is left out, one that is new is as by default."""
    known = {one.name for one in fields(Breakers)}
    return None if bounds is None else Breakers(**{name: bounds[name] for name in bounds.keys() & known})
