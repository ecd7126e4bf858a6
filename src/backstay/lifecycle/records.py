"""The records and the clock, together: what every function of this room works on."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.core.clock import Clock
from backstay.definitions import Model
from backstay.evaluation.calibration.rule import Rule
from backstay.monitoring.kept import Kept
from backstay.registry.experiments import Runs
from backstay.registry.rules import Rules
from backstay.registry.steps import Steps
from backstay.registry.versions import ModelVersion, Registry
from backstay.runtimes import Scorer, load
from backstay.storage.ports import EventStore, Ledger, PredictionLog


@dataclass(frozen=True, slots=True)
class Records:
    """The three records, the registry over the ledger, the runs, the clock, and who is acting."""

    events: EventStore
    predictions: PredictionLog
    ledger: Ledger
    registry: Registry
    runs: Runs
    clock: Clock
    actor: str
    steps: Steps | None = None
    """what trainings made before, if they may use it"""
    kept: Kept | None = None
    """what was counted of closed windows, if it is kept"""

    def scorer(self, model: Model, version: ModelVersion) -> Scorer:
        """A version's files, verified and loaded in the runtime that serves them."""
        read = self.registry.reader(version)
        return load(model, version.manifest.scorer.format, read, where=f"{version.model}/{version.number}")

    @property
    def rules(self) -> Rules:
        """The calibrations and thresholds of versions."""
        return Rules(self.ledger, self.registry)

    def rule(self, version: ModelVersion, name: str | None = None, *, as_of: int | None = None) -> Rule:
        """What makes a version's answers of its scores: the rule in force (at a moment), or one by its logged name."""
        found = self.rules.in_force(version, as_of=as_of) if name is None else self.rules.named(version, name)
        return Rule.of(found.threshold, found.calibrator, found.name)

    def learned_until(self, version: ModelVersion, *, as_of: int | None = None) -> int:
        """Up to when what a version answers has been fitted to what happened: its training, and its rule in force.

        Rows asked later, after the embargo, are those that may tell how good it is.
        """
        return max(version.manifest.cutoff, self.rules.in_force(version, as_of=as_of).fitted_until)
