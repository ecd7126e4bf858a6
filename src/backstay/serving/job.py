"""A *job* is what one request asks of the core: rows, until when, and for whom; in the end, its answer or error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from backstay.features.lookup import Asked
from backstay.serving.refusal import Gone, Late

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from backstay.serving.routes import Choice

Answer = TypeVar("Answer")


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

    def wanted(self, now: float, where: str) -> bool:
        """Whether its answer is still worth having; if not, it has its error."""
        if self.deadline <= now:
            self.error = Late(where)
        elif self.client is not None and self.client.gone:
            self.error = Gone()
        return self.error is None


@dataclass(slots=True)
class Scored:
    """The predictions of one request, a row each. Every one of them has been written down.

    statuses: of each row one byte a feature; empty where the client gave the model's inputs itself
    """

    at: int
    ids: Sequence[str]
    scores: Sequence[float]
    decisions: Sequence[bool]
    statuses: Sequence[bytes]


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


@dataclass(slots=True, eq=False)
class Looking(Job[Sequence[Any]]):
    """Rows whose features are looked up."""

    asked: Sequence[Asked] = ()
