"""Names of definitions: short, lower case, safe in a path, a column and a URL."""

from __future__ import annotations

import re

from backstay.core.errors import DefinitionError
from backstay.definitions.places import declared_at, located

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED = frozenset({"event_time", "known_time", "sequence", "at", "label", "void"})


def check_name(name: str, kind: str, *, where: str = "") -> str:
    """`name` itself, or a `DefinitionError` that says what a name may be. `where`: its place, if it is not the
    nearest line of the user's."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        plain = re.sub("[^a-z0-9_]+", "_", str(name).lower()).strip("_0123456789") or kind.replace(" ", "_")
        raise DefinitionError(
            f"{name!r} cannot name {'an' if kind[0] in 'aeiou' else 'a'} {kind}",
            where=where or located(f"{kind} {name!r}", declared_at()),
            expected="a lower-case letter, then up to 62 letters, digits or underscores",
            fix=f"rename it, for example {plain!r}",
        )
    if name in RESERVED:
        raise DefinitionError(
            f"{name!r} is a name that Backstay keeps for itself",
            where=where or located(f"{kind} {name!r}", declared_at()),
            fix=f"choose another name than {', '.join(sorted(RESERVED))}",
        )
    return name
