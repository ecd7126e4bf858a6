"""Whose rows it was that a worker died of, or hangs on: judged by the supervisor, from the marks of its threads."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from backstay.core.clock import SystemClock
from backstay.registry.routing import Part, Routing
from backstay.registry.versions import Registry
from backstay.serving.board import Board
from backstay.serving.cuts import Cuts, crashed
from backstay.serving.routes import Cost
from backstay.serving.suspects import Suspects
from backstay.storage.backends.memory import MemoryArtifacts, MemoryLedger

SEGFAULT, KILLED = -signal.SIGSEGV, -signal.SIGKILL


class _World:
    def __init__(self) -> None:
        ledger, self.board = MemoryLedger(), Board(0, 2)
        self.routing = Routing(ledger, Registry(ledger, MemoryArtifacts()))
        self.cuts, self.suspects = Cuts(self.routing, SystemClock(), self.board, 1), Suspects(self.board)

    def begins(self, number: int, *, shadow: bool = False, rows: int = 1, ends: bool = False) -> None:
        """In a thread of its own."""
        served: Any = SimpleNamespace(version=SimpleNamespace(number=number), cost=Cost(0.001, 0.01))

        def score() -> None:
            self.cuts.begins(7, served, rows, shadow=shadow)
            if ends:
                self.cuts.ends()
            done.set()
            kept.wait()  # or its successor would have its number

        done, kept = threading.Event(), threading.Event()
        threading.Thread(target=score, daemon=True).start()
        assert done.wait(5)

    def dies(self, code: int, at: float = 0.0) -> list[int]:
        return [one.mark.number for one in self.suspects.guilty(1, code, at)]


def test_a_thread_that_ends_leaves_the_marks_of_others() -> None:
    world = _World()
    world.begins(2)
    world.begins(3, ends=True)
    world.begins(4, shadow=True)
    assert [(one.entry, one.number, one.shadow) for one in world.board.marks(1)] == [(7, 2, False), (7, 4, True)]
    assert world.board.marks(0) == []
    world.board.leave(1)
    assert world.board.marks(1) == []


@pytest.mark.parametrize("code", [SEGFAULT, 9])
def test_one_death_of_its_own_making_is_enough(code: int) -> None:
    world = _World()
    world.begins(2)
    assert world.dies(code) == [2]


def test_one_kill_from_outside_blames_nobody_and_a_second_soon_after_does() -> None:
    world = _World()
    world.begins(2)
    assert [world.dies(KILLED, at) for at in (0.0, 700.0, 1_000.0)] == [[], [], [2]]


def test_where_two_were_scored_it_is_the_one_that_is_there_again() -> None:
    world = _World()
    world.begins(2)
    world.begins(3, shadow=True)
    assert world.dies(SEGFAULT) == []
    world.board.leave(1)
    world.begins(3, shadow=True)
    assert world.dies(SEGFAULT, 1.0) == [3]


def test_what_is_overdue_at_two_looks_hangs_and_only_the_first_of_a_worker() -> None:
    world = _World()
    world.begins(2, rows=100)  # by its cost a second: it may take 20
    world.begins(3)
    world.begins(4, shadow=True)
    now = world.board.marks(1)[1].since
    assert world.suspects.hung([0, 1], now + 4.9) == {}
    assert world.suspects.hung([0, 1], now + 60) == {}, "the machine may have slept"
    assert world.suspects.hung([0, 1], now + 60.5)[1].number == 2
    assert world.board.marks(1)[0].bound == pytest.approx(20, abs=0.1)


def test_a_shadow_goes_and_the_share_of_the_same_version_stays() -> None:
    world = _World()
    parts = [Part("v2", 2, "d2", 1_000), Part("v2", 2, "d2", 10_000, shadow=True)]
    entry = world.routing.set("m", parts, key=("order",), why="try it", at=1, actor="ana")
    world.begins(2, shadow=True)
    [death] = world.suspects.guilty(1, SEGFAULT, 0.0)
    crashed(world.routing, SystemClock(), type(death)(death.mark._replace(entry=entry.entry_id), SEGFAULT, 1, 0))
    route = world.routing.get("m")
    assert route is not None
    assert [(one.version, one.shadow) for one in route.parts] == [(2, False)]
    assert route.cut is not None
    assert route.cut["shadow"] is True
