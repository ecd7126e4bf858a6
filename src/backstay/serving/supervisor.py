"""The supervisor: the parent of several workers that accept on one listener. It starts, watches and replaces them.

It takes no requests and holds no stores; what it shares with its workers are the listener, the board and a pipe each
way. A worker says on its pipe that it is ready, or why it cannot start; the other pipe ends with the parent, whatever
ends it, and then the worker stops.

    a worker dies      it is replaced at once; with growing delays while new ones die before they are ready
                       while it scored a share's or a shadow's rows: that is cut, see `suspects.py` and `cuts.py`
    one hangs          on such rows: it is killed, and that is cut
    SIGTERM, SIGINT    all are told to stop, and waited for
    SIGHUP             all are replaced, one by one: each new one is ready before the old one stops
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from backstay.core import errors
from backstay.core.errors import BackstayError
from backstay.serving.board import Board
from backstay.serving.server import HURRIED
from backstay.serving.suspects import LOOK, Death, Suspects

_TRIES = 5
"""How often the start of a worker may fail in a row, before a server without any worker gives up."""
_DELAY, _LONGEST = 0.5, 30.0
_STOP_SECONDS = 25.0
"""How long a worker may take to stop, behind its grace, before it is killed."""
_logger = logging.getLogger("backstay.serving")

Start = Callable[[int, bool, int, int], "subprocess.Popen[bytes]"]
"""Starts a worker: its slot, whether it replaces one, where it tells that it is ready, what ends with us."""


@dataclass(slots=True, eq=False)
class Worker:
    process: subprocess.Popen[bytes]
    slot: int
    told: int
    """Where it says that it is ready."""
    life: int
    """Closed by this process' end."""
    replaces: Worker | None = None
    ready: bool = False
    heard: bytes = b""
    error: BackstayError | None = None
    gone_by: float = inf
    """When one that was told to stop is killed, if it has not ended."""
    hung: Death | None = None
    """On what it hung, for which it was killed."""

    def close(self) -> None:
        for descriptor in (self.told, self.life):
            os.close(descriptor)


@dataclass(slots=True)
class _Slot:
    """What is known of the starts in a slot."""

    failures: int = 0
    again: float | None = None
    """When the next start is due."""


