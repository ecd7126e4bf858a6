"""Checking a training set before it is learned from, against the one that was accepted last.

The answer goes into the ledger with its evidence, whatever it is. A FAIL stops the training, unless somebody accepts
the data with a reason, which is kept. "Accepted last" is the newest version whose own data passed, or was accepted;
rows that a drill changed were not.
"""

from __future__ import annotations

from typing import Any

from backstay.core.errors import RefusedError
from backstay.definitions import Model
from backstay.features.trainingset import TrainingSet
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import reference_sample, spread
from backstay.rollout import Check, Decision, Verdict
from backstay.rollout.data import (
    Accepted,
    inputs_hold,
    label_rate_holds,
    no_leak,
    nothing_missing,
    rows_suffice,
)
from backstay.storage.digest import frame_digest

DATA = "data"
"""The ledger's kind of entry for an answer about a training set; its subject is the model."""


class DataRefused(RefusedError):  # noqa: N818  an answer, not a mistake
    """A training set that is not fit to be learned from; `decision` has the evidence, and stands in the ledger."""

    decision: Decision | None = None


def check_data(records: Records, model: Model, data: TrainingSet, *, as_of: int, accept: str | None = None) -> Decision:
    """Ask the data gates, and write down the answer; `DataRefused` unless it passes or is accepted with a reason."""
    decision = Decision.of(_checks(model, data, _accepted(records, model)))
    body: dict[str, Any] = {
        "dataset": frame_digest(data.frame), "rows": data.rows, "as_of": as_of, "decision": decision.as_dict(),
    }  # fmt: skip
    if accept is not None:
        body["accepted"] = accept
    entry = records.ledger.append(DATA, model.name, body, at=records.clock.now(), actor=records.actor)
    if decision.verdict is Verdict.FAIL and not accept:
        refused = DataRefused(
            f"the data are not fit to be learned from: {decision.reason}",
            where=f"training set of model {model.name!r}, ledger entry {entry.id}",
            expected="a training set like the last one, as the model's DataPolicy has it",
            fix="mend the source; or, if the world has changed, accept them with a reason",
        )
        refused.decision = decision
        raise refused
    return decision


def _checks(model: Model, data: TrainingSet, before: Accepted | None) -> list[Check]:
    names, rule = model.features.vector, model.data
    columns = {name: data.vector[:, place] for place, name in enumerate(names)}
    places = spread(data.rows)
    sample = {name: column[places] for name, column in columns.items()}
    checks = [
        rows_suffice(data.rows, before, rule),
        label_rate_holds(int(data.outcome.sum()), data.rows, before, rule),
        inputs_hold(sample, before, rule),
        nothing_missing(sample, before, rule),
        no_leak(columns, data.outcome, rule),
    ]
    return [*checks, _label_apart(model)]


def _label_apart(model: Model) -> Check:
    """No request field is read from the column that the label is made of."""
    read = set(model.label.value.meta.root_names()) if model.label.source is model.ask.source else set()
    fields = [one.name for one in model.features.requests if model.ask.fields.get(one.name, one.name) in read]
    if fields:
        said = f"{', '.join(fields)} is read from the column that the label is made of"
        return Check("label_apart", Verdict.FAIL, said, {"fields": fields})
    return Check("label_apart", Verdict.PASS, "no input is read from the label's column")


def _accepted(records: Records, model: Model) -> Accepted | None:
    """The training set of the newest version whose data passed, or were accepted, as they were trained on."""
    asked = {one.body["dataset"] for one in records.ledger.entries(kind=DATA, subject=model.name)}
    for version in reversed(records.registry.versions(model.name)):
        data = version.manifest.dataset
        if data.digest in asked and records.registry.retired(model.name, version.number) is None:
            sample = reference_sample(records, version)
            return Accepted(f"version {version.number}", data.rows, version.manifest.base_rate, sample)
    return None
