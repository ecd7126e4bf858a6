"""The records and the clock, together: what every function of this room works on."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.core.clock import Clock
from backstay.registry.versions import Registry
from backstay.storage.ports import EventStore, Ledger, PredictionLog


@dataclass(frozen=True, slots=True)
class Records:
    """The three records, the registry over the ledger, the clock, and who is acting."""

    events: EventStore
    predictions: PredictionLog
    ledger: Ledger
    registry: Registry
    clock: Clock
    actor: str
