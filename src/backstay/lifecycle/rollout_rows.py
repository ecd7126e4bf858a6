"""The rows of a canary, read from the predictions record: whose cohort, what was answered, what came of it."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import told
from backstay.definitions import Model
from backstay.features.labels import join_labels
from backstay.lifecycle.calls import FALLBACK, call_of
from backstay.lifecycle.records import Records
from backstay.registry.routing import BASELINE
from backstay.rollout.guards import Rows
from backstay.storage.predictions import SHADOW

_logger = logging.getLogger("backstay.rollout")


class _Row(NamedTuple):
    """What is kept of a prediction; its values and fields are not."""

    at: int
    keys: str
    id: str
    entity: tuple[Any, ...]
    label: Any
    route: str
    failed: bool
    score: float
    decision: bool
    took: int
    timed: bool
    call: int


def canary_rows(
    records: Records, model: Model, name: str, *, key: Sequence[str], since: int, until: int, labels: bool
) -> tuple[Rows, str]:
    """What the part `name` of the route and the baseline answered to requests with T in [since, until).

    key:    the keys that entities are told apart by; a row without any is an entity of its own
    labels: whether outcomes are joined; they are those known at `until`

    Also why labels could not be read, in a sentence; "" if they could.
    """
    found, sizes = _read(records, model, name, key, since, until)
    outcome, due = _none(len(found))
    unread = ""
    if labels:
        try:
            outcome, due = _outcomes(records, model, found, until)
        except Exception as error:  # it is told; guards that need no label go on
            _logger.warning("labels of a canary cannot be read", exc_info=error)
            unread = f"labels cannot be read: {told(error)}"
    at = np.array([one.at for one in found], np.int64)
    rows = Rows(
        at=at,
        candidate=np.array([one.route != BASELINE for one in found], np.bool_),
        entity=_numbered([one.entity for one in found]),
        failed=np.array([one.failed for one in found], np.bool_),
        score=np.array([one.score for one in found], np.float64),
        decision=np.array([one.decision for one in found], np.bool_),
        took=np.array([one.took for one in found], np.int64),
        timed=np.array([one.timed for one in found], np.bool_),
        batch=_numbered([(one.call,) for one in found]),
        size=sizes,
        outcome=outcome,
        matured=at + model.label.maturity,
        due=due,
    )
    return rows, unread


def _read(
    records: Records, model: Model, name: str, key: Sequence[str], since: int, until: int
) -> tuple[list[_Row], npt.NDArray[np.int64]]:
    """The rows of both cohorts in order, and how many rows each one's call had, of whichever route.

    One prediction at a time: of those of neither cohort only a number is kept.
    """
    found: list[_Row] = []
    calls = array("q")
    for one in records.predictions.scan(model=model.name, since=since, until=until):
        if one.route == SHADOW:
            continue
        call = hash(call_of(one))
        if one.took > 0:
            calls.append(call)
        if one.route in (name, FALLBACK, BASELINE):
            failed = one.route == FALLBACK or bool(one.error) or not isfinite(one.score)
            row = _Row(
                one.at, str(sorted(one.keys.items())), one.id, tuple(one.keys.get(part) for part in key),
                one.keys.get(model.label.key), one.route, failed, one.score, one.decision, one.took, not one.replayed,
                call,
            )  # fmt: skip
            found.append(row)
    # Ids are drawn: rows of one moment stand by their keys, so that equal replays have the same blocks.
    found.sort(key=lambda one: one[:3])
    known, counts = np.unique(np.array(calls, np.int64), return_counts=True)
    mine = np.array([one.call for one in found], np.int64)
    if not known.size:
        return found, np.ones(len(found), np.int64)
    place = np.minimum(np.searchsorted(known, mine), known.size - 1)
    return found, np.where(known[place] == mine, counts[place], 1)


def _outcomes(
    records: Records, model: Model, found: Sequence[_Row], as_of: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The outcome of each row whose label is mature and not void, else NaN; and which rows are mature and not void."""
    key = model.label.key
    kind = model.label.source.schema[key]
    asked = pl.DataFrame(
        {"at": [one.at for one in found], key: [one.label for one in found]},
        schema={"at": pl.Int64(), key: kind},
    )
    joined = join_labels(asked, model.label, records.events, as_of=as_of)
    due = joined.select(pl.col("mature") & ~pl.col("void") & pl.col(key).is_not_null()).to_series()
    known = joined.select(pl.when(due).then(pl.col("label").cast(pl.Float64))).to_series()
    return known.fill_null(float("nan")).to_numpy(), due.to_numpy()


def _none(rows: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    return np.full(rows, np.nan), np.zeros(rows, np.bool_)


def _numbered(values: Sequence[tuple[Any, ...]]) -> npt.NDArray[np.int64]:
    """A number each, the same for the same values; of values that are all None, one of its own each."""
    known: dict[tuple[Any, ...], int] = {}
    out = []
    for place, one in enumerate(values):
        apart = (*one, place) if all(part is None for part in one) else one
        out.append(known.setdefault(apart, len(known)))
    return np.array(out, np.int64)
