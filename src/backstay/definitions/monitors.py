"""A monitor: how a model is watched while it serves, and from when on something is worth a person's time. Pure data.

Every closed window of what was served is held against what the version was trained on. Something is said to drift only
where the effect is larger than is tolerated, the rows prove that it is, and it lasts: one without the others is noise.

It says how a version is watched and not what it is: no hash, manifest or parity depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from backstay.core.errors import DefinitionError
from backstay.core.times import DAY, HOUR, duration

REFERENCES = ("training", "season")
METRICS = ("log_loss", "brier")
_AGAIN = "write Monitor() for a monitor as it is by default, None for none"


@dataclass(frozen=True, slots=True)
class DataRules:
    """What of the data of a window is put up with, beside what the training rows were like.

    nulls:        by how much the share of rows without a value may have grown, 0 to 1
    unseen:       the share of rows with a category that no training row had, or with something of another type
    outside:      how far a column's mean may lie outside of all that training rows had, in widths of their range: a
                  unit that changed, a code for "unknown"; what merely rose above it is drift, and not corrupt
    defaults:     the share of rows whose value stands in for one that the online state could not give
    volume:       the least share of the rows that windows of this weekday usually have
    volume_above: how many times as many rows a window may have
    freshness:    whether sources must keep the `freshness` that they declare
    """

    nulls: float = 0.05
    unseen: float = 0.05
    outside: float = 1.0
    defaults: float = 0.05
    volume: float = 0.5
    volume_above: float = 3.0
    freshness: bool = True

    def __post_init__(self) -> None:
        _numbers(self, "DataRules", "nulls", "unseen", "outside", "defaults", "volume", "volume_above")
        for name in ("nulls", "unseen", "defaults", "volume"):
            if not 0 <= getattr(self, name) <= 1:
                _refuse("DataRules", f"{name} {getattr(self, name)}", "a share, from 0 to 1")
        if self.outside < 0:
            _refuse("DataRules", f"outside {self.outside}", "widths of the range, 0 or more")
        if not self.volume_above > 1:
            _refuse("DataRules", f"volume_above {self.volume_above}", "a factor above 1, or inf")


@dataclass(frozen=True, slots=True)
class Monitor:
    """How a model is watched: `Model(..., monitor=Monitor())`, which is also the default; None: it is not.

    window:       how long a window is; it begins at a multiple of itself since 1970, UTC: "1d" at midnight
    effect:       the population stability index that is tolerated
    severe:       the one that must not be missed: where a window's rows could not show it, it says so (UNDERPOWERED)
    level:        how often a window may say that something drifts, over all columns, where none does
    persistence:  (k, m): a signal is given where k of the last m windows say so
    minimum_rows: with fewer rows nothing is said about distributions
    together:     so many windows are put together, at the most, where the last one alone could not show `severe`
    references:   what windows are held against: "training", the training rows; "season", those of the same weekday,
                  hours and month too. With both, what drifts from both is a signal
    entity:       the keys by which rows lean on each other; empty: those of its features
    leave_out:    features whose distribution is not watched, such as ones that are meant to move
    data:         what is put up with in the data
    parity:       the share of a window's rows that is computed again from the events record; 0: none
    parity_rows:  and no more of them than so many
    metric:       the loss that is watched, "log_loss" or "brier"
    margin:       the loss, in its unit, that is put up with
    cost:         what one unit of loss costs on one prediction, in a unit of yours: signals are ranked by it
    """

    window: str = "1d"
    effect: float = 0.1
    severe: float = 0.2
    level: float = 0.01
    persistence: tuple[int, int] = (2, 3)
    minimum_rows: int = 100
    together: int = 31
    references: Sequence[str] = REFERENCES
    entity: Sequence[str] = ()
    leave_out: Sequence[str] = ()
    data: DataRules = field(default_factory=DataRules)
    parity: float = 0.01
    parity_rows: int = 200
    metric: str = "log_loss"
    margin: float = 0.01
    cost: float | None = None

    def __post_init__(self) -> None:
        _numbers(self, "Monitor", "effect", "severe", "level", "minimum_rows", "together", "parity", "margin")
        for name in ("references", "entity", "leave_out"):
            given = getattr(self, name)
            if not isinstance(given, str | Sequence):
                _refuse("Monitor", f"{name} {given!r}", "a name, or several")
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        width = self.width
        if width < HOUR or (DAY % width and width % DAY):
            _refuse("Monitor", f"window {self.window!r}", "an hour or more, that divides a day or is whole days")
        if not 0 < self.effect < self.severe < float("inf"):
            _refuse("Monitor", f"effect {self.effect}, severe {self.severe}", "0 < effect < severe, such as 0.1, 0.2")
        if not 0 < self.level < 0.5 or self.minimum_rows < 1 or not 1 <= self.together <= 31:
            found = f"level {self.level}, minimum_rows {self.minimum_rows}, together {self.together}"
            _refuse("Monitor", found, "a level as 0.01, at least 1 row, 1 to 31 windows")
        self._check_rest()

    def _check_rest(self) -> None:
        times = self.persistence
        whole = isinstance(times, Sequence) and all(isinstance(one, int) for one in times)
        if not whole or len(times) != 2 or not 1 <= times[0] <= times[1] <= 30:
            _refuse("Monitor", f"persistence {times!r}", "(k, m): k of the last m windows, at most 30")
        unknown = [name for name in self.references if name not in REFERENCES]
        if unknown or not self.references:
            _refuse("Monitor", f"references {self.references!r}", f"some of {', '.join(REFERENCES)}")
        if not isinstance(self.data, DataRules):
            _refuse("Monitor", f"data={self.data!r}", "DataRules(...)")
        if not 0 <= self.parity <= 1 or self.parity_rows < 1:
            _refuse("Monitor", f"parity {self.parity}, parity_rows {self.parity_rows}", "a share, and at least 1 row")
        if self.metric not in METRICS or not 0 <= self.margin < float("inf"):
            _refuse(
                "Monitor", f"metric {self.metric!r}, margin {self.margin}", f"{', '.join(METRICS)}; a margin from 0"
            )
        if self.cost is not None and not 0 < self.cost < float("inf"):
            _refuse("Monitor", f"cost {self.cost}", "a number above 0")

    @property
    def width(self) -> int:
        """How long a window is, in microseconds."""
        return duration(self.window, where="Monitor.window")


def _numbers(given: object, where: str, *names: str) -> None:
    """`DefinitionError` for a field that is no number."""
    for name in names:
        value = getattr(given, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            _refuse(where, f"{name} {value!r}", "a number")


def checked_monitor(
    given: Monitor | None, keys: Sequence[str], features: Sequence[str], where: str
) -> Monitor | None:  # fmt: skip
    """A model's monitor as it was given; `DefinitionError` unless it names keys and features that the model has."""
    if given is None:
        return None
    if not isinstance(given, Monitor):
        raise DefinitionError(f"monitor={given!r} is no monitor", where=where, expected="Monitor(...)", fix=_AGAIN)
    for what, names, known in (("entity", given.entity, keys), ("leave_out", given.leave_out, features)):
        unknown = [name for name in names if name not in known]
        if unknown:
            _refuse(f"{where}, Monitor", f"{what} {unknown[0]!r}", f"of {', '.join(known)}")
    return given


def _refuse(where: str, what: str, expected: str) -> None:
    raise DefinitionError(what, where=where, expected=expected)
