"""The worst month of a replay, and why it was worse than what was promised; plain data for the summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstay.core.errors import BackstayError
from backstay.core.times import instant_text
from backstay.evaluation.interval import Interval
from backstay.investigation import Investigation
from backstay.investigation.verdicts import Verdict
from backstay.monitoring.quality import WEEK, Cohort
from backstay.project import Project
from backstay.replay.replay import Replayed

MONTH = 4
"""Weeks of a month here: weekdays differ, and each is in it as often."""


def why_worst(project: Project, replayed: Replayed, cohorts: Sequence[Cohort]) -> dict[str, Any] | None:
    """Why the month with the lowest AUC was worse than what the gate had seen; None where there is nothing to ask."""
    month = worst_month(cohorts)
    if month is None:
        return None
    since, until = month[0].start, min(month[-1].start + WEEK, replayed.end)
    span = {"since": instant_text(since), "until": instant_text(until)}
    try:
        told = project.why(replayed.model.name, since=since, until=until, as_of=project.clock.now())
    except BackstayError as error:  # no version has a claim to hold it against, say
        return {**span, "text": str(error), "causes": [], "waterfall": None}
    return {
        **span, "text": str(told).splitlines()[0], "causes": [_cause(one) for one in told.verdicts],
        "waterfall": _waterfall(told),
    }  # fmt: skip


def worst_month(cohorts: Sequence[Cohort]) -> Sequence[Cohort] | None:
    """The four weeks that follow on each other with the lowest AUC, by rows; all of them where there are fewer."""
    told = [one for one in cohorts if one.auc is not None]
    spans = [told[place : place + MONTH] for place in range(max(len(told) - MONTH + 1, 1))]
    return min((one for one in spans if one), key=_area, default=None)


def _area(month: Sequence[Cohort]) -> float:
    areas = [(one.auc.estimate, one.labelled) for one in month if one.auc is not None]
    return sum(area * rows for area, rows in areas) / max(sum(rows for _, rows in areas), 1)


def _cause(one: Verdict) -> dict[str, Any]:
    return {
        "cause": one.cause.words, "verdict": one.state.value.replace("_", " ").lower(),
        "effect": None if one.effect is None else str(one.effect), "why": one.why,
        "next": one.next if one.found else "",
    }  # fmt: skip


def _waterfall(told: Investigation) -> dict[str, Any] | None:
    """What the drawing is made of; None where one of the two qualities cannot be told."""
    before, after = told.offline.value, told.online.value
    if not (isinstance(before, Interval) and isinstance(after, Interval)):
        return None
    return {
        "metric": told.metric.replace("_", " "), "larger": told.larger,
        "offline": before.estimate, "online": after.estimate,
        "steps": [
            {"label": one.label, "effect": one.effect.estimate, "low": one.effect.low, "high": one.effect.high,
             "rest": one.cause is None}
            for one in told.waterfall
            if one.effect is not None
        ],
    }  # fmt: skip
