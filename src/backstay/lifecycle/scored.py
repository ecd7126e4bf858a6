"""Scored rows: rows that a version has not learned from, what it answers to them, and what happened then.

They are what it is judged and evaluated on: asked after its training cut-off plus the embargo, with labels that are
mature, and scored by the files that serve, in the runtime that serves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import DAY, duration, instant_text
from backstay.definitions import Model
from backstay.evaluation.calibration.rule import Rule
from backstay.features.labels import join_labels
from backstay.features.offline import feature_rows
from backstay.features.trainingset import asked_rows
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Rows whose labels are mature and not void, in the order they were asked.

    frame:   `at` (microseconds), the keys, every feature with its defaults, and `label`
    vector:  the model's input, float32, shape (rows, features of the vector)
    outcome: 0 or 1 a row
    asked, void, immature: asked rows in the span, and how many of them were left out, and why
    """

    frame: pl.DataFrame
    vector: npt.NDArray[np.float32]
    outcome: npt.NDArray[np.int8]
    asked: int
    void: int
    immature: int

    @property
    def rows(self) -> int:
        return self.frame.height

    @property
    def at(self) -> npt.NDArray[np.int64]:
        """Each row's T, in microseconds."""
        return self.frame.get_column("at").to_numpy()

    @property
    def day(self) -> npt.NDArray[np.int64]:
        """Each row's day (UTC), counted from 1970: the cluster that rows are counted by."""
        return self.at // DAY


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Labelled rows with one version's scores of them (float64, one a row), asked in [since, until).

    raw:   what its files say
    score: what it answers: after the calibration in force
    rule:  the rule in force; from its `threshold` on, a score is the decision `true`
    """

    version: ModelVersion
    labelled: LabelledRows
    raw: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    rule: Rule
    since: int
    until: int
    as_of: int

    @property
    def decision(self) -> npt.NDArray[np.bool_]:
        """What is decided on each row."""
        return np.asarray(self.score >= self.rule.threshold, np.bool_)


def labelled_rows(records: Records, model: Model, *, since: int, until: int, as_of: int) -> LabelledRows:
    """The rows asked in [since, until) whose labels are mature as of a moment, with their features at their T."""
    asked = asked_rows(model, records.events, since=since, until=until, as_of=as_of)
    labelled = join_labels(asked, model.label, records.events, as_of=as_of)
    usable = labelled.filter(pl.col("mature") & pl.col("label").is_not_null())
    rows = feature_rows(model.features, usable, records.events, known_until=as_of).rows
    features = rows.frame()
    keys = [key for key in ("at", *model.keys) if key not in features.columns]
    void, mature = labelled.get_column("void"), labelled.get_column("mature")
    return LabelledRows(
        frame=pl.concat([usable.select(keys), features, usable.select("label")], how="horizontal"),
        vector=rows.vector(),
        outcome=usable.get_column("label").cast(pl.Int8).to_numpy(),
        asked=asked.height,
        void=int(void.sum()),
        immature=int((~mature & ~void).sum()),
    )


def scored_rows(
    records: Records, model: Model, number: int, *, as_of: int, since: int | None = None, until: int | None = None,
    fitting: bool = False,
) -> ScoredRows:  # fmt: skip
    """What a version answers to the rows it may be evaluated on, as everything was known at a moment.

    since:   by default what it has learned from (its training, and the rows that the calibration and threshold in force
             were fitted on) plus the gate's embargo; earlier rows are refused (`InputError`)
    until:   by default `as_of`
    fitting: the rows are to fit a calibration or a threshold on: after its training is enough
    """
    version = records.registry.get(model.name, number)
    learned = version.manifest.cutoff if fitting else records.learned_until(version, as_of=as_of)
    first = learned + duration(model.gate.embargo)
    begin = first if since is None else since
    if begin < first:
        raise InputError(
            f"rows from {instant_text(begin)} on are asked for, and it has learned from rows until "
            f"{instant_text(learned)}",
            where=f"{model.name}/{number}", expected=f"rows after that and the embargo of {model.gate.embargo}",
            fix=f"begin at {instant_text(first)}",
        )  # fmt: skip
    end = min(as_of if until is None else until, as_of)
    if end <= begin:
        raise InputError(
            f"rows that may evaluate it are asked from {instant_text(begin)} on, and those until {instant_text(end)} "
            "are looked at",
            where=f"{model.name}/{number}", fix="wait for rows, or look at later ones",
        )  # fmt: skip
    labelled = labelled_rows(records, model, since=begin, until=end, as_of=as_of)
    if not labelled.rows:
        raise InputError(
            f"none of the {labelled.asked} rows asked from {instant_text(begin)} to {instant_text(end)} has a mature "
            f"label as of {instant_text(as_of)}",
            where=f"{model.name}/{number}", fix="wait for labels, or ask as of a later moment",
        )  # fmt: skip
    raw, rule = records.scorer(model, version).score(labelled.vector), records.rule(version, as_of=as_of)
    return ScoredRows(version, labelled, raw, rule.scores(raw), rule, begin, end, as_of)
