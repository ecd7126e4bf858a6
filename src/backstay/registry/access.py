"""Access: who was given which role, by whom and when, and who was denied what; all of it entries of the ledger.

Entries of kind "access" have the principal for their subject. What holds now is what they come to, read in their order:
an entry whose actor was not an admin at its place in the ledger changes nothing, so two people who decide at once can
neither both be the first admin nor remove each other.

    authority = Authority(ledger, clock, "ana", ["order"])
    authority.grant("scoring", "read_online", "order")      # ana, who grants first, is recorded as admin
    token = authority.token("scoring")                      # shown once; the ledger has its SHA-256
    authority.require("define", ["order"], "promote")       # AccessError if ana may not; the denial is recorded
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from backstay.core.clock import Clock
from backstay.core.errors import AccessError, BackstayError, ConflictError, InputError, NotFoundError
from backstay.core.identity import sha256
from backstay.core.show import Shown
from backstay.definitions.roles import Access, Grant, Role, check_principal, checked_grant, scope
from backstay.storage.chain import check_entry
from backstay.storage.ports import Entry, Ledger

_logger = logging.getLogger("backstay.access")

ACCESS = "access"
"""The ledger's kind of entry for grants, revocations, tokens and denials; its subject is the principal."""

RECENT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Denial:
    """What somebody was not allowed: `role` on one of `feature_sets` (None: on all of them) was needed to do `what`."""

    principal: str
    role: Role | None
    feature_sets: tuple[str | None, ...]
    what: str

    def error(self) -> AccessError:
        """The error that says which role is needed, and who can give it."""
        wanted = self.feature_sets[0] if self.feature_sets else None
        on = " or ".join(scope(one) for one in self.feature_sets)
        option = "" if self.role == "admin" else " --all" if wanted is None else f" --feature-set {wanted}"
        return AccessError(
            f"{self.principal} may not {self.what}",
            where="access",
            expected="the role admin" if self.role == "admin" else f"the role {self.role} on {on}",
            fix=f"an admin grants it: backstay access grant {self.principal} {self.role}{option}",
        )


@dataclass(frozen=True, slots=True)
class Principal(Shown):
    """One principal as `backstay access list` shows it: what it may do, its valid tokens, how often it was denied."""

    name: str
    grants: tuple[Grant, ...]
    tokens: int
    denied: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data; a grant's `feature_set` is None where it is on all of them."""
        roles = [{"role": one.role, "feature_set": one.feature_set} for one in self.grants]
        return {"name": self.name, "roles": roles, "tokens": self.tokens, "denied": self.denied}


