"""The cache of scores: never another model's answer, never an older one, bounded, and every hit is a prediction."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.clock import ReplayClock
from backstay.core.times import instant
from backstay.project import Project
from backstay.serving.cache import Cache
from tests.serving import shop
from tests.serving.shop import Server, request


class _Model:
    """Scores a row by its sum and its own number; counts the rows that it is asked about."""

    def __init__(self, number: int) -> None:
        self.asked, self._number = 0, number

    def score(self, matrix: Any) -> Any:
        self.asked += len(matrix)
        return matrix.sum(axis=1).astype(np.float64) * 10 + self._number


def _served(number: int) -> Any:
    return SimpleNamespace(version=SimpleNamespace(digest=f"digest{number}"), scorer=_Model(number))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 5), min_size=1, max_size=6)), max_size=20),
    st.integers(0, 3_000),
)
def test_answers_are_those_without_a_cache(calls: list[tuple[int, list[int]]], limit: int) -> None:
    cache, models = Cache(limit), [_served(number) for number in range(3)]
    for number, rows in calls:
        matrix = np.array([[row, row / 2] for row in rows], np.float32)
        assert cache.score(models[number], matrix).tolist() == _Model(number).score(matrix).tolist()
        assert 0 <= cache.bytes <= limit


def test_what_was_asked_is_not_asked_again_and_the_oldest_goes_first() -> None:
    cache, served = Cache(2 * 264), _served(1)
    rows = np.array([[1, 1], [2, 2], [3, 3]], np.float32)
    for place in (0, 1, 0, 2, 0, 1):  # the second is the oldest when the third comes
        cache.score(served, rows[[place]])
    assert (served.scorer.asked, cache.hits, cache.misses) == (4, 2, 4)
    assert cache.bytes == 2 * 264


def test_two_models_with_the_same_inputs_never_answer_for_each_other(path: Path) -> None:
    project = Project(path, clock=ReplayClock(instant(shop.SECOND)), actor="test")
    project.train("unborn", as_of=shop.FIRST, seed=7)
    project.records.registry.move_alias(
        "unborn", "champion", 1, evidence={"reason": "a test"}, at=project.clock.now(), actor="test", expect=None
    )
    project.close()
    (path / "backstay.toml").write_text(f"{shop.TOML}cache_bytes = 1000000\n")

    def ask(server: Server, model: str, **changes: Any) -> tuple[float, str]:
        status, told = server.ask("POST", f"/v1/models/{model}/predict", shop._bytes(request(**changes)))
        assert status == 200, told
        return told["score"], told["prediction_id"]

    with Server(path, "--replay") as server:
        first = {(model, size): ask(server, model, size=size) for model in ("late", "unborn") for size in (9.5, 900.5)}
        again = {key: ask(server, key[0], size=key[1]) for key in reversed(list(first))}
        metrics = server.text("/metrics")
        # Another T is another question: its features are looked up, whatever the cache holds.
        later = ask(server, "late", size=9.5, at="2024-03-20T12:00:00Z")
    assert {key: score for key, (score, _) in again.items()} == {key: score for key, (score, _) in first.items()}
    assert first["late", 900.5][0] != first["unborn", 900.5][0]
    assert "backstay_cache_hits 4.0" in metrics
    logged = {one.id: one for one in shop.logged(path)}
    assert len(logged) == 9
    assert {one for _, one in (*first.values(), *again.values(), later)} == logged.keys()
    for model in ("late", "unborn"):
        assert Project(path).verify(model).holds
