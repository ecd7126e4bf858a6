"""The rollouts of a project: `project.rollouts`. Where each model's is, by which steps, and why; start and stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.lifecycle import rollouts as controller
from backstay.lifecycle.records import Records
from backstay.lifecycle.rollout_evidence import see
from backstay.lifecycle.rollouts import Turn
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.rollout.stages import CANARY, SHADOW, Seen, time_left


@dataclass(frozen=True, slots=True)
class Where(Shown):
    """Where the rollout of a model is.

    turn: its last state; None if there never was one
    seen: the evidence as it is now; None where nothing is under way
    left: how long the stage may still last; "" where it has no limit
    """

    model: str
    declared: bool
    turn: Turn | None
    seen: Seen | None
    left: str

    def as_dict(self) -> dict[str, Any]:
        state = None if self.turn is None else self.turn.state
        return {
            "model": self.model, "declared": self.declared,
            "running": state is not None and not state.ended,
            "rollout": None if self.turn is None else told(self.turn), "left": self.left,
            "evidence": None if self.seen is None else _evidence(self.seen),
        }  # fmt: skip


def told(turn: Turn) -> dict[str, Any]:
    """A state of a rollout as plain data, its times as text."""
    state = turn.state
    return {
        **state.as_dict(), "where": state.where, "began": instant_text(state.began),
        "since": instant_text(state.since), "by": turn.actor, "entry": turn.entry_id,
    }  # fmt: skip


def _evidence(seen: Seen) -> dict[str, Any]:
    out: dict[str, Any] = seen.numbers()
    if seen.shadow is not None:
        out["shadow"] = seen.shadow.as_dict()
    return out | {"waits_for": seen.approval} if seen.approval else out


class Rollouts:
    """Shows rollouts, starts and stops them. That they go on is for `tick`.

    project.rollouts.start(7)
    project.rollouts.show().turn.state.where
    project.rollouts.stop(why="complaints from the desk")
    """

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def show(self, model: str | None = None) -> Where:
        """Where the rollout of a model is, with the evidence as it is now."""
        one = self._model(model)
        records, now = self._records, self._records.clock.now()
        turn = controller.last(records, one.name)
        if turn is None or turn.state.ended:
            return Where(one.name, one.rollout is not None, turn, None, "")
        past = controller.states(records, turn.state)
        seen = see(records, one, turn.state, past, now) if turn.state.stage in (SHADOW, CANARY) else None
        left = "" if one.rollout is None else time_left(turn.state, one.rollout, now)
        return Where(one.name, one.rollout is not None, turn, seen, left)

    def history(self, model: str | None = None) -> list[Turn]:
        """Every state of every rollout of a model, in order."""
        return controller.history(self._records, self._model(model).name)

    def start(self, number: int, model: str | None = None) -> Turn:
        """Begin the rollout of a version that passed its gate; `tick` does so by itself for the oldest that did."""
        one = self._definitions.model(model)
        self._permits.model(one, "start a rollout of", "promote")
        return controller.start(self._records, one, number)

    def stop(self, model: str | None = None, *, why: str) -> Turn:
        """End the rollout of a model: its champion answers everybody."""
        one = self._definitions.model(model)
        self._permits.model(one, "stop a rollout of", "promote")
        return controller.stop(self._records, one, why)

    def _model(self, name: str | None) -> Model:
        one = self._definitions.model(name)
        self._permits.model(one, "look at rollouts of", "read_offline")
        return one