class Authority:
    """Decides for `actor`, and writes down each decision; any number of processes may use the same ledger.

    feature_sets: the names that a grant may be about
    """

    def __init__(self, ledger: Ledger, clock: Clock, actor: str, feature_sets: Collection[str]) -> None:
        self._ledger, self._clock, self._feature_sets = ledger, clock, feature_sets
        self.actor = actor
        self._access, self._seen, self._read_at = Access(), 0, float("-inf")

    def now(self) -> Access:
        """What holds now. An entry that was changed is an `IntegrityError`: nobody gains by it."""
        self._read_at = monotonic()
        for entry in self._ledger.entries(kind=ACCESS, after=self._seen):
            check_entry(entry, (entry.id - 1, entry.previous))
            self._access, self._seen = _after(self._access, entry), entry.id
        return self._access

    def revision(self) -> int:
        """The ledger's revision: while it is the same, so is what holds."""
        return self._ledger.revision()

    def require(
        self, role: Role, feature_sets: Iterable[str | None], what: str, *, one: bool = False, often: bool = False
    ) -> None:
        """Raise `AccessError`, and record the denial, unless the actor has the role on all these feature sets.

        one:   on one of them is enough.
        often: asked many times a second: the ledger is read again only when what was read is 100 ms old.
        what:  completes the sentence "ana may not ...".
        """
        recent = often and monotonic() - self._read_at < RECENT_SECONDS
        access, wanted = self._access if recent else self.now(), tuple(feature_sets)
        lacking = tuple(name for name in wanted if not access.allows(self.actor, role, name))
        if lacking and not (one and len(lacking) < len(wanted)):
            self._refuse(Denial(self.actor, role, lacking if one else lacking[:1], what))

    def grant(self, principal: str, role: str, feature_set: str | None = None) -> bool:
        """Give a principal a role on a feature set (None: all); False if it has it already.

        Only an admin may. While the project is open anybody may, and becomes its first admin, which is recorded.
        """
        given = checked_grant(role, feature_set, self._feature_sets)
        check_principal(principal)
        if self.now().open:
            self._decide(check_principal(self.actor), "grant", role="admin", feature_set=None)
        self._may_decide(f"grant {given}")
        if given in self.now().grants.get(principal, ()):
            return False
        after = self._decide(principal, "grant", role=given.role, feature_set=given.feature_set)
        if given not in after.grants.get(principal, ()):
            raise _overtaken()
        return True

    def revoke(self, principal: str, role: str, feature_set: str | None = None) -> None:
        """Take back one grant. The last admin stays: somebody else has to be made admin first."""
        self._may_decide(f"revoke {role}")
        access = self.now()
        held = sorted(access.grants.get(principal, ()), key=str)
        taken = next((one for one in held if (one.role, one.feature_set) == (role, feature_set)), None)
        if taken is None:
            raise NotFoundError(
                f"{principal} was not granted {role} on {scope(feature_set)}",
                where="access",
                expected=f"one of: {'; '.join(map(str, held))}" if held else "a principal with a role",
                fix="see: backstay access list",
            )
        if access.revoked(principal, taken) == access:
            raise InputError(
                f"{principal} is the last admin", where="access", fix="backstay access grant SOMEBODY admin, first"
            )
        after = self._decide(principal, "revoke", role=role, feature_set=feature_set)
        if taken in after.grants[principal]:
            raise _overtaken()

    def token(self, principal: str) -> str:
        """A new bearer token for a principal that has a role. It is returned once: only its SHA-256 is recorded."""
        self._may_decide("make a token")
        if not self.now().grants.get(principal):
            raise NotFoundError(
                f"{principal} has no role",
                where="access",
                expected="a principal that was granted one",
                fix=f"backstay access grant {principal} read_online --all",
            )
        token = secrets.token_urlsafe(32)
        if sha256(token.encode()) not in self._decide(principal, "token", sha256=sha256(token.encode())).tokens:
            raise _overtaken()
        return token

    def revoke_tokens(self, principal: str) -> int:
        """Make every token of a principal invalid; how many there were."""
        self._may_decide("revoke tokens")
        count = sum(one == principal for one in self.now().tokens.values())
        if not count:
            raise NotFoundError(f"{principal} has no token", where="access", fix="see: backstay access list")
        self._decide(principal, "revoke_tokens")
        return count

    def principals(self) -> list[Principal]:
        """Everybody who has a role, had one, or was denied, by name."""
        access, denied = self.now(), dict.fromkeys(self._access.grants, 0)
        for entry in self._ledger.entries(kind=ACCESS):
            if entry.body["action"] == "denied":
                denied[entry.subject] = denied.get(entry.subject, 0) + entry.body["count"]
        tokens = list(access.tokens.values())
        return [
            Principal(name, tuple(sorted(access.grants.get(name, ()), key=str)), tokens.count(name), number)
            for name, number in sorted(denied.items())
        ]

    def record(self, denial: Denial, count: int = 1) -> None:
        """Write down that somebody was denied, `count` times."""
        body = {
            "action": "denied",
            "what": denial.what,
            "role": denial.role,
            "feature_sets": list(denial.feature_sets),
            "count": count,
        }
        self._ledger.append(ACCESS, denial.principal, body, at=self._clock.now(), actor=denial.principal)

    def _may_decide(self, what: str) -> None:
        access = self.now()
        if access.open:
            raise InputError(
                "nobody has been granted anything yet: the project is open",
                where="access",
                fix="begin with a grant: backstay access grant NAME ROLE --all",
            )
        if not access.admin(self.actor):
            self._refuse(Denial(self.actor, "admin", (None,), what))

    def _refuse(self, denial: Denial) -> None:
        try:
            self.record(denial)
        except BackstayError as error:  # where nothing can be written, who may not still may not
            _logger.warning("a denial could not be written down: %s", error)
            raise denial.error() from error
        raise denial.error()

    def _decide(self, principal: str, action: str, **body: Any) -> Access:
        self._ledger.append(ACCESS, principal, {"action": action, **body}, at=self._clock.now(), actor=self.actor)
        return self.now()


def _after(access: Access, entry: Entry) -> Access:
    """What holds after one more entry."""
    body, principal = entry.body, entry.subject
    first = access.open and body["action"] == "grant" and body["role"] == "admin" and entry.actor == principal
    if not (first or access.admin(entry.actor)):
        return access
    match body["action"]:
        case "grant":
            return access.granted(principal, Grant(body["role"], body["feature_set"]))
        case "revoke":
            return access.revoked(principal, Grant(body["role"], body["feature_set"]))
        case "token":
            return access.with_token(principal, body["sha256"])
        case "revoke_tokens":
            return access.without_tokens(principal)
    return access


def _overtaken() -> ConflictError:
    return ConflictError("somebody else decided first", where="access", fix="see: backstay access list; then retry")
