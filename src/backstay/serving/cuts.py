"""Cuts: a share whose version does harm is cut to zero by the server itself, within seconds, and the ledger says so.

It is all that a server may do to a route; everything else is for people and for gates. What the failing version should
have answered is answered by the champion, as route "fallback". The cut is an entry like any other route, with the
evidence: every server follows it, and whoever sets the route anew decides whether the version gets a share again.

    failures     batches in a row without a score
    error_rate, slowdown, score_shift       what `watch.py` finds beyond the bounds of the route's entry
    crash, hung  a worker that died while it scored the share's rows, or does not come to an end with them: the
                 supervisor finds its mark on the board, see `suspects.py`. Of shadows too
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident
from time import monotonic
from typing import Any

from backstay.core.clock import Clock, ReplayClock
from backstay.core.errors import BackstayError, ConflictError
from backstay.definitions.rollout import Breakers
from backstay.registry.routing import Part, RouteEntry, Routing
from backstay.serving.board import LANES, Board, Cells
from backstay.serving.routes import ServedModel, Snapshot
from backstay.serving.suspects import Death
from backstay.serving.watch import Watch, claimed
from backstay.storage.predictions import Prediction

_DEFAULT = Breakers()
_HUNG, _TIMES = 5.0, 20.0
"""A batch hangs that takes longer than so many seconds, and so many times what it should by what was measured when its
version was loaded: a batch is made as large as is served in a part of the objective (`serving.objective_ms`), so nobody
waits for it any more."""
_logger = logging.getLogger("backstay.serving")


class _Watched:
    """The shares of one snapshot, by their versions' digests."""

    __slots__ = ("shares", "snapshot")

    def __init__(self, snapshot: Snapshot, board: Board) -> None:
        self.snapshot, entry = snapshot, snapshot.entry
        assert entry is not None
        bounds = entry.breakers or _DEFAULT
        self.shares = {
            one.served.version.digest: Watch(snapshot, one, claimed(board.tables, entry.model, place), bounds)
            for place, one in enumerate(snapshot.shares)
        }


class Cuts:
    """Watches shares, and cuts those that are beyond their bounds, in a thread beside the requests.

    board: where the workers of a server write what they see; without one, each is on its own
    """

    def __init__(self, routing: Routing, clock: Clock, board: Board | None = None, slot: int = 0) -> None:
        self._routing, self._clock = routing, clock
        self._board = Board(0) if board is None else board
        self._slot = slot
        self._marks: dict[int, Cells] = {}
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "backstay-cuts")
        self.failed = 0

    def begins(self, entry: int, served: ServedModel, rows: int, *, shadow: bool = False) -> None:
        """This thread is about to score rows of a share, or a shadow: should that not end, or end this process, it is
        known whose they were."""
        mark = self._marks.get(get_ident()) or self._mark()
        mark[1], mark[2], mark[3] = served.version.number, shadow, monotonic()
        mark[4] = max(_HUNG, _TIMES * served.cost.of(rows))
        mark[0] = entry

    def ends(self) -> None:
        """They were scored, or failed."""
        self._marks[get_ident()][0] = 0

    def _mark(self) -> Cells:
        """A mark for this thread; there are more than threads that score."""
        with self._lock:
            return self._marks.setdefault(get_ident(), self._board.mark(self._slot, len(self._marks) % LANES))

    def saw(
        self,
        snapshot: Snapshot,
        asked: ServedModel,
        records: Sequence[Prediction],
        seconds: float,
        problem: str,
        *,
        blank: bool = True,
    ) -> None:
        """A batch was answered, of a share or of the champion; or, of a share, its rows of one kind.

        asked:   the version whose rows these were; where it failed, the records are the champion's, and `problem` why
        seconds: what its scoring took; NaN where that says nothing
        blank:   of one that failed, whether no row of the whole batch had a score
        """
        if not snapshot.shares:
            return
        watched = self._watched.get(snapshot.champion.served.model.name)
        if watched is None or watched.snapshot is not snapshot:
            watched = self._changed(watched, snapshot)
            if watched is None:
                return
        if asked is snapshot.champion.served:
            for one in watched.shares.values():
                one.beside(records, seconds)
            return
        watch = watched.shares.get(asked.version.digest)
        if watch is None:
            return
        watch.noted(records, seconds, bool(problem), blank)
        if problem:
            with self._lock:
                self.failed += 1
            if watch.failures >= watch.bounds.failures and not watch.over:
                told = {"breaker": "failures", "value": watch.failures, "bound": watch.bounds.failures}
                why = f"failed {watch.failures} times in a row: {problem}"
                self._submit(snapshot, watch, self._now(records), why, told)
                return
        if watch.due(monotonic()):
            found = watch.judged()
            if found is not None:
                self._submit(snapshot, watch, self._now(records), *found)

    def failed_too(self) -> None:
        """A batch of a share failed, and the champion had no score for it either: it is counted, and no breaker's."""
        with self._lock:
            self.failed += 1

    def close(self) -> None:
        """Finish what is being written."""
        self._writer.shutdown()

    def _changed(self, known: _Watched | None, snapshot: Snapshot) -> _Watched | None:
        """What is watched from now on; None if it is the snapshot that is late."""
        if known is not None and known.snapshot.serial > snapshot.serial:
            return None
        made = self._watched[snapshot.champion.served.model.name] = _Watched(snapshot, self._board)
        return made

    def _now(self, records: Sequence[Prediction]) -> Clock:
        """The time of a cut: a replay has none of its own, and takes that of what was asked."""
        replayed = [one.at for one in records if one.replayed]
        return ReplayClock(max(replayed)) if replayed else self._clock

    def _submit(self, snapshot: Snapshot, watch: Watch, clock: Clock, what: str, evidence: Mapping[str, Any]) -> None:
        watch.over = True
        assert snapshot.entry is not None
        self._writer.submit(self._cut, snapshot.entry, watch, clock, what, evidence)

    def _cut(self, entry: RouteEntry, watch: Watch, clock: Clock, what: str, evidence: Mapping[str, Any]) -> None:
        # The champion goes on answering for it; if it could not be written down, it is tried again.
        watch.over = cut(self._routing, clock, entry, watch.choice.served.version.digest, what, evidence)
        watch.failures = 0


