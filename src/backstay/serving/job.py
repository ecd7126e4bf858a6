"""A *job* is what one request asks of the core: rows, until when, and for whom; in the end, its answer or error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from backstay.features.lookup import Asked
from backstay.serving.refusal import Gone, Late

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backstay.serving.routes import Choice, Snapshot

Answer = TypeVar("Answer")
Stages = list[tuple[str, float, float]]
"""Of one request: its stages, and when each began and ended, on the monotonic clock."""


class Client(Protocol):
    """Whoever waits for an answer."""

    @property
    def gone(self) -> bool:
        """Whether nobody reads the answer any more."""
        ...


@dataclass(slots=True, eq=False)
class Job(Generic[Answer]):
    """What one request asks.

    deadline: on the monotonic clock, in seconds
    begun:    when it was admitted, on the same clock
    """

    rows: int
    deadline: float = inf
    client: Client | None = None
    begun: float = field(default_factory=monotonic)
    answer: Answer | None = None
    error: Exception | None = None
    future: Any = None
    """whoever awaits the answer; the batcher's"""
    stages: Stages | None = None
    """where the times of its stages are noted, if its request is traced"""

    def watch(self, stages: Stages) -> None:
        """Note the times of its stages from now on."""
        self.stages = stages

    def wanted(self, now: float, where: str) -> bool:
        """Whether its answer is still worth having; if not, it has its error."""
        if self.deadline <= now:
            self.error = Late(where)
        elif self.client is not None and self.client.gone:
            self.error = Gone()
        return self.error is None


def note(jobs: Iterable[Job[Any]], stage: str, begin: float, end: float) -> None:
    """Note a stage that these jobs went through together, for those that are watched."""
    for job in jobs:
        if job.stages is not None:
            job.stages.append((stage, begin, end))


@dataclass(slots=True)
class Scored:
    """The predictions of one request, a row each. Every one of them has been written down.

    statuses: of each row one byte a feature; empty where the client gave the model's inputs itself
    versions: of each row the version's number, where they are not all of one
    degraded: the policy by which it was answered without the online state; else empty
    """

    at: int
    ids: Sequence[str]
    scores: Sequence[float]
    decisions: Sequence[bool]
    statuses: Sequence[bytes]
    versions: Sequence[int] = ()
    degraded: str = ""


@dataclass(slots=True, eq=False)
class Asking(Job[Scored]):
    """Rows to predict, by keys and fields (`asked`), or as the model's inputs themselves (`vector`)."""

    choice: Choice = None  # type: ignore[assignment]  # always given: it stands behind fields that have defaults
    asked: Sequence[Asked] | None = None
    vector: npt.NDArray[np.float32] | None = None
    keys: Sequence[Mapping[str, Any]] = ()
    """of a vector's rows, where the client gave them; a row each, or none at all"""
    at: int = 0
    """of a vector: T"""
    snapshot: Snapshot | None = None
    """the route that it was assigned by"""
    parts: Sequence[Asking] = ()
    """where its rows are answered by several versions: a part each, of the rows in `places`"""
    places: Sequence[int] = ()

    @property
    def version(self) -> int | None:
        """The number of the version that answers; None if several do."""
        if not self.parts:
            return self.choice.served.version.number
        numbers = {part.choice.served.version.number for part in self.parts}  # the baseline is the champion too
        return numbers.pop() if len(numbers) == 1 else None

    def watch(self, stages: Stages) -> None:
        self.stages = stages
        for part in self.parts:
            part.stages = stages

    def assign(self, choice: Choice | Sequence[Choice]) -> None:
        """Who answers: one version all rows, or one each."""
        if not isinstance(choice, Sequence):
            self.choice = choice
            return
        rows: dict[int, list[int]] = {}
        for place, one in enumerate(choice):
            rows.setdefault(id(one), []).append(place)
        self.parts = [self._part(choice[places[0]], places) for places in rows.values()]

    def _part(self, choice: Choice, places: Sequence[int]) -> Asking:
        return Asking(
            len(places), self.deadline, self.client, self.begun, choice=choice, at=self.at, snapshot=self.snapshot,
            asked=None if self.asked is None else [self.asked[place] for place in places],
            vector=None if self.vector is None else self.vector[list(places)],
            keys=[self.keys[place] for place in places] if self.keys else (), places=places,
        )  # fmt: skip

    def join(self) -> None:
        """Take the answers of the parts, or the error of one of them."""
        self.error = next((part.error for part in self.parts if part.error is not None), None)
        if self.error is not None:
            return
        count = self.rows
        ids, scores, decisions = [""] * count, [0.0] * count, [False] * count
        statuses, versions = [b""] * count, [0] * count
        for part in self.parts:
            answer = part.answer
            assert answer is not None
            for row, place in enumerate(part.places):
                ids[place], scores[place], decisions[place] = answer.ids[row], answer.scores[row], answer.decisions[row]
                statuses[place], versions[place] = answer.statuses[row], part.choice.served.version.number
        degraded = next((part.answer.degraded for part in self.parts if part.answer is not None), "")
        told = versions if len(set(versions)) > 1 else ()
        self.answer = Scored(self.at, ids, scores, decisions, statuses, told, degraded)


@dataclass(slots=True, eq=False)
class Looking(Job[Sequence[Any]]):
    """Rows whose features are looked up."""

    asked: Sequence[Asked] = ()
