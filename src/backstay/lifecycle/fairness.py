"""Fairness of a version: its scored rows with their protected attributes, and which criterion was chosen by whom.

Attributes are read as of each row's T, from the feature set that the model's `Fairness` names, beside the features and
never among them. A criterion that is recorded in the ledger, with a name, a date and a reason, goes before the one that
is declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown, plain
from backstay.core.times import instant_text
from backstay.definitions import Fairness, Model
from backstay.evaluation.decided import Costs
from backstay.evaluation.fairness import (
    Answers,
    FairnessReport,
    GapRule,
    Point,
    fairness_report,
    given_up,
    propose,
)
from backstay.evaluation.interval import Insufficient, NotEnough
from backstay.features.offline import feature_rows
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import LabelledRows, ScoredRows
from backstay.registry.versions import ModelVersion
from backstay.rollout import Check
from backstay.rollout.fair import fair
from backstay.storage.ports import Entry

CRITERION = "fairness.criterion"
"""The ledger's kind of entry for the choice of a criterion; its subject is the model."""


@dataclass(frozen=True, slots=True)
class Chosen(Shown):
    """A model's primary criterion: what it is, what is given up for it, and who chose it, when and why.

    proposed: what the guide proposed for the answers that were given; None where none were
    """

    model: str
    criterion: str
    why: str
    by: str
    at: int
    entry_id: int
    given_up: Mapping[str, str]
    answers: Mapping[str, str]
    proposed: str | None
    rationale: str

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, the time as people read it."""
        return {name: plain(getattr(self, name)) for name in self.__slots__} | {"at": instant_text(self.at)}


@dataclass(frozen=True, slots=True)
class VersionFairness(Shown):
    """The fairness report of one version.

    asked, void, immature: rows asked in [since, until), and how many of them have no outcome, and why
    chosen:   the criterion that was recorded; `declared` is the one in the definition
    others:   other models beside the frontier, such as the reweighed one
    """

    model: str
    number: int
    since: int
    until: int
    as_of: int
    asked: int
    void: int
    immature: int
    attributes: tuple[str, ...]
    cluster: str
    declared: str | None
    chosen: Chosen | None
    report: FairnessReport
    others: tuple[Point, ...] = ()

    @property
    def criterion(self) -> str | None:
        """The primary criterion: the recorded one, else the declared one."""
        return self.declared if self.chosen is None else self.chosen.criterion

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, times as people read them."""
        times = {name: instant_text(getattr(self, name)) for name in ("since", "until", "as_of")}
        return {name: plain(getattr(self, name)) for name in self.__slots__} | times | {"criterion": self.criterion}


def version_fairness(
    records: Records, model: Model, scored: ScoredRows, *, by: Sequence[str] | None = None
) -> VersionFairness:
    """The fairness report of a version's scored rows; `by`: some of the attributes, by name or by its end."""
    declared = declared_fairness(model)
    names = _named(declared, by)
    chosen = criterion_of(records, model, as_of=scored.as_of)
    primary = declared.criterion if chosen is None else chosen.criterion
    rows = scored.labelled
    report = fairness_report(
        rows.outcome, scored.score, attributes_of(records, declared, rows.frame, as_of=scored.as_of).select(names),
        threshold=scored.rule.threshold, criterion=primary, rule=rule_of(declared),
        costs=Costs(declared.false_positive, declared.false_negative), order=declared.intersections,
        clusters=clusters_of(declared, rows),
    )  # fmt: skip
    return VersionFairness(
        model.name, scored.version.number, scored.since, scored.until, scored.as_of, rows.asked, rows.void,
        rows.immature, tuple(names), declared.cluster, declared.criterion, chosen, report,
    )  # fmt: skip


def fairness_or_why(records: Records, model: Model, scored: ScoredRows) -> VersionFairness | Insufficient:
    """The fairness report of a version's scored rows, or why they can't tell any: beside what they can tell."""
    try:
        return version_fairness(records, model, scored)
    except NotEnough as error:
        return Insufficient(error.what, scored.labelled.rows)


def declared_fairness(model: Model) -> Fairness:
    """What the model declares; `InputError` where it declares nothing."""
    if model.fairness is None:
        raise InputError(
            "the model declares no protected attributes", where=model.where,
            fix="write Model(..., fairness=Fairness(attributes=FeatureSet(...)))",
        )  # fmt: skip
    return model.fairness


