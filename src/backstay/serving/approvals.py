"""Approvals at the admin plane: what a reviewer sees and decides there, with a token of their own.

    GET  /v1/approvals/{model}/{version}         the evidence, as a page
    GET  /v1/approvals/{model}/{version}/bundle  the same as JSON
    POST /v1/approvals/{model}/{version}         {"decision": "approve" or "reject", "why": "..."}

It takes the role approve on the model's feature set, and a token that names a person: the home's own token names
nobody, and could be the author's. Reading a record takes seconds, so it is not done in the server's process.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from backstay.core.errors import InputError, NotFoundError
from backstay.serving.guard import HOME, Guard
from backstay.serving.refusal import Refusal
from backstay.serving.wire import JSON, Answer, encode

PAGE = (b"content-type", b"text/html; charset=utf-8")


class Approvals(Protocol):
    """What is known and decided about versions; each call may take seconds and blocks."""

    def page(self, principal: str, model: str, number: int) -> str:
        """The evidence about a version as one HTML page."""
        ...

    def bundle(self, principal: str, model: str, number: int) -> dict[str, Any]:
        """The same as plain data, with its SHA-256."""
        ...

    def decide(self, principal: str, model: str, number: int, decision: str, why: str) -> dict[str, Any]:
        """Approve or reject a version; what was written down."""
        ...


class Reviews:
    """Answers reviewers; whoever may not is refused before anything is read."""

    def __init__(self, approvals: Approvals, guard: Guard) -> None:
        self._approvals, self._guard = approvals, guard

    async def see(self, principal: str, model: str, version: str, *, as_page: bool) -> Answer:
        """The evidence about a version."""
        number = self._checked(principal, model, version, "see the evidence about versions of")
        if as_page:
            page = await asyncio.to_thread(self._approvals.page, principal, model, number)
            return Answer(page.encode(), [PAGE])
        return Answer(encode(await asyncio.to_thread(self._approvals.bundle, principal, model, number)), [JSON])

    async def decide(self, principal: str, model: str, version: str, asked: dict[str, Any]) -> Answer:
        """Approve or reject a version."""
        decision, why = asked.get("decision"), asked.get("why")
        if decision not in ("approve", "reject"):
            raise InputError(f"the decision is {decision!r}", where="decision", expected="'approve' or 'reject'")
        if not isinstance(why, str) or not why.strip():
            raise InputError("there is no reason", where="why", expected="why, in a sentence")
        if unknown := sorted(asked.keys() - {"decision", "why"}):
            raise InputError(f"{unknown[0]!r} is not taken", where=unknown[0], expected="decision and why")
        number = self._checked(principal, model, version, f"{decision} versions of")
        told = await asyncio.to_thread(self._approvals.decide, principal, model, number, decision, why)
        return Answer(encode(told), [JSON])

    def _checked(self, principal: str, model: str, version: str, what: str) -> int:
        if principal == HOME:
            raise Refusal(
                403, "the home's own token names nobody", field="authorization",
                expected="the token of a person with the role approve", fix="backstay access token NAME",
            )  # fmt: skip
        self._guard.approves(principal, model, what)
        if not version.isascii() or not version.isdigit() or len(version) > 9:
            raise NotFoundError(
                f"there is no version {version!r}", where="version", expected="a version's number, such as 3"
            )
        return int(version)
