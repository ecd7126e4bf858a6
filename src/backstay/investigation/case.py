"""A **case**: all that an investigation looks at, as plain arrays. It reads no store and no clock.

Both sides are rows with their labels, scores and inputs; a *replay* is what the scores of one side would have been, had
one thing been otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.investigation.verdicts import Cause

Floats = NDArray[np.float64]
Inputs = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

THINGS = 30
"""Things that rows are about, from which these are clusters."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of one side, in any order; every array has one entry a row.

    ids:      of the predictions; empty offline
    at:       T, microseconds
    cluster:  rows of one cluster lean on each other (a day, or an entity); clusters of the two sides are apart
    label:    the outcome, 0 or 1, where it is mature and not void; else NaN
    seen:     the outcome as a dashboard has it now: what has arrived, and for an occurrence 0 where nothing has
    waits:    microseconds after T at which the outcome became known; NaN: it has not
    score:    what was answered; `decision` what was decided, `chance` with which probability, 1 where nothing was drawn
    vector:   the model's inputs, shape (rows, inputs); statuses: of each, `features.views.Status`
    position: at which place it was shown; NaN: it is not known. item: what was shown there, a number
    business: the outcome that pays; NaN: it is not known
    logged:   with which probability the row came to have an outcome, in (0, 1]; NaN: nobody wrote it down
    wanted:   mature rows that are not void, whether they have an outcome or not
    void:     rows whose outcome was voided: they count nowhere
    """

    ids: Sequence[str]
    at: Ints
    cluster: Ints
    label: Floats
    seen: Floats
    waits: Floats
    score: Floats
    decision: Bools
    chance: Floats
    vector: Inputs
    statuses: NDArray[np.uint8]
    position: Floats
    item: Ints
    business: Floats
    logged: Floats
    wanted: Bools
    void: Bools

    @property
    def rows(self) -> int:
        return self.at.size

    @property
    def paired(self) -> Ints:
        """The clusters of a change to the same rows: what they are about. Days would count for chance what is none,
        that a change begins on one of them, or is of the young rows only; where there are few things, days it is."""
        return self.item if np.unique(self.item).size >= THINGS else self.cluster


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What one side would have been, had one thing been otherwise.

    side:     "online": the scores with this mended. "offline": the scores with what was missing online missing there
    changed:  which rows it changes
    base:     the scores that it is held against; None: those of the rows. A mend of what the record itself has wrong
              is held against scores by the record
    features: the inputs that it is about
    why:      what was found, as a clause: "`amount` came 60 times as large"
    since:    from when on, microseconds; None: always
    """

    cause: Cause
    side: str
    score: Floats
    vector: Inputs
    changed: Bools
    features: tuple[str, ...]
    why: str
    base: Floats | None = None
    since: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What all versions of the model answered so far.

    version: of each answer, the version's number; chosen: what it was about, where the decision was `true`; a number
    numbers: versions that were judged; metric: of each; larger is better. business: of each, the mean outcome that
             pays, and its standard error; days: of each, over how many days that is
    together: whether all of these answered at one time, and not one after another
    """

    version: Ints
    chosen: Ints
    numbers: tuple[int, ...]
    metric: Floats
    business: Floats
    error: Floats
    days: Floats
    together: bool


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A gap to be explained.

    names:      the model's inputs, in the order of the vectors
    metric:     "log_loss", "brier" or "auc"
    occurrence: whether the label is an occurrence: absent at maturity is 0
    maturity:   microseconds after T from which a label is mature
    replays:    what could be computed otherwise
    missing:    by cause, why it can't be looked at
    explored:   with which probability a decision online is drawn by lot to be the other; 0: nothing is explored
    threshold:  the score from which the decision is `true`
    """

    model: str
    version: int
    metric: str
    names: tuple[str, ...]
    since: int
    until: int
    as_of: int
    maturity: int
    occurrence: bool
    offline: Rows
    online: Rows
    said: str
    threshold: float = 0.5
    explored: float = 0.0
    replays: tuple[Replay, ...] = ()
    missing: Mapping[Cause, str] = field(default_factory=dict)
    past: Past | None = None
    notes: tuple[str, ...] = ()
