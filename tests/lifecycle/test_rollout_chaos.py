"""The controller is killed before and after each thing it does: the rollout ends as it does without the kill.

All that it does to the world is to append to the ledger: a state, a route, a move of the alias. So a whole rollout is
played tick by tick, and each tick again and again from the same records, killed at each append in turn; then a fresh
process ticks once more. What stands in the ledger is then the same, but for who is in which cohort: a rollout draws its
own lot. Equal records after each tick are equal records at the end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstay.project import Project
from tests.lifecycle.rolling import Life, declared
from tests.serving import shop

KINDS = ("rollout", "route", "alias", "gate")


class Killed(BaseException):
    """As SIGKILL: nothing in between may catch it."""


def killing(project: Project, at: int, after: bool, kill: Callable[[], None]) -> list[str]:
    """Have the project's ledger kill before or after its append number `at`, from 0; what was appended is listed."""
    ledger: Any = project.services.ledger
    append, done = ledger.append, []

    def instead(kind: str, subject: str, *more: Any, **named: Any) -> Any:
        here = kind in KINDS and len(done) == at
        if here and not after:
            kill()
        entry = append(kind, subject, *more, **named)
        if kind in KINDS:
            done.append(kind)
        if here:
            kill()
        return entry

    ledger.append = instead
    return done


def raised() -> None:
    raise Killed


def told(life: Life) -> dict[str, Any]:
    """All that the records say of the rollout, without what a lot decides."""
    states = [one.state for one in life.project.rollouts.history("late")]
    stages = [(one.stage, one.step, one.share, one.cause, one.number, one.against, one.met) for one in states]
    return {"stages": stages, "route": life.route, "champion": life.champion, "moves": moves(life)}


def moves(life: Life) -> list[tuple[int, int | None]]:
    return [(one.to, one.previous) for one in life.project.records.registry.history("late", "champion")]


def played(
    life: Life, tmp: Path, play: Callable[[Life, int], None], ticks: range, first: int = 0
) -> tuple[list[str], int]:
    """Play a rollout; at each tick, kill a copy at each of its appends. What was done, and how often it was killed."""
    effects, kills = [], 0
    for number in ticks:
        play(life, number)
        before = life.copied(tmp / f"before{number}")
        done = killing(life.project, -1, False, raised)
        life.tick()
        whole = told(life)
        for place in range(len(done) if number >= first else 0):
            for after in (False, True) if place == 0 else (True,):  # before one is after the one before
                kills += 1
                other = before.copied(tmp / f"{number}-{place}-{after}")
                killing(other.project, place, after, raised)
                with pytest.raises(Killed):
                    other.tick()
                other.open()
                other.tick()
                assert told(other) == whole, f"killed {'after' if after else 'before'} {done[place]} of tick {number}"
        effects += done
        life.open()
    return effects, kills


@pytest.fixture(scope="module")
def fresh(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Version 2 is judged, and its rollout has not begun; never changed."""
    life = Life(declared(shop.copied(base, tmp_path_factory.mktemp("fresh"))))
    assert life.judge() == "PASS"
    return life


def test_a_rollout_that_is_promoted(fresh: Life, tmp_path: Path) -> None:
    def play(life: Life, number: int) -> None:
        if number:
            life.serve([0, 300, 900, 400][number], hours=2)

    life = fresh.copied(tmp_path)
    effects, kills = played(life, tmp_path, play, range(4))
    print(f"promoted: killed {kills} times, at {' '.join(effects)}")  # noqa: T201
    assert effects == [
        "rollout", "route", "rollout", "route", "rollout", "route", "rollout", "alias", "rollout", "route",
    ]  # fmt: skip
    assert (life.where, life.champion, life.route) == ("promoted", 2, {})


def test_a_rollout_that_is_rolled_back(fresh: Life, tmp_path: Path) -> None:
    def play(life: Life, number: int) -> None:
        if number:
            life.errors = 0.0 if number == 1 else 0.6
            life.serve([0, 300, 900][number], hours=2)

    life = fresh.copied(tmp_path)
    effects, kills = played(life, tmp_path, play, range(3), first=2)  # the ticks before are those of the other one
    print(f"rolled back: killed {kills} times, at {' '.join(effects)}")  # noqa: T201
    assert effects == ["rollout", "route", "rollout", "route", "rollout", "route"]
    assert (life.where, life.champion, life.route) == ("rolled back", 1, {})


def test_another_controller_acts_at_each_moment(fresh: Life, tmp_path: Path) -> None:
    """Two of them at once do no more than one: the other ticks before, or after, each append of the one."""
    ready = made_ready(fresh, tmp_path)
    first = ready.copied(tmp_path / "alone")
    first.tick()
    alone = told(first)
    for place in range(4):
        for after in (False, True):
            life = ready.copied(tmp_path / f"{place}-{after}")
            other = Life(life.path, now=life.now, actor="another")
            killing(life.project, place, after, lambda other=other: other.tick())
            life.tick()
            assert told(life) == alone


def made_ready(fresh: Life, tmp: Path) -> Life:
    """The next tick promotes."""
    life = fresh.copied(tmp)
    for requests in (300, 900, 400):
        life.tick()
        life.serve(requests, hours=2)
    return life


SCRIPT = """
import os, signal, sys
from pathlib import Path
from tests.lifecycle.rolling import Life
from tests.lifecycle.test_rollout_chaos import killing
path, now, place = sys.argv[1:]
life = Life(Path(path), now=int(now))
killing(life.project, int(place), True, lambda: os.kill(os.getpid(), signal.SIGKILL))
life.tick()
"""


@pytest.mark.parametrize(
    "place", [0, 1], ids=["it is to be promoted, and the alias has not moved", "the alias has moved"]
)
def test_a_process_that_is_killed_for_real(fresh: Life, tmp_path: Path, place: int) -> None:
    life = made_ready(fresh, tmp_path)
    life.project.close()
    words = [sys.executable, "-c", SCRIPT, str(life.path), str(life.now), str(place)]
    done = subprocess.run(words, cwd=shop.ROOT, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    life.open()
    assert (life.where, life.champion) == ("promoting", 2 if place else 1)
    life.tick()
    assert (life.where, life.champion, life.route) == ("promoted", 2, {})


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{shop.ROOT / 'src'}{os.pathsep}{shop.ROOT}"}
