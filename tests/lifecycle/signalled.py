"""A model that is watched, on records in memory: windows that a monitor has closed, written as it writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from backstay import Ask, Derived, Entity, EventSource, FeatureSet, Label, Latest, Model, Request, RetrainPolicy
from backstay.core.clock import ReplayClock
from backstay.core.times import DAY, instant
from backstay.definitions import IncidentPolicy
from backstay.lifecycle.incidents import MONITOR, Kept, incidents, settle
from backstay.lifecycle.records import Records
from backstay.monitoring.signals import Signal
from backstay.registry import Registry
from backstay.registry.experiments import Runs
from backstay.storage.backends.memory import (
    MemoryArtifacts,
    MemoryEvents,
    MemoryLedger,
    MemoryPredictions,
    MemoryRuns,
)
from backstay.storage.ports import Entry, Ledger
from tests.registry.records import make_manifest

START = instant("2024-03-01")
trips = EventSource("trips", schema={"trip": "string", "late": "bool"}, event_time="began", delay="0s")
weather = EventSource("weather", schema={"place": "string", "wind": "float"}, event_time="at", freshness="3h")


def made(
    policy: IncidentPolicy | None = None, retrain: RetrainPolicy | None = None, name: str = "late", **more: object
) -> Model:
    trip, place = Entity("trip"), Entity("place")
    features = FeatureSet(
        "trip",
        [
            Latest(weather, by=place, wind="wind"), Latest(trips, by=trip, before="late"), Request(miles="float"),
            Derived(per_mile=pl.col("place_wind") / pl.col("miles")),
        ],
    )  # fmt: skip
    columns = {"trip": "string", "place": "string", "miles": "float"}
    asked = EventSource("asked", schema=columns, event_time="at", delay="0s")
    return Model(
        name, features=features, label=Label("late", source=trips, key="trip", value=pl.col("late"), horizon="1d"),
        ask=Ask(asked), estimator=object, incidents=policy, retrain=retrain, **more,  # type: ignore[arg-type]
    )  # fmt: skip


class Watched:
    """The records of a model and its clock. `day` is how many windows have been closed."""

    def __init__(self, model: Model | None = None, ledger: Ledger | None = None, actor: str = "tick") -> None:
        self.model, self.day = model or made(), 0
        self.clock, ledger, artifacts = ReplayClock(START), ledger or MemoryLedger(), MemoryArtifacts()
        self.records = Records(
            MemoryEvents(), MemoryPredictions(), ledger, Registry(ledger, artifacts),
            Runs(MemoryRuns(), artifacts, self.clock, actor), self.clock, actor,
        )  # fmt: skip

    def beside(self, actor: str = "another", ledger: Ledger | None = None) -> Records:
        """The same records as another process has them."""
        return replace(self.records, actor=actor, ledger=ledger or self.records.ledger)

    def window(
        self, drifting: Mapping[str, str], *clean: str, since: Mapping[str, int] | None = None, effect: float = 0.3
    ) -> Entry:
        """Close a window of a day: by column or metric, the kind of what drifts; and names that are clean again.

        since: by name, the day since when it drifts, where it is not that of the window
        """
        start, self.day = START + self.day * DAY, self.day + 1
        window, began = (start, start + DAY), {name: START + day * DAY for name, day in (since or {}).items()}
        told = [
            Signal(kind, what, "DRIFT", effect, 0.1, began.get(what, start), window, cost=2.0)
            for what, kind in drifting.items()
        ]
        told += [Signal("input_drift", what, "OK", 0.01, 0.1, start, window) for what in clean]
        if self.clock.now() < window[1]:
            self.clock.advance(window[1])
        body = {"window": list(window), "rows": 900, "signals": [one.as_dict() for one in told]}
        return self.records.ledger.append(MONITOR, "late", body, at=window[1], actor="monitor")

    def settle(self) -> list[str]:
        """What a look writes down: number and event."""
        return [f"{one.incident.number} {one.incident.event}" for one in settle(self.records, self.model)]

    @property
    def kept(self) -> list[Kept]:
        return incidents(self.records, "late")

    @property
    def states(self) -> dict[int, str]:
        return {one.incident.number: one.incident.state for one in self.kept}

    def register(self, at: int, **changes: object) -> int:
        """Register a version, whose training set is as of its cut-off."""
        files = {"model.onnx": f"of {at}".encode()}
        given = make_manifest(files, model="late", cutoff=at)
        dataset = replace_struct(given.dataset, as_of=at, until=at)
        manifest = make_manifest(files, model="late", cutoff=at, dataset=dataset, **changes)
        return self.records.registry.register(manifest, files, at=at, actor="ann").number


def replace_struct(one: object, **changes: object) -> object:
    import msgspec

    return msgspec.structs.replace(one, **changes)  # type: ignore[type-var]
