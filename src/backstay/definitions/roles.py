"""Roles: what a principal may do with a feature set. Pure rules; who has which is told by the ledger.

A *principal* is a person or a program, by name. A *grant* gives it one role on one feature set, or on all of them:

    read_online   ask the server for predictions, look features up online
    read_offline  make training sets, train, judge, verify parity, look at what was served
    write         ingest, push, backfill: change what features are made of
    define        register versions
    promote       move champions and routes, roll back
    approve       approve or reject a version of a model whose stakes are high
    admin         everything, on all feature sets, and grants themselves

While nobody has been granted anything the project is open to its owner. It is closed by the first admin, and stays so:
the last admin cannot be removed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from backstay.core.errors import InputError

Role = Literal["read_online", "read_offline", "write", "define", "promote", "approve", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

_PRINCIPAL = re.compile(r"\w[\w.@+\\-]{0,127}")


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One role on one feature set, by name, or on all of them (None)."""

    role: Role
    feature_set: str | None = None

    def __str__(self) -> str:
        return self.role if self.role == "admin" else f"{self.role} on {scope(self.feature_set)}"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what, at one moment. It is replaced, never changed.

    tokens: SHA-256 of each bearer token (hexadecimal) to the principal it was made for; a token itself is never kept
    """

    grants: Mapping[str, frozenset[Grant]] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Nobody has been granted anything: whoever has the files may do everything."""
        return not self.grants

    def admin(self, principal: str) -> bool:
        """Whether a principal may do everything, and decide about others."""
        return _ADMIN in self.grants.get(principal, ())

    def allows(self, principal: str, role: Role, feature_set: str | None) -> bool:
        """Whether a principal has a role on a feature set (None: on all of them). An open project allows everything."""
        if self.open or self.admin(principal):
            return True
        mine = self.grants.get(principal, frozenset())
        return Grant(role) in mine or Grant(role, feature_set) in mine

    def granted(self, principal: str, grant: Grant) -> Access:
        return replace(self, grants={**self.grants, principal: self.grants.get(principal, frozenset()) | {grant}})

    def revoked(self, principal: str, grant: Grant) -> Access:
        """The same without this grant; unchanged if it would leave no admin."""
        left = {**self.grants, principal: self.grants.get(principal, frozenset()) - {grant}}
        return replace(self, grants=left) if any(_ADMIN in mine for mine in left.values()) else self

    def with_token(self, principal: str, digest: str) -> Access:
        return replace(self, tokens={**self.tokens, digest: principal})

    def without_tokens(self, principal: str) -> Access:
        return replace(self, tokens={digest: one for digest, one in self.tokens.items() if one != principal})


_ADMIN = Grant("admin")


def checked_grant(role: str, feature_set: str | None, feature_sets: Collection[str]) -> Grant:
    """The grant meant, or an `InputError`: a role that exists, on one of these feature sets."""
    known = next((one for one in ROLES if one == role), None)
    if known is None:
        raise InputError(f"there is no role {role!r}", where="role", expected=f"one of {', '.join(ROLES)}")
    if known == "admin" and feature_set is not None:
        raise InputError("admin is a role on everything", where="feature_set", expected="none", fix="leave it out")
    if feature_set is not None and feature_set not in feature_sets:
        raise InputError(
            f"there is no feature set {feature_set!r}", where="feature_set", expected=f"one of {sorted(feature_sets)}"
        )
    return Grant(known, feature_set)


def check_principal(name: str) -> str:
    """`name` itself, or an `InputError` that says what a principal's name may be."""
    if not _PRINCIPAL.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a principal",
            where="principal",
            expected="a letter or digit, then up to 127 letters, digits or any of . _ @ + - \\",
            fix="name it for example ana, ana@shop.com or scoring-service",
        )
    return name


def scope(feature_set: str | None) -> str:
    """A feature set as sentences name it."""
    return "all feature sets" if feature_set is None else f"feature set {feature_set!r}"
