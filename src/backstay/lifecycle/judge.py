"""Judging a version: evidence from rows that neither model has seen, and the gate's answer, into the ledger.

The rows are those asked after both models' training cut-offs plus an embargo, whose labels are mature. Both models are
scored on them by the files that serve, in the runtime that serves, with the calibration that is in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.core.times import duration, duration_text, instant_text
from backstay.definitions import Model
from backstay.lifecycle.approval import approved, as_evidence
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE, reference_sample
from backstay.lifecycle.scored import LabelledRows, labelled_rows
from backstay.lifecycle.slices import watched
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.rollout import (
    Check,
    Decision,
    Verdict,
    better_than_champion,
    better_than_constant,
    holds_on_slices,
    trained_as_served,
)

Scores = Mapping[int, npt.NDArray[np.float64]]
"""What versions answer to the rows, by number."""
GATE = "gate"
"""The ledger's kind of entry for a gate's answer; its subject is `model/number`."""


@dataclass(frozen=True, slots=True)
class Judgement(Shown):
    """A gate's answer about one version, and where it stands in the ledger."""

    model: str
    number: int
    against: int | None
    """the champion it met; None for the first, which meets the constant base rate"""
    start: int
    end: int
    rows: int
    metric: str
    margin: float
    final: bool
    """the rows of the whole period were mature; an answer that is not final is given again later"""
    decision: Decision
    entry_id: int
    met: int | None = None
    """the ledger entry that had made `against` champion: what a promotion is compared and swapped with"""

    def interval(self) -> dict[str, Any] | None:
        """The interval of the comparison, where there was one."""
        for check in self.decision.checks:
            interval = check.evidence.get("gain")
            if check.name.startswith("better_than") and isinstance(interval, dict):
                return interval
        return None


def judge(records: Records, model: Model, number: int, *, as_of: int) -> Judgement:
    """Judge a version as of a moment, against the champion, or against the base rate where there is none."""
    version = records.registry.get(model.name, number)
    move = records.registry.alias(model.name, "champion")
    if move is not None and move.to == number:
        raise InputError(
            f"version {number} is the champion, and is not judged against itself",
            where=f"{model.name}/{number}",
            expected="a candidate",
        )
    champion = None if move is None else records.registry.get(model.name, move.to)
    start, end = period(records, model, version, champion, as_of)
    rows = labelled_rows(records, model, since=start, until=min(end, as_of), as_of=as_of)
    final = as_of >= end + model.label.maturity or champion is None
    checks = [_sight(model, start, end, as_of, final)]
    if checks[0].verdict is Verdict.PASS:  # an early look would be one more chance to be fooled: it is not taken
        scores = {one.number: _scores(records, model, one, rows, as_of) for one in (version, champion) if one}
        checks += [_units(records, model, version, rows), _comparison(model, version, champion, rows, scores)]
        checks += _slices(records, model, version, champion, rows, scores)
        checks += _fair(records, model, version, rows, scores[number], as_of)
    decision = Decision.of(checks)
    against = None if champion is None else champion.number
    body = {
        "manifest": version.digest,
        "rule": records.rules.in_force(version, as_of=as_of).digests,
        "against": against,
        "start": start,
        "end": end,
        "as_of": as_of,
        "rows": rows.rows,
        "final": final,
        "decision": decision.as_dict(),
    }
    entry = records.ledger.append(GATE, f"{model.name}/{number}", body, at=records.clock.now(), actor=records.actor)
    return Judgement(
        model=model.name,
        number=number,
        against=against,
        start=start,
        end=end,
        rows=rows.rows,
        metric=model.gate.metric,
        margin=model.gate.margin,
        final=final,
        decision=decision,
        entry_id=entry.id,
        met=None if move is None else move.entry_id,
    )


def period(
    records: Records, model: Model, version: ModelVersion, champion: ModelVersion | None, as_of: int
) -> tuple[int, int]:
    """From when to when the rows that judge a version are asked: after all that it and the champion learned from."""
    cutoff = max(records.learned_until(v, as_of=as_of) for v in (version, champion) if v is not None)
    start = cutoff + duration(model.gate.embargo)
    return start, as_of if champion is None else start + duration(model.gate.judge_after)


