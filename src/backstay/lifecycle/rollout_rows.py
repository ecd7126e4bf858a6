"""The rows of a canary, read from the predictions record: whose cohort, what was answered, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Model
from backstay.features.labels import join_labels
from backstay.lifecycle.records import Records
from backstay.registry.routing import BASELINE
from backstay.rollout.guards import Rows
from backstay.storage.predictions import Prediction

FALLBACK = "fallback"
"""The route of a row that the champion answered because the candidate failed: it is one of the candidate's cohort."""


def canary_rows(
    records: Records, model: Model, name: str, *, key: Sequence[str], since: int, until: int, labels: bool
) -> Rows:
    """What the part `name` of the route and the baseline answered to requests with T in [since, until).

    key:    the keys that entities are told apart by; a row without any is an entity of its own
    labels: whether outcomes are joined; they are those known at `until`
    """
    routes = (name, FALLBACK, BASELINE)
    logged = records.predictions.scan(model=model.name, since=since, until=until)
    # Ids are drawn: rows of one moment stand by their keys, so that equal replays have the same blocks.
    found = sorted((one for one in logged if one.route in routes), key=_order)
    outcome, due = _outcomes(records, model, found, until) if labels else _none(len(found))
    at = np.array([one.at for one in found], np.int64)
    return Rows(
        at=at,
        candidate=np.array([one.route != BASELINE for one in found], np.bool_),
        entity=_numbered([tuple(one.keys.get(part) for part in key) for one in found]),
        failed=np.array([one.route == FALLBACK or bool(one.error) for one in found], np.bool_),
        score=np.array([one.score for one in found], np.float64),
        decision=np.array([one.decision for one in found], np.bool_),
        took=np.array([one.took for one in found], np.int64),
        timed=np.array([not one.replayed for one in found], np.bool_),
        batch=_numbered([(one.served_at, one.version, one.took) for one in found]),
        outcome=outcome,
        matured=at + model.label.maturity,
        due=due,
    )


def _order(one: Prediction) -> tuple[int, str, str]:
    return one.at, str(sorted(one.keys.items())), one.id


def _outcomes(
    records: Records, model: Model, found: Sequence[Prediction], as_of: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The outcome of each row whose label is mature and not void, else NaN; and which rows are mature and not void."""
    key = model.label.key
    kind = model.label.source.schema[key]
    asked = pl.DataFrame(
        {"at": [one.at for one in found], key: [one.keys.get(key) for one in found]},
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
        told = (*one, place) if all(part is None for part in one) else one
        out.append(known.setdefault(told, len(known)))
    return np.array(out, np.int64)
