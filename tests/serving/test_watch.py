"""What a watch finds beyond bounds and what it leaves alone: by simulation, with the figures printed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backstay.definitions import Breakers
from backstay.evaluation.calibration.rule import Rule
from backstay.registry.routing import Part, RouteEntry, allocate
from backstay.serving.board import Board
from backstay.serving.routes import Cost, Snapshot
from backstay.serving.watch import PLACES, Watch, beyond_rate, beyond_shift, beyond_time, claimed
from tests.predicted import prediction


def _served(number: int) -> Any:
    version = SimpleNamespace(digest=f"d{number}", number=number)
    return SimpleNamespace(version=version, rule=Rule(0.5), cost=Cost(1e-5, 1e-6), model=SimpleNamespace(name="m"))


def _snapshot(baseline: bool = False, entry: int = 1) -> Snapshot:
    parts = [Part("v2", 2, "d2", 500), *([Part("baseline", 1, "d1", 500)] if baseline else [])]
    route = RouteEntry("m", tuple(allocate(parts, ())), ("order",), "salt", "why", 0, "ana", entry)
    return Snapshot(_served(1), route, {"d2": _served(2)})


def _watch(board: Board | None = None, *, snapshot: Snapshot | None = None, **bounds: Any) -> Watch:
    made = snapshot or _snapshot()
    return Watch(made, made.shares[0], claimed((board or Board(0)).tables, "m", 0), Breakers(**bounds))


def _records(scores: npt.NDArray[np.float64], first: int = 0, route: str = "v2", entities: int = 10**9) -> list[Any]:
    return [
        prediction(number, keys={"order": f"o{(first + number) % entities}"}, score=float(score), route=route)
        for number, score in enumerate(scores)
    ]


def _fed(watch: Watch, mine: npt.NDArray[np.float64], others: npt.NDArray[np.float64], **more: Any) -> Any:
    """What is found after these scores, one by one, side by side."""
    for number, (one, other) in enumerate(zip(mine, others, strict=True)):
        watch.noted(_records(np.array([one]), number, **more), 1e-5, failed=False)
        watch.beside(_records(np.array([other]), 10**6 + number, "champion", **more), 1e-5)
    return watch.judged()


def test_scores_that_all_shift_are_found_within_200_requests_and_others_are_not() -> None:
    random = np.random.default_rng(7)
    scores = random.beta(2, 6, (2, 200))
    found = _fed(_watch(), 1 - scores[0], scores[1])
    assert found is not None
    assert found[1]["breaker"] == "score_shift"
    assert (found[1]["rows"], found[1]["champion_rows"]) == (200, 200)
    assert found[1]["value"] > found[1]["bound"] + found[1]["chance"]
    assert _fed(_watch(), scores[0], scores[1]) is None
    assert _fed(_watch(), random.beta(2.6, 6, 200), scores[1]) is None, "another distribution, and a fine one"
    assert _fed(_watch(minimum=201), 1 - scores[0], scores[1]) is None


def test_an_entity_counts_once_however_often_it_asks() -> None:
    random = np.random.default_rng(8)
    found = _fed(_watch(), np.full(400, 0.9), random.beta(2, 6, 400), entities=3)
    assert found is None, "three customers say nothing of all"


def test_what_two_workers_see_is_judged_together_and_another_route_begins_anew() -> None:
    board, random = Board(0), np.random.default_rng(9)
    first, second = _watch(board), _watch(board)
    scores = random.beta(2, 6, (2, 140))
    half = [(1 - scores[0, :70], scores[1, :70]), (1 - scores[0, 70:], scores[1, 70:])]
    assert _fed(first, *half[0]) is None, "70 rows are too few"
    for number, (one, other) in enumerate(zip(*half[1], strict=True)):
        second.noted(_records(np.array([one]), 500 + number), 1e-5, failed=False)
        second.beside(_records(np.array([other]), 10**7 + number, "champion"), 1e-5)
    for watch in (first, second):
        found = watch.judged()
        assert found is not None
        assert found[1]["rows"] == 140
    anew = _watch(board, snapshot=_snapshot(entry=2))
    assert anew.judged() is None
    first.noted(_records(np.full(300, 0.99)), 1e-5, failed=False)
    assert first.judged() is None, "who is late writes nothing for another route"
    assert _fed(anew, *half[0]) is None
    # Another model never writes in it, though it were given the same place.
    tables = Board(0).tables[:4]
    assert claimed(tables, "m", 0) is tables[0]
    assert claimed(tables, "m", 0) is tables[0]
    assert claimed(tables, "other", 0) is not tables[0]


def test_only_the_baselines_rows_are_compared_with_where_there_is_one() -> None:
    watch, random = _watch(snapshot=_snapshot(baseline=True)), np.random.default_rng(10)
    for number in range(300):
        watch.noted(_records(random.beta(2, 6, 1), number), 1e-5, failed=False)
        watch.beside(_records(random.beta(6, 2, 1), 10**6 + number, "champion"), 1e-5)
    assert watch.judged() is None
    for number in range(150):
        watch.beside(_records(random.beta(6, 2, 2), 10**7 + number, "baseline")[:1], 1e-5)
    found = watch.judged()
    assert found is not None
    assert (found[1]["breaker"], found[1]["champion_rows"]) == ("score_shift", 150)


def test_errors_that_are_not_in_a_row_are_found_by_their_rate() -> None:
    watch = _watch()
    for number in range(200):
        watch.noted(_records(np.array([0.2]), number), 1e-5, failed=number % 4 == 0)
        assert watch.failures < 5
    found = watch.judged()
    assert found is not None
    assert found[1] == {
        "breaker": "error_rate", "value": 0.25, "bound": 0.05, "batches": 200, "rows": 200, "champion_rows": 0,
    }  # fmt: skip
    rates = np.array([-64.0, *[64.0] * 9])
    assert beyond_rate(rates, 0.05) is None, "one batch of ten that failed with all its rows is one failure"


def test_times_are_compared_for_as_many_rows_as_they_were_for() -> None:
    watch = _watch(slowdown=5.0)
    for number in range(150):
        watch.noted(_records(np.array([0.2]), number), 300e-6, failed=False)  # alone
        watch.beside(_records(np.full(16, 0.2), 10**6 + 16 * number, "champion"), 40e-6)  # among others
    found = watch.judged()
    assert found is not None
    assert found[1]["breaker"] == "slowdown"
    assert 14 < found[1]["value"] < 21, "27 microseconds for 16 rows are 17 for one"
    quick = _watch(slowdown=5.0)
    for number in range(150):
        quick.noted(_records(np.array([0.2]), number), 90e-6, failed=False)
        quick.beside(_records(np.array([0.2]), 10**6 + number, "champion"), 10e-6)
    assert quick.judged() is None, "nine times nearly nothing"


LOOKS = 1_000
"""Windows that stand for themselves: a share of 50 requests a second fills one in about ten seconds."""


@pytest.mark.parametrize("size", [91, PLACES])
def test_how_often_a_fine_version_is_cut(size: int) -> None:
    """None of 1,000 windows, for scores that are the same, others, and 0.2 apart, and for times that are 3 times as
    long, with tails as heavy as of a busy machine; of scores that are 0.3 apart, at the bound, at most 1 in 1,000."""
    random, cuts = np.random.default_rng(11), {}
    for name, shift in (("same", 0.0), ("0.1 apart", 0.1), ("0.2 apart", 0.2), ("at the bound", 0.3)):
        # Uniform scores that are moved by d lie d apart.
        cuts[name] = sum(
            beyond_shift(random.uniform(0, 1, size) + shift, random.uniform(0, 1, size), 0.3) is not None
            for _ in range(LOOKS)
        )
    for name, slower in (("as quick", 1.0), ("2 times", 2.0), ("3 times", 3.0)):
        times, others = (random.lognormal(0, 1.0, (LOOKS, size)) * factor for factor in (slower, 1.0))
        cuts[name] = sum(
            beyond_time(one, other, 5.0, 1e-3) is not None for one, other in zip(times, others, strict=True)
        )
    for name, rate in (("2% fail", 0.02), ("5% fail", 0.05)):
        failed = random.random((LOOKS, size)) < rate
        cuts[name] = sum(beyond_rate(np.where(one, -1.0, 1.0), 0.05) is not None for one in failed)
    print(f"cut of {LOOKS}, {size} of each: {cuts}")  # noqa: T201
    allowed = {"at the bound": LOOKS / 1_000, "5% fail": LOOKS / 100}
    assert {name: number for name, number in cuts.items() if number > allowed.get(name, 0)} == {}


@pytest.mark.parametrize("size", [91, 200])
def test_how_often_one_that_does_harm_is_cut(size: int) -> None:
    random, cuts = np.random.default_rng(12), {}
    for name, shift in (("0.7 apart", 0.7), ("0.9 apart", 0.9)):
        cuts[name] = sum(
            beyond_shift(random.uniform(0, 1, size) + shift, random.uniform(0, 1, size), 0.3) is not None
            for _ in range(LOOKS)
        )
    times, others = random.lognormal(0, 1.0, (LOOKS, size)) * 10, random.lognormal(0, 1.0, (LOOKS, size))
    cuts["10 times as long"] = sum(
        beyond_time(one, other, 5.0, 1e-4) is not None for one, other in zip(times, others, strict=True)
    )
    print(f"cut of {LOOKS}, {size} of each: {cuts}")  # noqa: T201
    assert cuts["0.9 apart"] == LOOKS
    assert min(cuts.values()) >= 0.99 * LOOKS * (size >= 200)