def _sight(model: Model, start: int, end: int, as_of: int, final: bool) -> Check:
    evidence = {"start": start, "end": end, "as_of": as_of}
    until = min(end, as_of - model.label.maturity)
    if final and until < start:
        text = (
            f"rows from {instant_text(start)[:10]} on may judge it, and none of them can be mature on "
            f"{instant_text(as_of)[:10]} (labels take {duration_text(model.label.maturity)})"
        )
        return Check("period_mature", Verdict.INSUFFICIENT, text, evidence)
    if final:
        text = f"every row asked from {instant_text(start)[:10]} to {instant_text(until)[:10]} is mature"
        return Check("period_mature", Verdict.PASS, text, evidence)
    text = (
        f"the policy judges on {model.gate.judge_after} of rows from {instant_text(start)[:10]}, which are mature on "
        f"{instant_text(end + model.label.maturity)[:10]}; it is {instant_text(as_of)[:10]}"
        f" (labels take {duration_text(model.label.maturity)})"
    )
    return Check("period_mature", Verdict.INSUFFICIENT, text, evidence)


def _units(records: Records, model: Model, version: ModelVersion, rows: LabelledRows) -> Check:
    if REFERENCE not in version.manifest.files:  # it was made elsewhere, and nobody said on what
        return Check("trained_as_served", Verdict.INSUFFICIENT, "no sample of the rows it was trained on came with it")
    served = {name: rows.vector[:, place] for place, name in enumerate(model.features.vector)}
    return trained_as_served(reference_sample(records, version), served)


def _comparison(
    model: Model, version: ModelVersion, champion: ModelVersion | None, rows: LabelledRows, scores: Scores
) -> Check:
    mine = scores[version.number]
    if champion is None:
        return better_than_constant(rows.outcome, mine, rows.day, version.manifest.base_rate, model.gate)
    return better_than_champion(rows.outcome, scores[champion.number], mine, rows.day, model.gate)


def _slices(
    records: Records, model: Model, version: ModelVersion, champion: ModelVersion | None, rows: LabelledRows,
    scores: Scores,
) -> list[Check]:  # fmt: skip
    """The check on declared and pinned slices, where there are any, and a champion to be held against."""
    there = watched(records, model, rows) if champion is not None else {}
    if champion is None or not there:
        return []
    before, now = scores[champion.number], scores[version.number]
    return [holds_on_slices(rows.outcome, before, now, rows.day, there, model.gate)]


def _fair(
    records: Records, model: Model, version: ModelVersion, rows: LabelledRows, score: npt.NDArray[np.float64],
    as_of: int,
) -> list[Check]:  # fmt: skip
    """The check of fairness, of a model that declares it."""
    if model.fairness is None:
        return []
    from backstay.lifecycle.fairness import fair_checks  # loaded late: a server judges nobody

    return fair_checks(records, model, version, rows, score, as_of=as_of)


def _scores(
    records: Records, model: Model, version: ModelVersion, rows: LabelledRows, as_of: int
) -> npt.NDArray[np.float64]:
    return records.rule(version, as_of=as_of).scores(records.scorer(model, version).score(rows.vector))


def promote(records: Records, model: Model, judgement: Judgement) -> AliasMove:
    """Make a version that passed its gate champion, by compare-and-swap against the champion it met.

    `ApprovalNeeded` where the model's stakes are high and nobody but its author has approved it.
    """
    if judgement.decision.verdict is not Verdict.PASS:
        raise InputError(
            f"the gate answered {judgement.decision.verdict.value}: {judgement.decision.reason}",
            where=f"{model.name}/{judgement.number}",
            expected="a version that passed its gate",
        )
    approval = approved(records, model, records.registry.get(model.name, judgement.number))
    reason = judgement.decision.reason
    evidence = {"gate": judgement.entry_id, "reason": reason, "interval": judgement.interval(), **as_evidence(approval)}
    return records.registry.move_alias(
        model.name,
        "champion",
        judgement.number,
        evidence=evidence,
        at=records.clock.now(),
        actor=records.actor,
        expect=judgement.met,
    )
