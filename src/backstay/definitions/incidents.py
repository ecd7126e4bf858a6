"""How incidents of a model are kept: what belongs together, when one is over, and whose it is. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from backstay.core.errors import DefinitionError
from backstay.core.times import duration

CAUSES = ("input_drift", "data_quality", "skew", "score_drift", "estimated_loss", "realised_loss")
"""The kinds of what a monitor signals."""


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """How incidents of a model are kept: `Model(..., incidents=IncidentPolicy(owner="risk", runbook="https://..."))`.

    owner:    who sees to them, unless a person takes one over; a name, a team, an address
    runbook:  where it stands what to do: a link, or one by kind of cause: {"data_quality": "https://..."}
    together: onsets that are no further apart are taken for one cause
    clean:    so many clean windows in a row, and an incident is over by itself
    silent:   where windows have said nothing of a signal for so long (nobody asked, too few rows), it is taken for gone
    grace:    what comes back within this time after its end is the same incident, reopened
    """

    owner: str = ""
    runbook: str | Mapping[str, str] = field(default="", hash=False)
    together: str = "2d"
    clean: int = 3
    silent: str = "14d"
    grace: str = "14d"

    def __post_init__(self) -> None:
        where = "IncidentPolicy"
        if not isinstance(self.owner, str):
            raise DefinitionError(f"owner {self.owner!r}", where=where, expected='a name, such as "risk desk"')
        duration(self.together, where=f"{where}.together")
        duration(self.grace, where=f"{where}.grace")
        duration(self.silent, where=f"{where}.silent")
        if not isinstance(self.clean, int) or isinstance(self.clean, bool) or self.clean < 1:
            raise DefinitionError(f"clean {self.clean!r}", where=where, expected="at least 1 window")
        if not isinstance(self.runbook, str | Mapping):
            raise DefinitionError(
                f"runbook {self.runbook!r}", where=where, expected="a link, or links by kind of cause"
            )
        for kind in () if isinstance(self.runbook, str) else self.runbook:
            if kind not in CAUSES:
                raise DefinitionError(f"runbook of {kind!r}", where=where, expected=f"of {', '.join(CAUSES)}")
        for link in [self.runbook] if isinstance(self.runbook, str) else self.runbook.values():
            if link and urlsplit(str(link)).scheme not in ("http", "https"):
                raise DefinitionError(f"runbook {link!r}", where=where, expected="a link, such as https://wiki/late")

    def runbook_of(self, kind: str) -> str:
        """The runbook of a cause of this kind; "" if there is none.

        >>> IncidentPolicy(runbook={"skew": "https://wiki/skew"}).runbook_of("skew")
        'https://wiki/skew'
        """
        return self.runbook if isinstance(self.runbook, str) else self.runbook.get(kind, "")
