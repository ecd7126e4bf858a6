"""Finds notifiers by their names: the port, and the door that all of them come in by.

A notifier enters by the entry-point group `backstay.notifiers`, the built-in ones too. In a package of one's own:

    [project.entry-points."backstay.notifiers"]
    pager = "my_package.pager:Pager"

and in `backstay.toml`, whose text it is made with: `pager = "https://..."` under `[notify]`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from typing import Protocol, cast

from backstay.core.errors import InputError
from backstay.monitoring.notifiers.message import Message

GROUP = "backstay.notifiers"


class Notifier(Protocol):
    """Tells people. It is made with the text of its setting, and raises `InputError` where that makes no sense."""

    def send(self, message: Message, timeout: float) -> None:
        """Send a message; when it returns, the other side has it. Whatever it raises, it is tried again later.

        timeout: seconds after which nobody waits for it any more
        """
        ...


def notifier(name: str, text: str) -> Notifier:
    """The notifier of this name, made with the text of its setting; `InputError` names those there are."""
    point = _own(name) or next(iter(entry_points(group=GROUP, name=name)), None)
    if point is None:
        raise InputError(
            f"there is no notifier {name!r}", where=f"notify.{name}", expected=f"one of {', '.join(notifiers())}",
            fix=f"install the package that has it under the entry points {GROUP!r}; after an update, install again",
        )  # fmt: skip
    return cast("Notifier", point.load()(text))


def notifiers() -> list[str]:
    """The names of all notifiers there are."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def _own(name: str) -> EntryPoint | None:
    """The entry point of our own distribution: to look at all there are takes a tenth of a second."""
    try:
        found = distribution("backstay").entry_points.select(group=GROUP, name=name)
    except PackageNotFoundError:
        return None
    return next(iter(found), None)
