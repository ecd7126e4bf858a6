"""A share whose version fails: the champion answers for it, and the server cuts it, once, on the record."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backstay.core.clock import SystemClock
from backstay.definitions import FeatureSet, Request
from backstay.evaluation.calibration.rule import Rule
from backstay.registry.routing import Part, Routing
from backstay.registry.versions import Registry
from backstay.serving import watch as watch_module
from backstay.serving.core import Core
from backstay.serving.cuts import Cuts
from backstay.serving.job import Asking
from backstay.serving.metrics import Metrics
from backstay.serving.routes import Cost, Snapshot
from backstay.storage.backends.memory import MemoryArtifacts, MemoryLedger, MemoryPredictions


class _Model:
    def __init__(self, score: float) -> None:
        self.says, self.fails, self.gaps = score, False, False

    def score(self, matrix: Any) -> Any:
        if self.fails:
            raise ValueError("a tree is missing")
        return np.where((matrix[:, 0] < 0) & self.gaps, np.nan, self.says)


def _served(number: int, score: float) -> Any:
    features = FeatureSet("f", [Request(size="float")])
    return SimpleNamespace(
        model=SimpleNamespace(name="m", features=features), scorer=_Model(score), rule=Rule(0.5), cost=Cost(1e-5, 1e-6),
        version=SimpleNamespace(digest=f"d{number}", number=number),
    )  # fmt: skip


class _World:
    """A core with a champion, a share of 10% and a shadow."""

    def __init__(self, replay: bool = False) -> None:
        ledger = MemoryLedger()
        self.routing = Routing(ledger, Registry(ledger, MemoryArtifacts()))
        parts = [Part("v2", 2, "d2", 1_000), Part("v3", 3, "d3", 10_000, shadow=True)]
        self.entry = self.routing.set("m", parts, key=("order",), why="try it", at=1, actor="ana")
        self.champion, self.share = _served(1, 0.25), _served(2, 0.75)
        self.snapshot = Snapshot(self.champion, self.entry, {"d2": self.share})
        self.cuts, self.log = Cuts(self.routing, SystemClock()), MemoryPredictions()
        self.core = Core(self.log, SystemClock(), Metrics(), replay=replay, cuts=self.cuts)

    def ask(self) -> list[Asking]:
        """One job for the champion and one for the share, in one batch."""
        jobs = [
            Asking(1, choice=choice, vector=np.ones((1, 1), np.float32), at=1, snapshot=self.snapshot)
            for choice in self.snapshot.choices
        ]
        self.core.predict(jobs)
        return jobs

    def cut(self) -> Any:
        begin = time.monotonic()
        while (now := self.routing.get("m")) == self.entry:
            assert time.monotonic() - begin < 5
            time.sleep(0.01)
        return now


@pytest.mark.parametrize("fault", ["error", "nan"])
def test_the_champion_answers_for_it_until_it_is_cut(fault: str) -> None:
    world = _World()
    assert [job.answer and job.answer.scores for job in world.ask()] == [[0.25], [0.75]]
    model = world.share.scorer
    model.fails, model.says = fault == "error", np.nan
    for _ in range(5):
        jobs = world.ask()
        assert [job.error for job in jobs] == [None, None]
        assert [job.answer and job.answer.scores for job in jobs] == [[0.25], [0.25]]
        assert [job.version for job in jobs] == [1, 1]
    cut = world.cut()
    assert [(one.version, one.shadow) for one in cut.parts] == [(3, True)], "and nothing else is touched"
    assert cut.actor == "server"
    assert "the share of version 2 was cut: failed 5 times in a row" in cut.why
    assert cut.cut == {
        "version": "d2", "number": 2, "reason": cut.why.partition(": ")[2],
        "evidence": {"breaker": "failures", "value": 5, "bound": 5},
    }  # fmt: skip
    assert (cut.salt, cut.key) == (world.entry.salt, world.entry.key)
    routes = [(one.route, one.version, one.propensity) for one in world.log.scan()]
    assert routes.count(("fallback", "d1", 0.1)) == 5
    assert routes.count(("v2", "d2", 0.1)) == 1
    errors = [(one.error, one.took > 0) for one in world.log.scan() if one.route == "fallback"]
    assert set(errors) == {(cut.why.partition("row: ")[2], True)}
    for _ in range(6):  # until the server has followed, it goes on; nobody cuts twice
        world.ask()
    world.cuts.close()
    assert world.routing.get("m") == cut


def test_failures_that_are_not_in_a_row_cut_nothing() -> None:
    world = _World()
    for turn in range(12):
        world.share.scorer.fails = turn % 4 != 3
        world.ask()
    world.cuts.close()
    assert world.cuts.failed == 9
    assert world.routing.get("m") == world.entry


def test_rows_without_a_score_fail_their_own_requests_and_not_those_of_others_in_the_batch() -> None:
    world = _World()
    world.share.scorer.gaps = True
    sizes = ([1.0, 2.0], [3.0], [-1.0, 4.0], [5.0])  # negative: no score
    for _ in range(20):
        jobs = [
            Asking(
                len(rows), choice=world.snapshot.choices[1], at=1, snapshot=world.snapshot,
                vector=np.array(rows, np.float32)[:, None],
            )
            for rows in sizes
        ]  # fmt: skip
        world.core.predict(jobs)
        told = [job.answer and job.answer.scores for job in jobs]
        assert told == [[0.75, 0.75], [0.75], [0.25, 0.25], [0.75]]
        assert [job.version for job in jobs] == [2, 2, 1, 2]
    logged = [(one.route, one.values, one.score) for one in world.log.scan()]
    assert {one[1][0]: (one[0], one[2]) for one in logged} == {
        **dict.fromkeys((1.0, 2.0, 3.0, 5.0), ("v2", 0.75)), **dict.fromkeys((-1.0, 4.0), ("fallback", 0.25)),
    }  # fmt: skip
    world.cuts.close()
    assert world.routing.get("m") == world.entry, "no batch has failed, though in each a request did"
    assert world.cuts.failed == 20


def test_one_percent_of_rows_without_a_score_is_no_rate_beyond_five_though_the_batches_are_of_32() -> None:
    world, random = _World(), np.random.default_rng(8)
    world.share.scorer.gaps = True
    for _ in range(100):
        values = np.where(random.random(32) < 0.01, -1.0, 1.0).astype(np.float32)
        choice = world.snapshot.choices[1]
        world.core.predict(
            [Asking(1, choice=choice, vector=np.array([[one]]), at=1, snapshot=world.snapshot) for one in values]
        )
    [watch] = world.cuts._watched["m"].shares.values()
    assert watch.judged() is None
    rates = np.array(watch._table)[watch_module._RATES : watch_module._RATES + watch_module.PLACES]
    assert -rates[rates < 0].sum() / np.nansum(np.abs(rates)) == pytest.approx(0.01, abs=0.005)
    world.cuts.close()
    assert world.routing.get("m") == world.entry


def test_in_a_replay_a_cut_has_the_time_of_what_was_asked() -> None:
    world = _World(replay=True)
    world.share.scorer.fails = True
    for _ in range(5):
        world.ask()
    assert world.cut().at == 1
    world.cuts.close()


def test_what_somebody_set_meanwhile_holds() -> None:
    world = _World()
    world.share.scorer.fails = True
    theirs = world.routing.set("m", [Part("v2", 2, "d2", 2_000)], key=("order",), why="more", at=2, actor="bo")
    for _ in range(5):
        world.ask()
    world.cuts.close()
    assert world.routing.get("m") == theirs
