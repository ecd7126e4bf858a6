"""Names of definitions: short, lower case, safe in a path, a column and a URL."""

from __future__ import annotations

import re

from backstay.core.errors import DefinitionError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED = frozenset({"event_time", "known_time", "sequence", "at", "label", "void"})


def check_name(name: str, kind: str) -> str:
    """`name` itself, or a `DefinitionError` that says what a name may be."""
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} cannot name a {kind}",
            where=f"{kind} {name!r}",
            expected="a lower-case letter, then up to 62 letters, digits or underscores",
            fix=f"rename it, for example {re.sub('[^a-z0-9_]+', '_', name.lower()).strip('_0123456789') or kind!r}",
        )
    if name in RESERVED:
        raise DefinitionError(
            f"{name!r} is a name that Backstay keeps for itself",
            where=f"{kind} {name!r}",
            fix=f"choose another name than {', '.join(sorted(RESERVED))}",
        )
    return name
