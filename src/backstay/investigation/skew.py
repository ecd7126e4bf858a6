"""Training-serving skew: what was answered, against what would have been, had one input been as it should.

Each mend is a `Replay`. It is priced by the scores: quality with the mend less quality without, on the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.evaluation.interval import NotEnough
from backstay.investigation.case import Case, Floats, Inputs, Replay
from backstay.investigation.maturity import Matured
from backstay.investigation.pricing import Bar, Price, cost, priced, quality
from backstay.investigation.verdicts import FIXES, Cause, State, Verdict, cannot_tell
from backstay.investigation.weighted import weighted_quality

SKEW = (Cause.STALE, Cause.UNITS, Cause.DEFAULT, Cause.TIME_ZONE, Cause.LATE_JOIN)
_EXAMPLES = 5
NOTHING = {
    Cause.STALE: "what was served is what was known at its moment, and it became known as fast as before",
    Cause.UNITS: "no input came in another unit than the model was trained on",
    Cause.DEFAULT: "no value that was known was missing where it was served",
    Cause.TIME_ZONE: "no time was shifted by whole hours",
    Cause.LATE_JOIN: "the rows that judged it could know what the rows online could",
}


@dataclass(frozen=True, slots=True, eq=False)
class Mended:
    """A verdict, and the replay that it rests on; None where there was nothing to mend."""

    verdict: Verdict
    replay: Replay | None = None


def skew(case: Case, cause: Cause, whole: Matured, bar: Bar) -> Mended:
    """The verdict on one cause of skew: the replay of it that costs most."""
    found = []
    for replay in (one for one in case.replays if one.cause is cause):
        try:
            found.append((replay, _price(case, replay, whole, bar)))
        except NotEnough as error:
            why = f"{replay.why}; what that costs cannot be told: {error.what}"
            return Mended(cannot_tell(cause, why, log=FIXES[cause], wrong=True))
    if not found:
        if cause in case.missing:
            return Mended(cannot_tell(cause, case.missing[cause]))
        return Mended(Verdict(cause, State.NOT_FOUND, NOTHING[cause]))
    replay, price = max(found, key=lambda one: one[1].effect.estimate)
    rows = int(np.count_nonzero(replay.changed))
    many = case.online.rows if replay.side == "online" else case.offline.rows
    about = f"{replay.why}: {rows:,} of {many:,} rows {replay.side}, {rows / many:.0%}"
    evidence = {**replay.evidence, "rows": rows, "of": many, "side": replay.side}
    if not price.shown:
        why = f"{about}; it costs {price.effect}, which is not shown to be more than {bar.floor:.4g}"
        return Mended(Verdict(cause, State.NOT_FOUND, why, price.effect, evidence=evidence, features=replay.features))
    verdict = Verdict(
        cause, State.FOUND, f"{about}; it costs {price.effect}", price.effect, evidence=evidence,
        features=replay.features, rows=_examples(case, replay), next=FIXES[cause], sure=price.sure,
    )  # fmt: skip
    return Mended(verdict, replay)


def _price(case: Case, replay: Replay, whole: Matured, bar: Bar) -> Price:
    if replay.side == "offline":
        rows = case.offline
        before = quality(case.metric, rows.score if replay.base is None else replay.base, rows.label)
        return priced(cost(case.metric, before, quality(case.metric, replay.score, rows.label)), rows.paired, bar)
    rows = case.online
    was = rows.score if replay.base is None else replay.base
    before = weighted_quality(case.metric, was, whole.ones, whole.zeros)
    mended = weighted_quality(case.metric, replay.score, whole.ones, whole.zeros)
    return priced(cost(case.metric, mended, before), rows.paired, bar)


def _examples(case: Case, replay: Replay) -> tuple[str, ...]:
    """The predictions whose score it moved most."""
    if replay.side != "online":
        return ()
    moved = np.abs(replay.score - (case.online.score if replay.base is None else replay.base))
    first = np.argsort(-moved, kind="stable")[:_EXAMPLES]
    return tuple(case.online.ids[place] for place in first.tolist() if replay.changed[place])


def mended(case: Case, found: list[Mended]) -> tuple[tuple[Floats, Inputs], tuple[Floats, Inputs]]:
    """Scores and inputs of (offline, online) with all that was found mended; of rows that two mends change, by both
    one after the other: the last one counts."""
    offline = case.offline.score.copy(), case.offline.vector.copy()
    online = case.online.score.copy(), case.online.vector.copy()
    for one in found:
        if one.replay is not None:
            scores, vectors = offline if one.replay.side == "offline" else online
            rows = one.replay.changed
            scores[rows], vectors[rows] = one.replay.score[rows], one.replay.vector[rows]
    return offline, online
