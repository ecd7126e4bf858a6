"""The objectives of a project: `project.objectives`. Whether what models promise is kept."""

from __future__ import annotations

from backstay.core.clock import Clock
from backstay.core.times import instant
from backstay.evaluation.budgets import Kept, first, keeping
from backstay.project.loading import Definitions
from backstay.storage.ports import CountLog


class Objectives:
    """Judges each model's objective by what servers counted; a model without one is named too.

    for one in project.objectives.show():
        print(one.model, one.line)
    """

    def __init__(self, definitions: Definitions, counts: CountLog, clock: Clock) -> None:
        self._definitions, self._counts, self._clock = definitions, counts, clock

    def show(self, model: str | None = None, *, as_of: str | int | None = None) -> list[Kept]:
        """How the models, or the one that is named, keep their objectives as of a moment (default: now)."""
        moment = self._clock.now() if as_of is None else instant(as_of, where="as_of")
        models = self._definitions.models
        if model is not None:
            models = {model: self._definitions.model(model)}
        objectives = {name: one.objective for name, one in models.items()}
        if not any(objectives.values()):
            return keeping(objectives, (), moment)
        return keeping(objectives, self._counts.scan(since=first(objectives, moment), until=moment), moment)
