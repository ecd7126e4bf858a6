"""Where the experiment of a model stands, from its entries in the ledger: what was started, each stage, and the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions.experiments import Experiment
from backstay.lifecycle.experiments.metrics import Measure
from backstay.lifecycle.records import Records
from backstay.registry.routing import BUCKETS, ROUTE, Part, bucket
from backstay.storage.ports import Entry

EXPERIMENT = "experiment"
"""The ledger's kind of entry; its subject is the model. Its states: started, reallocated, stopped."""
STARTED, REALLOCATED, STOPPED = "started", "reallocated", "stopped"


@dataclass(frozen=True, slots=True)
class Version(Shown):
    """A version that takes part, and what its gate had said when the experiment started; "" if it was not asked."""

    name: str
    number: int
    digest: str
    gate: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A span in which the shares stayed as they were.

    shares: those of the champion and of each arm, in their order; whole buckets
    since:  when it began; until: when the next did, or the experiment ended; None: it goes on
    entry:  the entry of the experiment that began it, and `route`, of the model's route, the one that was there then
    """

    shares: tuple[float, ...]
    since: int
    until: int | None
    entry: int
    route: int

    def holds(self, at: int) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Standing(Shown):
    """An experiment as it stands.

    versions: the champion first, then the arms
    end:      what it ended with: `state`, `why`, `arm` and the analysis; None while it is running
    route:    the model's route that was there when its last state was written; own: whether it was the experiment's
    entry_id: its last entry: what the next must have seen
    """

    model: str
    experiment: Experiment
    measure: Measure
    why: str
    by: str
    began: int
    versions: tuple[Version, ...]
    stages: tuple[Stage, ...]
    end: Mapping[str, Any] | None
    ended: int | None
    route: int
    own: bool
    entry_id: int

    @property
    def running(self) -> bool:
        return self.end is None

    @property
    def shares(self) -> tuple[float, ...]:
        return self.stages[-1].shares

    def parts(self) -> list[Part]:
        """What the route has to be while it is running, beside shadows."""
        arms = zip(self.versions[1:], self.shares[1:], strict=True)
        return [Part(one.name, one.number, one.digest, round(share * BUCKETS)) for one, share in arms]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.experiment.name, "model": self.model, "running": self.running, "why": self.why, "by": self.by,
            "began": instant_text(self.began), "ended": None if self.ended is None else instant_text(self.ended),
            "experiment": self.experiment.as_dict(),
            "versions": [one.as_dict() for one in self.versions],
            "stages": [{"since": instant_text(one.since), "shares": list(one.shares)} for one in self.stages],
            "end": None if self.end is None else dict(self.end), "entry": self.entry_id,
        }  # fmt: skip


def history(records: Records, model: str, *, as_of: int | None = None) -> list[Standing]:
    """Every experiment of a model, the first one first; as of a moment: those that had been started, as they stood."""
    groups: list[list[Entry]] = []
    for entry in records.ledger.entries(kind=EXPERIMENT, subject=model, until=as_of):
        if entry.body["state"] == STARTED:
            groups.append([])
        groups[-1].append(entry)
    return [_standing(model, group) for group in groups]


def last(records: Records, model: str, *, as_of: int | None = None) -> Standing | None:
    """The last experiment of a model, running or not; None if there was none."""
    found = history(records, model, as_of=as_of)
    return found[-1] if found else None


def running(records: Records, model: str) -> Standing | None:
    """The experiment of a model that is running; a rollout waits until it has ended."""
    found = last(records, model)
    return found if found is not None and found.running else None


def _standing(model: str, entries: list[Entry]) -> Standing:
    first, final = entries[0], entries[-1]
    ended = final if final.body["state"] == STOPPED else None
    moves = [one for one in entries if one.body["state"] != STOPPED]
    ends = [*(one.at for one in moves[1:]), None if ended is None else ended.at]
    stages = [
        Stage(tuple(one.body["shares"]), one.at, until, one.id, one.body["route"])
        for one, until in zip(moves, ends, strict=True)
    ]
    versions = tuple(Version(**one) for one in first.body["versions"])
    told = first.body["measure"]
    measure = Measure(told["wait"], tuple(told["keys"]), told.get("event_id"))
    return Standing(
        model, Experiment.from_dict(first.body["experiment"]), measure, first.body["why"], first.actor, first.at,
        versions, tuple(stages), None if ended is None else ended.body["end"], None if ended is None else ended.at,
        final.body["route"], final.body.get("own", True), final.id,
    )  # fmt: skip


class Lot:
    """Which arm an entity was drawn for in a stage: by the route's own entry, whoever answered it then."""

    def __init__(self, records: Records, standing: Standing) -> None:
        entries = records.ledger.entries(kind=ROUTE, subject=standing.model)
        self._names = [one.name for one in standing.versions]
        self._of: list[Mapping[str, Any] | None] = [
            next((one.body for one in entries if (one.body["previous"] or 0) == stage.route), None)
            for stage in standing.stages
        ]

    def arm(self, stage: int, keys: Mapping[str, Any]) -> int | None:
        """The place of the arm, 0 the champion; None where it was drawn by something else than its keys."""
        body = self._of[stage]
        if body is None:
            return None
        values = [keys.get(name) for name in body["key"]]
        if all(value is None for value in values):
            return None
        number = bucket(str(body["salt"]).encode(), values)
        for part in body["parts"]:
            if not part["shadow"] and any(begin <= number < end for begin, end in part["spans"]):
                return self._names.index(part["name"]) if part["name"] in self._names else None
        return 0
