"""The guard: whose token a request carries, and whether its principal may do what it asks. No I/O on a request's path.

What the guard goes by is the ledger's, read again within 100 ms of a change; while the ledger cannot be read, the last
that was read holds. Denials are counted where they happen and written down off the loop: the first of its kind at once,
those like it within the next minute as one entry with their count, and so on. A flood neither holds up the server nor
fills the ledger, however slowly it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Collection, Mapping, Sequence
from time import monotonic

from backstay.core.identity import sha256
from backstay.definitions.roles import Access, Role
from backstay.registry.access import Authority, Denial
from backstay.serving.champions import POLL_SECONDS
from backstay.serving.outlived import Outlived
from backstay.serving.refusal import Refusal

HOME = "(home)"
"""Who sends the token of the home itself: whoever can read that file, and may do everything."""

LIMIT = 1_000
"""How many different denials wait to be written down; more are counted together as one."""
EVERY_SECONDS = 60.0
"""How often denials of one kind are written down."""

_UNKNOWN = Denial("(unknown)", None, (), "call without a valid token")
_OTHERS = Denial("(others)", None, (), "do what they asked; there were too many at once to name")
_logger = logging.getLogger("backstay.serving")


class Guard:
    """Authenticates and authorizes requests.

    models:       model to the name of its feature set
    feature_sets: the names of all there are
    sources:      source to the names of the feature sets that use it
    """

    def __init__(
        self,
        authority: Authority,
        token: str,
        *,
        models: Mapping[str, str],
        feature_sets: Collection[str],
        sources: Mapping[str, Sequence[str]],
    ) -> None:
        self._authority, self._models, self._sources = authority, models, sources
        self._feature_sets = frozenset(feature_sets)
        self._token = token.encode()
        self._home = b"Bearer " + self._token
        self._access, self._revision = Access(), -1
        self._denied: dict[Denial, int] = {}
        self._written: dict[Denial, float] = {}
        """when denials of a kind were written down, if that is less than a minute ago"""
        self._reading = Outlived("who may do what could not be read")
        self._writing = Outlived("denials could not be written down")
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def identify(self, authorization: bytes) -> str | None:
        """The principal whose token this header carries (`HOME` for the home's own), or None, which is counted."""
        if hmac.compare_digest(authorization, self._home):
            return HOME
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            token = token.strip(b" ")
            # Looked up by its digest: how long that takes tells nothing about the tokens there are.
            principal = self._access.tokens.get(sha256(token))
            if principal is not None:
                return principal
            if hmac.compare_digest(token, self._token):
                return HOME
        self._count(_UNKNOWN)
        return None

    def require(self, authorization: bytes) -> str:
        """The principal whose token this header carries. Raises `Refusal` (401), which is counted, if there is none."""
        principal = self.identify(authorization)
        if principal is None:
            raise Refusal(
                401, "the token is missing or wrong", field="authorization", fix="send Authorization: Bearer TOKEN"
            )
        return principal

    def model(self, principal: str, model: str) -> None:
        """Raise `AccessError` unless the principal may read online what the model reads."""
        what = f"use model {model!r}" if model in self._models else "use a model that does not exist"
        self._require(principal, "read_online", (self._models.get(model),), what)

    def features(self, principal: str, name: str) -> None:
        """Raise `AccessError` unless the principal may read the feature set online."""
        known = name in self._feature_sets
        what = f"read feature set {name!r}" if known else "read a feature set that does not exist"
        self._require(principal, "read_online", (name if known else None,), what)

    def source(self, principal: str, source: str) -> None:
        """Raise `AccessError` unless the principal may write what some feature set is made of."""
        what = f"push to source {source!r}" if source in self._sources else "push to a source that does not exist"
        self._require(principal, "write", tuple(self._sources.get(source) or (None,)), what)

    def approves(self, principal: str, model: str, what: str) -> None:
        """Raise `AccessError` unless the principal may approve versions of the model. `what`: as for `admin`."""
        known = model in self._models
        self._require(
            principal, "approve", (self._models.get(model),),
            f"{what} model {model!r}" if known else f"{what} a model that does not exist",
        )  # fmt: skip

    def admin(self, principal: str, what: str) -> None:
        """Raise `AccessError` unless the principal is an admin. `what` completes the sentence "ana may not ..."."""
        self._require(principal, "admin", (None,), what)

    def _require(self, principal: str, role: Role, feature_sets: tuple[str | None, ...], what: str) -> None:
        if principal == HOME or any(self._access.allows(principal, role, one) for one in feature_sets):
            return
        denial = Denial(principal, role, feature_sets, what)
        self._count(denial)
        raise denial.error()

    def _count(self, denial: Denial, number: int = 1) -> None:
        known = denial in self._denied or len(self._denied) < LIMIT
        key = denial if known else _OTHERS
        self._denied[key] = self._denied.get(key, 0) + number

    def start(self) -> None:
        """Read what holds, and follow it on the running loop. Raises if the ledger cannot be trusted."""
        self._refresh()
        # Apart, so that however much there is to write down, a revocation is followed at once.
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._record())]

    async def stop(self) -> None:
        """Stop following, and write down what is left."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _turn(self) -> bool:
        """Wait for the next turn; False when there is none any more."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), POLL_SECONDS)
        return not self._stopping.is_set()

    async def _follow(self) -> None:
        while await self._turn():
            with self._reading:  # what was read last holds
                await asyncio.to_thread(self._refresh)

    async def _record(self) -> None:
        while await self._turn():
            now = monotonic()
            self._written = {one: at for one, at in self._written.items() if now - at < EVERY_SECONDS}
            with self._writing:  # they wait for a ledger that answers
                await self._write_down([one for one in self._denied if one not in self._written])
        try:
            await self._write_down([*self._denied])
        except Exception:  # this was the last try
            _logger.exception("denials could not be written down: %s", _told(self._denied))

    def _refresh(self) -> None:
        revision = self._authority.revision()
        if revision != self._revision:
            self._access = self._authority.now()
            self._revision = revision

    async def _write_down(self, due: Sequence[Denial]) -> None:
        denied = {one: self._denied.pop(one) for one in due}
        while denied:
            denial, number = denied.popitem()
            try:
                await asyncio.to_thread(self._authority.record, denial, number)
            except Exception:
                for left, count in ((denial, number), *denied.items()):
                    self._count(left, count)
                raise
            self._written[denial] = monotonic()


def _told(denied: Mapping[Denial, int]) -> dict[str, int]:
    return {f"{one.principal}: {one.what}": number for one, number in denied.items()}