def attributes_of(records: Records, declared: Fairness, frame: pl.DataFrame, *, as_of: int) -> pl.DataFrame:
    """The protected attributes of rows with `at` and keys, at their T: a column each, null where not known."""
    keys = dict.fromkeys(("at", *declared.attributes.keys))
    found = feature_rows(declared.attributes, frame.select(*keys), records.events, known_until=as_of)
    return found.rows.frame().select(declared.names)


def fair_checks(
    records: Records, model: Model, version: ModelVersion, rows: LabelledRows, score: ArrayLike, *, as_of: int
) -> list[Check]:
    """The gate's check of fairness: none for a model that declares no fairness, or for which no criterion is chosen."""
    declared = model.fairness
    chosen = None if declared is None else criterion_of(records, model)
    if declared is None or (declared.criterion is None and chosen is None):
        return []
    criterion = chosen.criterion if chosen is not None else declared.criterion
    assert criterion is not None
    attributes = attributes_of(records, declared, rows.frame, as_of=as_of) if rows.rows else None
    recorded = {} if chosen is None else {"entry": chosen.entry_id, "by": chosen.by, "why": chosen.why}
    return [
        fair(
            rows.outcome, score, attributes, criterion, threshold=records.rule(version, as_of=as_of).threshold,
            rule=rule_of(declared), order=declared.intersections, clusters=clusters_of(declared, rows), chosen=recorded,
        )
    ]  # fmt: skip


def choose_criterion(
    records: Records, model: Model, *, why: str, answers: Answers | None = None, criterion: str | None = None
) -> Chosen:
    """Record a model's primary criterion: the guide's for the answers, or another one that is named.

    Raises `InputError` without a reason, and without answers or a criterion.
    """
    declared_fairness(model)
    proposal = None if answers is None else propose(answers)
    name = criterion or (None if proposal is None else proposal.criterion)
    if name is None:
        raise InputError("there is neither an answer nor a criterion", fix="answer the questions, or name a criterion")
    given = given_up(name)
    if not why.strip():
        raise InputError("there is no reason", where=model.where, expected="why, in a sentence", fix='--why "..."')
    body = {
        "criterion": name,
        "why": why.strip(),
        "given_up": given,
        "answers": {} if proposal is None else proposal.as_dict()["answers"],
        "proposed": None if proposal is None else proposal.criterion,
        "rationale": proposal.why if proposal is not None and proposal.criterion == name else "",
    }
    entry = records.ledger.append(CRITERION, model.name, body, at=records.clock.now(), actor=records.actor)
    return _chosen(model, entry)


def criterion_of(records: Records, model: Model, *, as_of: int | None = None) -> Chosen | None:
    """The criterion that was last recorded for a model (at or before `as_of`)."""
    entry = records.ledger.last(CRITERION, model.name, as_of=as_of)
    return None if entry is None else _chosen(model, entry)


def rule_of(declared: Fairness) -> GapRule:
    """What is put up with, as it is declared."""
    return GapRule(tolerance=declared.tolerance, minimum=declared.minimum, untold=declared.untold)


def _chosen(model: Model, entry: Entry) -> Chosen:
    body = entry.body
    return Chosen(
        model.name, body["criterion"], body["why"], entry.actor, entry.at, entry.id, body["given_up"], body["answers"],
        body["proposed"], body["rationale"],
    )  # fmt: skip


def _named(declared: Fairness, by: Sequence[str] | None) -> list[str]:
    """The attributes that are asked for: all, or those with this name or this end of it."""
    if by is None:
        return list(declared.names)
    out = []
    for one in by:
        found = [name for name in declared.names if name == one] or [
            name for name in declared.names if name.endswith(f"_{one}")
        ]
        if len(found) != 1:
            what = f"there is no attribute {one!r}" if not found else f"{one!r} may be {' or '.join(found)}"
            raise InputError(what, where=declared.where, expected=f"one of {', '.join(declared.names)}")
        out += found
    return list(dict.fromkeys(out))


def clusters_of(declared: Fairness, rows: LabelledRows) -> ArrayLike | None:
    """What rows lean on each other by, as declared; None: each row stands for itself."""
    if declared.cluster == "row":
        return None
    return rows.day if declared.cluster == "day" else rows.frame.get_column(declared.cluster).to_numpy()
