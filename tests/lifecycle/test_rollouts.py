"""Rollouts on real records: from the gate to champion, and back at the first sign of harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.rolling import Life, declared


@pytest.fixture
def life(base: Path, tmp_path: Path) -> Life:
    from tests.serving import shop

    return Life(declared(shop.copied(base, tmp_path)))


def test_a_version_goes_from_its_gate_to_champion(life: Life) -> None:
    ticked = life.tick()
    assert [one.decision.verdict.value for one in ticked.judged] == ["PASS"], ticked.judged[0].decision.reason
    assert (life.champion, life.where, life.route) == (1, "shadow", {"shadow v2": 1.0})
    life.serve()
    print(life.tick().rollouts)
    assert (life.where, life.route) == ("canary 10%", {"v2": 0.1, "baseline": 0.1})
    life.serve(1500)
    print(life.tick().rollouts)
    assert (life.where, life.route) == ("canary 40%", {"v2": 0.4, "baseline": 0.4})
    life.serve(1000, hours=3)
    ticked = life.tick()
    assert [one.state.where for one in ticked.rollouts] == ["promoting", "promoted"]
    print(life.project.rollouts.show("late"))
    assert (life.where, life.champion, life.route) == ("promoted", 2, {})


def test_harm_in_errors(life: Life) -> None:
    life.errors = 0.2
    life.tick()
    life.serve()
    life.tick()
    assert life.where == "canary 10%"
    life.serve(1500)
    ticked = life.tick()
    print(ticked.rollouts)
    assert (life.where, life.champion, life.route) == ("rolled back", 1, {})


def test_harm_in_labels(life: Life) -> None:
    life.wrong = 0.9
    life.tick()
    life.serve()
    life.tick()
    life.serve(1500)
    life.pass_time(3)
    ticked = life.tick()
    print(ticked.rollouts)
    assert (life.where, life.champion, life.route) == ("rolled back", 1, {})
