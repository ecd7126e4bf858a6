"""What the gap is: by the records alone, without an investigator; and by the truth, where that is wanted.

Quality is counted so that larger is better: the AUC, or minus a loss.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from backstay.evaluation.influence import linear_interval
from backstay.evaluation.interval import Interval
from backstay.features.labels import join_labels
from backstay.investigation.position import Propensities, corrected, harvested
from backstay.investigation.proxy import business_by_version
from backstay.investigation.weighted import LARGER, between, outcome_weights, weighted_quality
from backstay.lifecycle.scored import labelled_rows
from bench.monitoring.why.loop import DAY, Served

MATERIAL = {"auc": 0.04, "log_loss": 0.04, "brier": 0.015}
"""A gap of so much is one that somebody would ask about."""


class Side(NamedTuple):
    """Labelled rows of one side. chance: with which probability they came to have a label."""

    y: np.ndarray
    score: np.ndarray
    day: np.ndarray
    chance: np.ndarray
    position: np.ndarray
    item: np.ndarray


def offline(served: Served) -> Side:
    """The rows that judged the version, with its scores."""
    records, model = served.records, served.model
    since, until, as_of = served.judged
    rows = labelled_rows(records, model, since=since, until=until, as_of=as_of)
    version = records.registry.get(model.name, served.number)
    score = records.scorer(model, version).score(rows.vector)
    keys = rows.frame.get_column("ask").to_list()
    logged = {one.keys["ask"]: one for one in records.predictions.scan(since=since, until=until)}
    chance = np.array([_labelled(logged[key]) if key in logged else 1.0 for key in keys])
    return Side(rows.outcome.astype(float), np.asarray(score), rows.day, chance, *_shown(served, keys))


def online(served: Served, *, mature: bool = False) -> Side:
    """The rows of the period with the outcomes that have arrived; for an occurrence, 0 where none has.

    mature: only those that are mature, as they should be counted
    """
    records, model = served.records, served.model
    made = list(records.predictions.scan(model=model.name, since=served.since, until=served.until))
    asked = pl.DataFrame({"at": [one.at for one in made], "ask": [one.keys["ask"] for one in made]})
    joined = join_labels(asked, model.label, records.events, as_of=served.as_of)
    label = joined.get_column("label").cast(pl.Float64)
    if model.label.occurrence and not mature:
        label = label.fill_null(0.0)
    keep = (label.is_not_null() & (joined.get_column("mature") | (not mature))).to_numpy()
    y = label.fill_null(0.0).to_numpy()[keep]
    some = [one for one, kept in zip(made, keep.tolist(), strict=True) if kept]
    score, at = np.array([one.score for one in some]), np.array([one.at for one in some])
    chance = np.array([_labelled(one) for one in some])
    return Side(y, score, at // DAY, chance, *_shown(served, [one.keys["ask"] for one in some]))


def _labelled(one) -> float:  # type: ignore[no-untyped-def]
    return float(one.chance if one.decision else 1.0 - one.chance)


def _shown(served: Served, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
    place = np.array([int(key[1:]) for key in keys], np.int64)
    asks = served.loop.world.asks
    return asks.get_column("position").to_numpy()[place], asks.get_column("who").to_numpy()[place]


def gap(served: Served, how: str = "seen") -> Interval:
    """By how much online is worse than offline, positive is worse.

    how: "seen" (as labels arrived), "mature" (as they should be counted), "propensity" (as if everything had been
         labelled, by logged chances), "position" (as if everything had stood first)
    """
    metric = served.model.gate.metric
    sides = [offline(served), online(served, mature=how != "seen")]
    if how == "position":
        joint = [np.concatenate([getattr(one, name) for one in sides]) for name in ("item", "position", "y")]
        found = harvested(*joint)
        assert isinstance(found, Propensities), found
        told = [corrected(metric, one.y, one.score, found.of(one.position)) for one in sides]
    else:
        weights = [1.0 / one.chance if how == "propensity" else np.ones(one.y.size) for one in sides]
        told = [
            weighted_quality(metric, one.score, *outcome_weights(one.y, w))
            for one, w in zip(sides, weights, strict=True)
        ]
    days = [one.day for one in sides]
    if not LARGER[metric]:
        told, days = told[::-1], days[::-1]
    return between(told[0], told[1], days[0], days[1])


def business(
    served: Served, *, since: int | None = None, until: int | None = None
) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
    """What each version's predictions with T in [since, until) paid, in the mean over what it decided on."""
    records = served.records
    made = [one for one in records.predictions.scan(since=since, until=until) if one.decision]
    asked = pl.DataFrame({"ask": [one.keys["ask"] for one in made]})
    paid = records.events.read("sales", known_until=served.as_of).group_by("ask").agg(pl.col("value").sum())
    value = asked.join(paid, on="ask", how="left", maintain_order="left").get_column("value").fill_null(0.0).to_numpy()
    number = {one.digest: one.number for one in records.registry.versions("booked")}
    return business_by_version([number[one.version] for one in made], value)[:3]


__all__ = ["MATERIAL", "business", "gap", "linear_interval", "offline", "online"]
