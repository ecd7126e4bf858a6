"""What a tick does about candidates and their rollouts when answers change, and others act at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.lifecycle import tick as ticking
from backstay.lifecycle.rollouts import start, stop
from backstay.lifecycle.tick import open_candidates
from tests.lifecycle.rolling import POLICY, Life, declared
from tests.serving import shop


@pytest.fixture
def life(base: Path, tmp_path: Path) -> Life:
    return Life(declared(shop.copied(base, tmp_path)))


def test_a_tick_tells_what_it_began(life: Life) -> None:
    assert [one.state.where for one in life.tick().rollouts] == ["shadow"]
    assert life.tick().rollouts == ()


def test_a_rollout_that_was_stopped_within_a_tick_is_not_begun_again(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.tick()
    records, model = life.project.records, life.project.model("late")
    read = ticking.open_candidates

    def stopped_meanwhile(*given: object) -> object:
        found = read(*given)  # type: ignore[arg-type]
        if life.where == "shadow":
            stop(records, model, "an incident")
        return found

    monkeypatch.setattr(ticking, "open_candidates", stopped_meanwhile)
    assert [one.state.where for one in life.tick().rollouts] == ["refused"]
    assert (life.where, life.tick().rollouts) == ("refused", ())
    start(records, model, 2)  # a person may
    assert life.where == "shadow"


def test_the_last_answer_of_a_gate_counts(base: Path, tmp_path: Path) -> None:
    strict = Life(declared(shop.copied(base, tmp_path), POLICY))
    text = (strict.path / "models.py").read_text()
    (strict.path / "models.py").write_text(text.replace("margin=-0.3", "margin=0.3"))
    strict.open()
    assert [one.decision.verdict.value for one in strict.tick().judged] == ["FAIL"]
    assert open_candidates(strict.project.records, strict.project.model("late")) == []
    (strict.path / "models.py").write_text(text)
    strict.open()
    assert strict.tick().judged == ()  # nobody asked for another answer
    assert strict.judge() == "PASS"
    assert [one.state.where for one in strict.tick().rollouts] == ["shadow"]


def test_the_key_of_an_experiment_that_ended_is_not_the_rollouts(life: Life) -> None:
    life.project.routes.set({"v2": 0.5}, "late", key=["shop"], why="an experiment by shop")
    life.project.routes.clear("late", why="it ended")
    life.tick()
    entry = life.project.routes.show("late")
    assert entry is not None
    assert (entry.key, life.route) == (life.project.model("late").keys, {"shadow v2": 1.0})
