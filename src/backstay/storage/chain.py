"""The ledger's chain: how an entry is made, and how it is proven.

Each entry carries the digest of the one before, so an entry that is changed, removed from the middle or slipped in
breaks every digest after it. What a chain cannot show by itself is that its *end* was cut off, or that all of it was
written anew from some entry on: for that its heads are kept elsewhere too (the local backend's `anchors`).

The digest is taken over the body as it reads back from JSON, so that what was hashed is what anybody finds later:
tuples have become lists and numbers used as keys have become text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from backstay.core.errors import InputError, IntegrityError
from backstay.core.identity import canonical_json, digest_of
from backstay.storage.ports import Entry, Ledger

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
        if "\0" in text:
            raise InputError(f"{name} is {text!r}", where=f"ledger.{name}", expected="a text without the character NUL")
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


def check_head(ledger: Ledger, head: str) -> None:
    """Raise unless the ledger holds the entry that this head, as it was printed once, names."""
    number, _, digest = head.partition(":")
    if not number.isdigit() or not re.fullmatch(r"[0-9a-f]{8,64}", digest):
        raise InputError(
            f"{head!r} is no head", where="head", expected="NUMBER:DIGEST, as backstay ledger head prints it"
        )
    found = next((one for one in ledger.entries(after=int(number) - 1) if one.id == int(number)), None)
    if found is None or not found.digest.startswith(digest):
        said = "is not there" if found is None else f"has the digest {found.digest[:12]}"
        raise IntegrityError(
            f"entry {number} of the ledger {said}",
            where=f"ledger entry {number}",
            expected=f"the digest {digest[:12]}",
            fix="restore the ledger from a backup",
        )


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
