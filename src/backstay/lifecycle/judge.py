"""Judging a version: evidence from rows that neither model has seen, and the gate's answer, into the ledger.

The rows are those asked after both models' training cut-offs plus an embargo, whose labels are mature. Both models are
scored on them by the files that serve, in the runtime that serves, with the calibration that is in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError, RefusedError
from backstay.core.identity import digest_of
from backstay.core.times import duration, duration_text, instant_text
from backstay.definitions import GatePolicy, Model
from backstay.lifecycle.approval import approved, as_evidence
from backstay.lifecycle.gates import confirmed
from backstay.lifecycle.judgement import GATE, Judgement, Reuse, policy_digest, read_judgement
from backstay.lifecycle.overrides import applied, in_force
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE, reference_sample
from backstay.lifecycle.scored import LabelledRows, labelled_rows
from backstay.lifecycle.slices import watched
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.rollout import (
    Check,
    ComparisonPolicy,
    Decision,
    Verdict,
    better_than_champion,
    better_than_constant,
    holds_on_slices,
    trained_as_served,
)
from backstay.rollout.quality import scores_sound
from backstay.training.parameters import SEEDS

__all__ = ["GATE", "Judgement", "is_refresh", "judge", "period", "promote"]

Scores = Mapping[int, npt.NDArray[np.float64]]
"""What versions answer to the rows, by number."""


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
    checks, reuse = [_sight(model, start, end, as_of, final)], Reuse()
    refresh = champion is not None and is_refresh(version, champion)
    policy = _policy(model, refresh)
    if checks[0].verdict is Verdict.PASS:  # an early look would be one more chance to be fooled: it is not taken
        more, reuse = _looked(records, model, policy, (version, champion), rows, (start, min(end, as_of)), as_of)
        checks += more
    against = None if champion is None else champion.number
    found = in_force(records, version, as_of=records.clock.now())
    body = {
        "manifest": version.digest,
        "rule": records.rules.in_force(version, as_of=as_of).digests,
        "policy": policy_digest(model),
        "against": against,
        "met": None if move is None else move.entry_id,
        "start": start,
        "end": end,
        "as_of": as_of,
        "expires": as_of + duration(model.gate.expires),
        "rows": rows.rows,
        "final": final,
        "metric": policy.metric,
        "margin": policy.margin,
        "refresh": refresh,
        "reuse": reuse.as_dict(),
        "decision": Decision.of(applied(checks, found, against=against)).as_dict(),
    }
    entry = records.ledger.append(GATE, f"{model.name}/{number}", body, at=records.clock.now(), actor=records.actor)
    return read_judgement(model, entry)


def _looked(
    records: Records, model: Model, policy: GatePolicy, versions: tuple[ModelVersion, ModelVersion | None],
    rows: LabelledRows, span: tuple[int, int], as_of: int,
) -> tuple[list[Check], Reuse]:  # fmt: skip
    """All checks that look at the rows, and how often rows of this period have judged."""
    version, champion = versions
    scores = {one.number: _scores(records, model, one, rows, as_of) for one in versions if one is not None}
    mine = scores[version.number]
    checks = _unsound(mine)
    checks += [_units(records, model, version, rows), _comparison(policy, version, champion, rows, scores)]
    checks += _slices(records, model, version, champion, rows, scores)
    checks += _fair(records, model, version, rows, mine, as_of)
    checks += _declared(records, model, version, champion, rows, mine, as_of)
    reuse = _reuse(records, model, version, span)
    if reuse.level is not None:
        stricter = _comparison(replace(policy, level=reuse.level), version, champion, rows, scores)
        reuse = replace(reuse, verdict=stricter.verdict.value)
    return checks, reuse


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


def is_refresh(version: ModelVersion, champion: ModelVersion) -> bool:
    """Whether a version is the champion's definition on other rows: its features, label, estimator and parameters.

    The seed is left out, also where the estimator holds it as a parameter.
    """

    def made_of(one: ModelVersion) -> tuple[Any, ...]:
        told = one.manifest
        given = {key: value for key, value in told.parameters.items() if key.rpartition("__")[2] not in SEEDS}
        how = (told.estimator, given, told.scorer.format, told.threshold)
        return (told.feature_set.hash, digest_of(told.label), *how)

    return version.digest != champion.digest and made_of(version) == made_of(champion)


def _policy(model: Model, refresh: bool) -> GatePolicy:
    gate = model.gate
    return replace(gate, margin=gate.refresh_margin) if refresh and gate.refresh_margin is not None else gate


def _unsound(score: npt.NDArray[np.float64]) -> list[Check]:
    """The check on scores that are no numbers, where there are any: nobody can override it."""
    check = scores_sound(score)
    return [check] if check.verdict is Verdict.FAIL else []


def _reuse(records: Records, model: Model, version: ModelVersion, span: tuple[int, int]) -> Reuse:
    """How often rows of this period have judged, by the answers in the ledger."""
    digests, looks = {version.digest}, {(version.digest, *span)}
    for entry in records.ledger.entries(kind=GATE):
        body = entry.body
        begin, end = body["start"], min(body["end"], body["as_of"])
        looked = len(body["decision"]["checks"]) > 1 and body["rows"]
        if entry.subject.rpartition("/")[0] == model.name and looked and begin < span[1] and span[0] < end:
            digests.add(body["manifest"])
            looks.add((body["manifest"], begin, end))
    level = 1 - (1 - model.gate.level) / len(digests) if len(digests) > 1 else None
    return Reuse(len(digests), len(looks), level)


def _declared(
    records: Records, model: Model, version: ModelVersion, champion: ModelVersion | None, rows: LabelledRows,
    score: npt.NDArray[np.float64], as_of: int,
) -> list[Check]:  # fmt: skip
    """What the policy declares beside the comparison."""
    from backstay.lifecycle.evidence import declared  # loaded late: few models ask for it

    return declared(records, model, version, champion, rows, score, as_of)


def _comparison(
    policy: ComparisonPolicy, version: ModelVersion, champion: ModelVersion | None, rows: LabelledRows, scores: Scores
) -> Check:
    mine = scores[version.number]
    if champion is None:
        return better_than_constant(rows.outcome, mine, rows.day, version.manifest.base_rate, policy)
    return better_than_champion(rows.outcome, scores[champion.number], mine, rows.day, policy)


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


def promote(records: Records, model: Model, judgement: Judgement, *, as_of: int | None = None) -> AliasMove:
    """Make a version that passed its gate champion, by compare-and-swap against the champion it met.

    as_of: the moment it is done as of; by default now. `RefusedError` where the answer has expired, is about another
    manifest, or is not the gate's last about this version; `ApprovalNeeded` where the model's stakes are high and
    nobody but its author has approved it. An override that has ended meanwhile no longer counts.
    """
    version, where = records.registry.get(model.name, judgement.number), f"{model.name}/{judgement.number}"
    now = records.clock.now() if as_of is None else as_of
    if judgement.decision.verdict is Verdict.PASS:
        if judgement.manifest and judgement.manifest != version.digest:
            raise RefusedError(
                f"the answer is about the manifest {judgement.manifest[:12]}, and version {version.number} has "
                f"{version.digest[:12]}", where=where, expected="an answer about this version",
            )  # fmt: skip
        judgement = confirmed(records, model, version, judgement, as_of=now, now=records.clock.now())
    if judgement.decision.verdict is not Verdict.PASS:
        raise InputError(
            f"the gate answered {judgement.decision.verdict.value}: {judgement.decision.reason}",
            where=where,
            expected="a version that passed its gate",
        )
    approval = approved(records, model, version)
    overridden = {check.name: dict(check.override or {}) for check in judgement.decision.overridden}
    evidence = {
        "gate": judgement.entry_id,
        "reason": judgement.decision.reason,
        "interval": judgement.interval(),
        **({"overridden": overridden} if overridden else {}),
        **as_evidence(approval),
    }
    return records.registry.move_alias(
        model.name,
        "champion",
        judgement.number,
        evidence=evidence,
        at=records.clock.now(),
        actor=records.actor,
        expect=judgement.met,
    )