@dataclass
class Supervisor:
    """Runs `count` workers until it is told to stop.

    start: starts one
    board: has a slot for each worker, and one for a worker that is about to replace another
    ready: called once, with what the first worker told, when all of them take requests
    grace: seconds that a worker goes on after SIGTERM
    crashed: called, in a thread of its own, with whose rows a worker was scoring that died or hung, where it is theirs
    listeners: closed here as soon as all are told to stop: what no worker takes any more must be refused, not wait
    """

    start: Start
    board: Board
    count: int
    ready: Callable[[Mapping[str, Any]], None]
    grace: float
    listeners: Sequence[socket.socket]
    crashed: Callable[[Sequence[Death]], None]
    _workers: list[Worker] = field(default_factory=list)
    _slots: dict[int, _Slot] = field(default_factory=dict)
    _old: list[Worker] = field(default_factory=list)
    _announced: bool = False
    _stopping: bool = False
    _look: float = 0.0
    _suspects: Suspects = field(init=False)

    def __post_init__(self) -> None:
        self._suspects = Suspects(self.board)

    def run(self) -> None:
        """Serve. Raises what the workers raised, if none can be started."""
        with _signals() as (arrived, selector):
            try:
                for slot in range(self.count):
                    self._begin(slot, selector)
                while self._workers or not self._stopping:
                    self._turn(arrived, selector)
            finally:
                for worker in self._workers:
                    worker.process.kill()
                    worker.process.wait()

    def _begin(self, slot: int, selector: selectors.BaseSelector, replaces: Worker | None = None) -> None:
        told, tells = os.pipe()
        ends, life = os.pipe()
        try:
            process = self.start(slot, self._announced, tells, ends)
        finally:
            os.close(tells)
            os.close(ends)
        os.set_blocking(told, False)
        worker = Worker(process, slot, told, life, replaces)
        self._workers.append(worker)
        self._slots.setdefault(slot, _Slot()).again = None
        selector.register(told, selectors.EVENT_READ, worker)

    def _turn(self, arrived: socket.socket, selector: selectors.BaseSelector) -> None:
        due = [one.again for one in self._slots.values() if one.again is not None]
        due += [one.gone_by for one in self._workers if one.gone_by < inf]
        wait = max(0.0, min([*due, self._look]) - monotonic())
        for key, _ in selector.select(wait):
            if key.fileobj is arrived:
                for number in arrived.recv(64):
                    self._signalled(number)
            else:
                self._hear(key.data)
        for worker in [one for one in self._workers if one.process.poll() is not None]:
            selector.unregister(worker.told)
            self._ended(worker)
        now = monotonic()
        for worker in self._workers:
            if now >= worker.gone_by:
                _logger.error("worker %d did not stop in time, and is killed", worker.process.pid)
                worker.process.kill()
                worker.gone_by = now + 1.0
        if now >= self._look:
            self._look = now + LOOK
            self._kill_hung(now)
        if self._stopping:
            return
        for slot, known in list(self._slots.items()):
            if known.again is not None and now >= known.again:
                self._begin(slot, selector)
        self._roll(selector)

    def _kill_hung(self, now: float) -> None:
        """Kill whoever hangs on the rows of a share or a shadow: neither its loop nor its threads end otherwise."""
        workers = {one.slot: one for one in self._workers if one.hung is None}
        for slot, mark in self._suspects.hung(list(workers), now).items():
            worker, seconds = workers[slot], round(now - mark.since, 1)
            _logger.error("worker %d hangs on version %d, and is killed", worker.process.pid, mark.number)
            worker.hung = Death(mark, -signal.SIGKILL, seconds, mark.bound, hung=True)
            worker.process.kill()

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._stopping:
                _logger.warning(HURRIED)
            self._old.clear()
            for listener in self.listeners:
                listener.close()
            self._stopping = True
            for known in self._slots.values():
                known.again = None
            for worker in self._workers:
                worker.process.send_signal(number)
                worker.gone_by = min(worker.gone_by, monotonic() + self.grace + _STOP_SECONDS)
        elif number == signal.SIGHUP and not self._stopping and self._announced:
            self._old = [one for one in self._workers if one.replaces is None]

    def _hear(self, worker: Worker) -> None:
        with contextlib.suppress(BlockingIOError):
            worker.heard += os.read(worker.told, 65_536)
        if worker.ready or not worker.heard.endswith(b"\n"):
            return
        told = json.loads(worker.heard)
        if "error" in told:
            kind = getattr(errors, told["kind"], BackstayError)
            worker.error = kind(told["error"], where=told["where"], expected=told["expected"], fix=told["fix"])
            return
        worker.ready = True
        self._slots[worker.slot].failures = 0
        if worker.replaces is not None:
            worker.replaces.process.send_signal(signal.SIGUSR1)
            worker.replaces.gone_by = monotonic() + _STOP_SECONDS
        if not self._announced and sum(one.ready for one in self._workers) == self.count:
            self._announced = True
            self.ready(told)

    def _ended(self, worker: Worker) -> None:
        self._hear(worker)
        self._workers.remove(worker)
        worker.close()
        code, hung = worker.process.returncode, worker.hung
        deaths = self._suspects.guilty(worker.slot, code, monotonic()) if hung is None else [hung]
        self.board.leave(worker.slot)
        if deaths:
            threading.Thread(target=self.crashed, args=(deaths,), name="backstay-crash").start()
        if self._stopping:
            return
        following = next((one for one in self._workers if one.replaces is worker), None)
        if following is not None and following.ready:
            following.replaces = None
            return  # as it should be
        why = worker.error or BackstayError(
            f"a worker ended with {code}" if worker.ready else f"a worker ended with {code} before it was ready",
            fix="see the messages above",
        )
        if not self._announced:
            raise why
        _logger.error("worker %d is gone: %s", worker.process.pid, why)
        if worker.replaces is not None and worker.replaces in self._workers and not worker.ready:
            self._old.clear()  # those that work go on
            _logger.error("the workers are not replaced: a new one cannot start")
            return
        if following is not None:
            following.replaces = None  # it is on its way already
            return
        known = self._slots[worker.slot]
        if not worker.ready:
            known.failures += 1
            if known.failures >= _TRIES and not any(one.ready for one in self._workers):
                raise why
        known.again = monotonic() + (min(_DELAY * 2**known.failures, _LONGEST) if known.failures else 0.0)

    def _roll(self, selector: selectors.BaseSelector) -> None:
        """Replace the next of the old workers, once nothing else is on its way."""
        self._old = [one for one in self._old if one in self._workers]
        waiting = any(known.again is not None for known in self._slots.values())
        if not self._old or waiting or any(one.replaces or not one.ready for one in self._workers):
            return
        taken = {one.slot for one in self._workers}
        free = next(slot for slot in range(self.count + 1) if slot not in taken)
        self._begin(free, selector, self._old.pop(0))


@contextlib.contextmanager
def _signals() -> Iterator[tuple[socket.socket, selectors.BaseSelector]]:
    """Signals as bytes on a socket, whichever thread the system gives them to; a child's end wakes as well."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    arrived, sent = socket.socketpair()
    arrived.setblocking(False)
    sent.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(sent.fileno(), warn_on_full_buffer=False)
    with arrived, sent, selectors.DefaultSelector() as selector:
        selector.register(arrived, selectors.EVENT_READ)
        try:
            yield arrived, selector
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
