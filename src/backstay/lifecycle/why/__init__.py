"""Why a model is worse online than it was offline: the records, gathered into a case, and investigated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError
from backstay.core.times import DAY
from backstay.definitions import EventSource, Model
from backstay.investigation import Cause, Investigation
from backstay.investigation.case import Case, Inputs, Replay
from backstay.investigation.investigate import investigate
from backstay.lifecycle.records import Records
from backstay.lifecycle.why.replays import Replays
from backstay.lifecycle.why.rows import answered, judged, offline_rows, online_rows, payer
from backstay.lifecycle.why.versions import past

SPAN = 28 * DAY
"""How far back it looks where nothing is said, in microseconds."""


def why(
    records: Records, model: Model, *, since: int | None = None, until: int | None = None, as_of: int,
    sources: Mapping[str, EventSource] | None = None,
) -> Investigation:  # fmt: skip
    """Investigate the predictions with T in [since, until), with labels as of a moment.

    By default those of the last 28 days. Reads the records only, and of many versions in the span the one that answered
    most. `sources` are those that are declared, by name: one of them has the outcome that pays. `InputError` where
    nothing was answered, or no row may say how good the version was offline.
    """
    return investigate(case_of(records, model, since=since, until=until, as_of=as_of, sources=sources))


def case_of(
    records: Records, model: Model, *, since: int | None = None, until: int | None = None, as_of: int,
    sources: Mapping[str, EventSource] | None = None,
) -> Case:  # fmt: skip
    """What `why` looks at."""
    declared = sources or {}
    end = as_of if until is None else min(until, as_of)
    begin = end - SPAN if since is None else since
    one = answered(records, model, begin, end)
    claim = judged(records, model, one.version, one.found[0].at, as_of)
    if not claim.frame.height:
        raise InputError(
            f"no row may say how good version {one.version.number} was offline: it was never judged",
            where=f"{model.name}/{one.version.number}", fix="judge it, or hold rows out of its training",
        )  # fmt: skip
    rule = records.rule(one.version, one.found[-1].rule)
    scorer = records.scorer(model, one.version)

    def answer(vector: Inputs) -> npt.NDArray[np.float64]:
        return rule.scores(scorer.score(vector))

    online = online_rows(records, model, one, as_of, declared)
    offline = offline_rows(records, model, claim, rule.threshold, declared)
    missing: dict[Cause, str] = {}
    notes = [f"{one.left_out:,} answers of other versions are left out"] if one.left_out else []
    replays: tuple[Replay, ...] = ()
    if one.comparable:
        replays = tuple(Replays(records, model, one, claim, online, offline, answer, as_of).all())
    else:
        reason = "what was served was of another definition, or brought its own inputs: it can't be computed again"
        missing |= dict.fromkeys((Cause.STALE, Cause.UNITS, Cause.DEFAULT, Cause.TIME_ZONE, Cause.LATE_JOIN), reason)
    if model.position is None:
        missing[Cause.POSITION] = "no position is declared, so none was logged"
    if model.business is None:
        missing[Cause.PROXY] = "no outcome that pays is declared, so there is none to hold the metric against"
    elif payer(model, declared) is None:
        missing[Cause.PROXY] = f"no source of {model.business.name!r} is declared: when it is whole can't be said"
    drawn = online.chance[online.chance < 0.5]
    return Case(
        model=model.name, version=one.version.number, metric=model.gate.metric, names=model.features.vector,
        since=begin, until=end, as_of=as_of, maturity=model.label.maturity, occurrence=model.label.occurrence,
        offline=offline, online=online, said=claim.said, threshold=rule.threshold,
        explored=float(np.median(drawn)) if drawn.size else 0.0, replays=replays, missing=missing,
        past=past(records, model, offline, online, end, as_of, declared), notes=tuple(notes),
    )  # fmt: skip
