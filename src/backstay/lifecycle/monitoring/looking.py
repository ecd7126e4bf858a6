"""Looking at one closed window of a model: everything that is watched, and what it makes of the windows before it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from backstay.core.errors import BackstayError
from backstay.definitions import Model, Monitor
from backstay.evaluation.states import State
from backstay.lifecycle.monitoring.counting import Answerer, Counted, Counting
from backstay.lifecycle.monitoring.losses import calibration, matured, realised
from backstay.lifecycle.monitoring.skew import parity
from backstay.lifecycle.records import Records
from backstay.monitoring import data
from backstay.monitoring.assess import Found, drifts
from backstay.monitoring.estimates import estimated
from backstay.monitoring.looks import Carried, Look, after
from backstay.monitoring.signals import DATA_QUALITY, INPUT_DRIFT, REALISED_LOSS, SCORE_DRIFT, SKEW
from backstay.monitoring.tally import Known, total
from backstay.monitoring.windows import Window

T = TypeVar("T")
_logger = logging.getLogger("backstay.monitoring")


def look(
    counting: Counting, window: Window, counts: Mapping[Window, Counted], before: Carried
) -> tuple[Look, Carried]:  # fmt: skip
    """What a window says, and what is carried on to the next one.

    counts: of this window, and of those before it that are put together with it where it says too little

    Whatever breaks on the way (a file that is gone, a column of another type) is said in its place, and breaks nothing
    else.
    """
    records, model, monitor = counting.records, counting.model, counting.monitor
    counted = counts[window]
    rows = sum(tally.rows for tally in counted.values())
    who = most(counted)
    version = None if who is None else counting.version(who.digest)
    found = list(quality(records, model, monitor, window, rows, before))
    if who is not None and version is not None:
        known = counting.known(who)
        if who in counting.problems:
            why = f"what it is held against cannot be read: {counting.problems[who]}"
            found.append(Found(INPUT_DRIFT, "monitor", State.NO_DATA, None, 0.0, why))
        if known is not None:
            latest = [counts[one] for one in sorted(counts) if one <= window]
            found += _guarded(found, INPUT_DRIFT, partial(of_columns, known, who, latest, monitor, window)) or []
        again = _guarded(found, SKEW, lambda: parity(records, model, monitor, window, rows)) or []
        found = [*_explained(found, again), *again]
    detectors = outcomes(counting, window, who, before, found)
    carried, signals = after(before, window, found, monitor, rows=rows, detectors=detectors)
    mine = 0 if who is None else counted[who].rows
    number = None if version is None else version.number
    return Look(window, number, rows, mine, tuple(found), signals), carried


def outcomes(
    counting: Counting, window: Window, who: Answerer | None, before: Carried, found: list[Found]
) -> Mapping[str, Mapping[str, Any]]:  # fmt: skip
    """Add what the outcomes say that became known: of all who answered these rows, whoever answers now, if anybody.

    who: the one that answers most now, of whom it is said that there are no outcomes yet

    The states of the detectors are what is returned.
    """
    records, model, monitor, detectors = counting.records, counting.model, counting.monitor, before.detectors
    rows = _guarded(found, REALISED_LOSS, partial(matured, records, model, window))
    if rows is None:
        return detectors
    for one in [each for each in rows if len(rows[each].at)] or ([] if who is None else [who]):
        version = counting.version(one.digest)
        if version is None:
            continue
        told = _guarded(
            found, REALISED_LOSS, partial(realised, records, model, monitor, window, one, version, detectors)
        )  # fmt: skip
        if told is None:
            continue
        found += told[0]
        detectors = told[1]
        known = counting.known(one)
        expected = None if known is None else known.expected
        drifted = _guarded(found, SCORE_DRIFT, partial(calibration, records, model, monitor, window, one, expected))
        found += [] if drifted is None else [drifted]
    return detectors


def _explained(found: list[Found], again: list[Found]) -> list[Found]:
    """Drifts of inputs, each with whether rows computed again had the same values: if so the world moved, and not the
    code. It is what tells drift from skew."""
    differ = {one.what for one in again if one.state is State.DRIFT}
    checked = any(one.state in (State.OK, State.DRIFT) for one in again)
    return [
        replace(one, evidence={**one.evidence, "computed_again": _word(one.what in differ, checked)})
        if one.kind == INPUT_DRIFT and one.state is State.DRIFT
        else one
        for one in found
    ]


def _word(differs: bool, checked: bool) -> str:
    return "differs" if differs else "equal" if checked else "not checked"


def most(counted: Counted) -> Answerer | None:
    """Who answered most rows of a window; None where nobody answered any."""
    return max(counted, key=lambda who: (counted[who].rows, who), default=None)


def of_columns(
    known: Known, who: Answerer, latest: Sequence[Counted], monitor: Monitor, window: Window
) -> list[Found]:  # fmt: skip
    """The findings about inputs and what was said of them, against what the version was trained on.

    latest: the counts of the last windows, in order, the last of them `window`'s
    """
    mine = [total(tally for other, tally in one.items() if other.digest == who.digest) for one in latest]
    said = [one[who].said for one in latest if who in one]
    found = drifts(INPUT_DRIFT, known.features, [one.features for one in mine], monitor, window, monitor.leave_out)
    found += drifts(SCORE_DRIFT, known.said, said, monitor, window)
    if who in latest[-1]:
        scores = [one[who].scores for one in latest if who in one]
        found.append(estimated(known.expected, scores, monitor))
    return found + data.columns(known.features, mine[-1], monitor)


def quality(
    records: Records, model: Model, monitor: Monitor, window: Window, rows: int, before: Carried
) -> list[Found]:  # fmt: skip
    """The findings about volume and freshness."""
    found = [data.volumes(rows, before.volumes, monitor)]
    ages: dict[str, tuple[int | None, int]] = {}
    for source in model.features.sources if monitor.data.freshness else ():
        if (allowed := source.freshness) is not None:
            what = f"{data.FRESHNESS} {source.name}"
            read = _guarded(found, DATA_QUALITY, partial(_age, records, source.name, window, allowed), what)
            if read is not None:  # what could not be read is not late: it cannot be told
                ages[source.name] = (read[0], allowed)
    return found + data.freshness(ages, monitor.data)


def _age(records: Records, source: str, window: Window, allowed: int) -> tuple[int | None]:
    """How long before a window's end something of a source became known; None: longer than is looked back."""
    known = records.events.read(
        source, columns=["known_time"], known_until=window.end, known_after=window.end - data.looked_back(allowed)
    )  # fmt: skip
    if not known.height:
        return (None,)
    return (window.end - int(known.get_column("known_time").dt.epoch("us").to_numpy().max()),)


def _guarded(found: list[Found], kind: str, made: Callable[[], T], what: str = "monitor") -> T | None:
    """What is made; or None, and a finding that says why there is none.

    What another's error says may hold a customer's values: its kind is told, and the rest is logged.
    """
    try:
        return made()
    except BackstayError as error:
        why = str(error)
    except Exception as error:  # whatever breaks is said in its place, and breaks nothing else
        _logger.exception("a part of a window could not be looked at")
        why = type(error).__name__
    found.append(Found(kind, what, State.NO_DATA, None, 0.0, f"it cannot be told: {why}"))
    return None