def crashed(routing: Routing, clock: Clock, death: Death) -> None:
    """A worker died, or hung, while it scored the rows of a share or a shadow: it is cut.

    It is though the route was set anew since: such a version takes the requests of others with it.
    """
    mark, seen = death.mark, routing.seen(death.mark.entry)
    route = None if seen is None else routing.get(seen.model)
    parts = () if route is None else route.parts
    part = next((one for one in parts if _is(one, mark.shadow) and one.version == mark.number), None)
    if route is None or part is None:
        return
    told: dict[str, Any] = {"breaker": "hung" if death.hung else "crash", "value": death.value, "bound": death.bound}
    if death.hung:
        why = f"hung: its rows were scored for {death.value:g} s, and the worker was killed"
    else:
        told["code"] = code = death.code
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        why = f"a worker that scored its rows ended with {ended}" + (", again" if death.bound else "")
    cut(routing, clock, route, part.digest, why, told, shadow=mark.shadow)


def cut(
    routing: Routing, clock: Clock, entry: RouteEntry, digest: str, what: str, evidence: Mapping[str, Any], *,
    shadow: bool = False,
) -> bool:  # fmt: skip
    """Give the share of a version to the champion; whether that is over: false if it could not be written down.

    Nothing is done if the route was set anew meanwhile: that holds.

    shadow: it is the version's part as a shadow that goes
    """
    part = next(one for one in entry.parts if _is(one, shadow) and one.digest == digest)
    why = f"the {'shadow' if shadow else 'share'} of version {part.version} was cut: {what}"
    told = {"version": digest, "number": part.version, "reason": what, "evidence": dict(evidence)}
    if shadow:
        told["shadow"] = True
    _logger.error("model %s: %s", entry.model, why)
    try:
        routing.set(
            entry.model, [one for one in entry.parts if one is not part], key=entry.key, why=why, at=clock.now(),
            actor="server", expect=entry.entry_id, breakers=entry.breakers, cut=told,
        )  # fmt: skip
    except ConflictError:  # another server was first, or somebody set the route anew: theirs holds
        _logger.info("the route of model %s was set meanwhile", entry.model)
    except BackstayError:
        _logger.exception("version %s of model %s could not be cut", part.version, entry.model)
        return False
    return True


def _is(part: Part, shadow: bool) -> bool:
    """Whether a part is a shadow, or else a share of another version than the champion."""
    return part.shadow if shadow else not part.shadow and not part.baseline
