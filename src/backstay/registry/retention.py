"""Retention: files that nothing needs any more are removed, and nothing that is referenced ever is.

A version is never deleted: its entry and its manifest stay. It can be *retired*, with a reason: then its files may go.
That is refused while anything still needs them: an alias or a route that points to it, or a prediction that it made,
which could not be computed again. `collect` removes what no entry of the ledger and no manifest of a version that is
not retired names, once it is old enough that nobody is about to name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import ConflictError, InputError
from backstay.core.show import Shown
from backstay.core.times import DAY
from backstay.registry.routing import Routing
from backstay.registry.versions import RETIRED, ModelVersion, Registry
from backstay.storage.digest import is_digest
from backstay.storage.ports import Artifacts, Entry, Ledger, PredictionLog

COLLECTED = "collected"
"""The ledger's kind of entry for files that were removed; its subject is "artifacts"."""
GRACE = DAY
"""Files are stored before the ledger names them: younger ones are left alone."""


@dataclass(frozen=True, slots=True)
class Collected(Shown):
    """What a collection removed, or would: digests and bytes; and how many files stay."""

    digests: tuple[str, ...]
    bytes: int
    kept: int
    dry: bool


def retire(
    ledger: Ledger, registry: Registry, predictions: PredictionLog, model: str, number: int, *,
    why: str, at: int, actor: str,
) -> Entry:  # fmt: skip
    """Let a version's files go; `InputError` names what still needs them. Retiring it again is the same."""
    version = registry.get(model, number)
    subject = f"{model}/{number}"
    if not why.strip():
        raise InputError("there is no reason", where=subject, expected="why, in a sentence", fix='--why "..."')
    if (before := registry.retired(model, number)) is not None:
        return before
    if needed := list(_needs(ledger, registry, predictions, version)):
        raise InputError(
            f"version {number} is still needed: {'; '.join(needed)}",
            where=subject,
            expected="a version that nothing refers to",
            fix="move the alias or the route first; what made predictions is kept for as long as they are",
        )
    body = {"why": why, "manifest": version.digest}
    try:
        return ledger.append(RETIRED, subject, body, at=at, actor=actor, expect=0)
    except ConflictError:  # somebody else did, at this moment
        entry = registry.retired(model, number)
        assert entry is not None
        return entry


def _needs(ledger: Ledger, registry: Registry, predictions: PredictionLog, version: ModelVersion) -> Iterator[str]:
    """What refers to a version, each in a few words."""
    for subject in dict.fromkeys(one.subject for one in ledger.entries(kind="alias")):
        model, _, name = subject.partition("/")
        move = registry.alias(model, name) if model == version.model else None
        if move is not None and move.to == version.number:
            yield f"it is {name}"
    route = Routing(ledger, registry).get(version.model)
    if route is not None and any(part.digest == version.digest for part in route.parts):
        yield "the route names it"
    if Routing(ledger, registry).before(version.model) == version.number:
        yield "a rollback would go back to it"
    made = sum(one.version == version.digest for one in predictions.scan(model=version.model))
    if made:
        yield f"it made {made:,} predictions"


def collect(
    ledger: Ledger,
    registry: Registry,
    artifacts: Artifacts,
    others: Iterable[str],
    *,
    at: int,
    now: int,
    actor: str,
    grace: int = GRACE,
    dry: bool = False,
) -> Collected:
    """Remove every file that nothing names, and write down which.

    others: digests that records outside the ledger name
    at:     the moment of the entry; `now` is the machine's time, which the age of files is told by
    dry:    remove nothing
    """
    if grace < 0:
        raise InputError(f"the grace is {grace}", where="older", expected="0 or more")
    needed = {*referenced(ledger, registry), *others}
    found = [one for one in artifacts.stored() if one.digest not in needed and one.at < now - grace]
    kept = sum(1 for _ in artifacts.stored()) - len(found)
    gone = found if dry else [one for one in found if artifacts.remove(one.digest, before=now - grace)]
    digests, size = tuple(one.digest for one in gone), sum(one.size for one in gone)
    if gone and not dry:
        ledger.append(COLLECTED, "artifacts", {"digests": list(digests), "bytes": size}, at=at, actor=actor)
    return Collected(digests, size, kept, dry)


def referenced(ledger: Ledger, registry: Registry) -> set[str]:
    """Every digest that an entry names, and the files of every version that is not retired."""
    entries = ledger.entries()
    out = {digest for one in entries if one.kind != COLLECTED for digest in _digests(one.body)}
    for model in registry.models():
        for version in registry.versions(model):
            if registry.retired(model, version.number) is None:
                out |= set(version.manifest.files.values())
    return out


def _digests(value: Any) -> Iterator[str]:
    """Whatever looks like a SHA-256 in an entry's body, however deep."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _digests(key)
            yield from _digests(one)
    elif isinstance(value, list):
        for one in value:
            yield from _digests(one)
    elif is_digest(value):
        yield value
