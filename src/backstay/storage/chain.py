"""The ledger's chain: how an entry is made, and how it is proven.

Each entry carries the digest of the one before, so an entry that is changed, removed from the middle or slipped in
breaks every digest after it. What a chain cannot show by itself is that its *end* was cut off: keep the last digest
elsewhere (a log line, a release note) where that matters.

The digest is taken over the body as it reads back from JSON, so that what was hashed is what anybody finds later:
tuples have become lists and numbers used as keys have become text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backstay.core.errors import InputError, IntegrityError
from backstay.core.identity import canonical_json, digest_of
from backstay.storage.ports import Entry

GENESIS = "0" * 64
"""What the first entry has for `previous`."""

_INT64 = 1 << 63


def next_entry(
    before: tuple[int, str], kind: str, subject: str, body: Mapping[str, Any], *, at: int, actor: str
) -> Entry:
    """The entry that follows the one with this (id, digest); (0, GENESIS) for the first."""
    for name, text in (("kind", kind), ("subject", subject), ("actor", actor)):
        if not isinstance(text, str) or not text:
            raise InputError(f"{name} is {text!r}", where=f"ledger.{name}", expected="a text that is not empty")
    if isinstance(at, bool) or not isinstance(at, int) or not -_INT64 <= at < _INT64:
        raise InputError(f"at is {at!r}", where="ledger.at", expected="microseconds since the epoch, UTC")
    plain = _plain(kind, body)
    number, previous = before[0] + 1, before[1]
    try:
        digest = digest_of([number, at, actor, kind, subject, plain, previous])
    except ValueError as error:  # a lone surrogate in kind, subject or actor
        raise InputError(f"the entry cannot be written: {error}", where=f"ledger.{kind!r}") from None
    return Entry(number, at, actor, kind, subject, plain, previous, digest)


def check_entry(entry: Entry, before: tuple[int, str]) -> None:
    """Raise `IntegrityError`, naming the entry, unless it follows `before` and its digest is its content's."""
    what = ""
    if entry.id != before[0] + 1:
        what = f"entry {before[0] + 1} of the ledger is missing: {entry.id} follows {before[0]}"
    elif entry.previous != before[1]:
        what = f"entry {entry.id} of the ledger does not follow entry {before[0]}"
    elif entry.digest != _digest(entry):
        what = f"entry {entry.id} of the ledger ({entry.kind}, {entry.subject}) was changed after it was written"
    if what:
        raise IntegrityError(what, where=f"ledger entry {entry.id}", fix="restore the ledger from a backup")


def _digest(entry: Entry) -> str:
    body = [entry.id, entry.at, entry.actor, entry.kind, entry.subject, entry.body, entry.previous]
    try:
        return digest_of(body)
    except (TypeError, ValueError):
        return ""


def _plain(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain = json.loads(canonical_json(dict(body)))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the body of {kind!r} is not JSON: {error}",
            where=f"ledger.{kind}",
            expected="a mapping of texts, finite numbers, booleans, nulls, lists and mappings",
        ) from None
    assert isinstance(plain, dict)
    return plain
