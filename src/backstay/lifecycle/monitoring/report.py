"""The report of a span: read from what is counted already; nothing is written down, and nothing is decided by it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backstay.core.errors import InputError
from backstay.core.times import DAY, instant_text
from backstay.definitions import Model, Monitor
from backstay.evaluation.drift import Domain, domain_classifier
from backstay.evaluation.states import State
from backstay.lifecycle.monitoring.counting import Answerer, Counted, Counting
from backstay.lifecycle.monitoring.looking import most, of_columns
from backstay.lifecycle.monitoring.losses import scored_frame
from backstay.lifecycle.monitoring.skew import parity
from backstay.lifecycle.monitoring.tick import looks, together, upto
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE, reference_sample
from backstay.monitoring.assess import Found
from backstay.monitoring.labels import LabelReport, label_report
from backstay.monitoring.report import Day, Open, Report
from backstay.monitoring.rows import answered, rows_of
from backstay.monitoring.signals import DATA_QUALITY, Signal
from backstay.monitoring.tally import Tally
from backstay.monitoring.windows import Window, closed
from backstay.storage.predictions import Prediction

LATEST = 30
"""Windows that a report is about, where nothing else is asked for."""
MOST = 1_000
"""Windows that one report is about at most: some three years of days."""
_ROWS = 5_000
"""Rows that the domain classifier looks at, on each side."""


def report(
    records: Records, model: Model, *, since: int | None = None, until: int | None = None, as_of: int | None = None,
    deep: bool = True,
) -> Report:  # fmt: skip
    """The report of the closed windows that begin at or after `since` and are over by `until`.

    since, until: microseconds; by default the last 30 windows, until `as_of`
    as_of: what was closed, looked at and known of labels by then; by default, and at the latest, now
    deep: also compute rows again (parity) and tell rows from training rows by all columns at once, which takes seconds
    Raises `InputError` where the model has no monitor, or no window is closed in that span.
    """
    now = records.clock.now() if as_of is None else min(as_of, records.clock.now())
    monitor, windows = _asked(model, since, until, now)
    counting = Counting(records, model, monitor)
    counts = counting.windows(together(monitor, windows))
    windows = _served(windows, counts)
    days = tuple(_day(counting, one, upto(counts, one, monitor)) for one in windows)
    found, domain, who = _whole(counting, windows, counts, deep=deep)
    labels = _labels(counting, who, windows, now) if deep and who is not None else None
    version = None if who is None else counting.version(who.digest)
    moves = records.registry.history(model.name, "champion")
    return Report(
        model.name, windows[0].start, windows[-1].end, None if version is None else version.number,
        _versions(counting, [counts[one] for one in windows]), sum(day.rows for day in days), found, domain, days,
        _signals(records, model, windows, now), labels,
        tuple((move.at, f"v{move.to}") for move in moves if windows[0].start <= move.at < windows[-1].end),
        monitor.effect, monitor.severe,
        _open(records, model, monitor, until, now, counted=any(day.rows for day in days)),
    )  # fmt: skip


def days(records: Records, model: Model, *, since: int | None = None, until: int | None = None) -> list[Day]:
    """The windows of a span one by one, as `report` has them: read from what was said of them, where that is kept."""
    monitor, windows = _asked(model, since, until, records.clock.now())
    counting = Counting(records, model, monitor)
    said = {one: found for one in windows if (found := counting.day(one)) is not None}
    missing = [one for one in windows if one not in said]
    if missing:
        between = [one for one in windows if missing[0] <= one <= missing[-1]]
        counts = counting.windows(together(monitor, between))
        said |= {one: _day(counting, one, upto(counts, one, monitor)) for one in missing}
    return [said[one] for one in windows]


def _asked(model: Model, since: int | None, until: int | None, now: int) -> tuple[Monitor, list[Window]]:
    """The model's monitor, and the windows of a span that are closed by now."""
    monitor = model.monitor
    if monitor is None:
        raise InputError("it is not monitored", where=f"model {model.name!r}", fix="declare monitor=Monitor()")
    width, end = monitor.width, now if until is None else min(until, now)
    if since is not None and until is not None and since >= until:
        raise InputError(
            f"it begins at {instant_text(since)}, and ends at {instant_text(until)}", where="since, until",
            expected="a span that begins before it ends",
        )  # fmt: skip
    windows = list(closed(width, end // width * width - LATEST * width if since is None else since, end))
    if len(windows) > MOST:
        raise InputError(
            f"{len(windows):,} windows are in that span", where="since, until", expected=f"at most {MOST:,}",
            fix="end it where nothing was served any more: --until",
        )  # fmt: skip
    if not windows:
        raise InputError(
            "no window is closed in that span", where="since, until", expected=f"windows of {monitor.window}",
            fix=f"ask for a longer span, or wait until {instant_text(end // width * width + width)}",
        )  # fmt: skip
    return monitor, windows


def _open(
    records: Records, model: Model, monitor: Monitor, until: int | None, now: int, *, counted: bool
) -> Open | None:  # fmt: skip
    """The window that is not over yet, if the span goes on; its rows are read only where there are no others to tell
    of: then these are the first, and at most one window of them."""
    window = Window.of(now, monitor.width)
    if until is not None and until <= window.start:
        return None
    if counted:
        return Open(window, None)
    logged = records.predictions.scan(model=model.name, since=window.start, until=now)
    return Open(window, sum(1 for _ in answered(logged)))


def _served(windows: list[Window], counts: dict[Window, Counted]) -> list[Window]:
    """From the first window in which something was served on; all of them, where nothing was."""
    first = next((place for place, one in enumerate(windows) if counts[one]), 0)
    return windows[first:]


def _day(counting: Counting, window: Window, counts: Mapping[Window, Counted]) -> Day:
    """A window as a tick looks at it: with as many before it as it takes to tell. What was kept is what stands."""
    said = counting.day(window)
    if said is not None:
        return said
    counted = counts[window]
    rows, who = sum(tally.rows for tally in counted.values()), most(counted)
    version = None if who is None else counting.version(who.digest)
    known = None if who is None else counting.known(who)
    found: list[Found] = []
    if who is not None and known is not None:
        latest = [counts[one] for one in sorted(counts)]
        found = of_columns(known, who, latest, counting.monitor, window)
    day = Day.of(window, None if version is None else version.number, rows, found)
    counting.keep_day(day)
    return day


def _whole(
    counting: Counting, windows: list[Window], counts: dict[Window, Counted], *, deep: bool
) -> tuple[tuple[Found, ...], Domain | None, Answerer | None]:  # fmt: skip
    """What all windows together say of the version that answered last."""
    who = next((most(counts[one]) for one in reversed(windows) if counts[one]), None)
    known = None if who is None else counting.known(who)
    if who is None or known is None:
        return (), None, who
    summed: dict[Answerer, Tally] = {}
    for one in windows:
        for other, tally in counts[one].items():
            summed[other] = summed.get(other, Tally()) + tally
    span = Window(windows[0].start, windows[-1].end)
    found = of_columns(known, who, [summed], counting.monitor, span)
    found = [one for one in found if one.kind != DATA_QUALITY or one.state is not State.OK]  # what stands out
    domain = None
    if deep:
        found += parity(counting.records, counting.model, counting.monitor, span, summed[who].rows)
        domain = _domain(counting.records, counting.model, counting.monitor, who, windows)
    return tuple(found), domain, who


def _domain(records: Records, model: Model, monitor: Monitor, who: Answerer, windows: list[Window]) -> Domain | None:
    """How well the last rows of a version are told from its training rows, by the model's inputs together."""
    version = records.registry.by_digest(who.digest)
    if REFERENCE not in version.manifest.files or version.manifest.feature_set.hash != model.features.hash:
        return None
    names = [name for name in model.features.vector if name not in monitor.leave_out]
    rows: list[Prediction] = []
    for window in reversed(windows):
        logged = answered(records.predictions.scan(model=model.name, since=window.start, until=window.end))
        rows += [one for one in logged if one.version == who.digest and one.feature_set == model.features.hash]
        if len(rows) >= _ROWS:
            break
    if not rows:
        return None
    told = rows_of(sorted(rows, key=lambda one: one.at)[-_ROWS:], model.features, names, monitor.entity)
    sample = reference_sample(records, version)
    # A sample of training rows has no times and no entities: rows of a day lean on each other, and days are apart.
    clusters = told.at // DAY
    before = np.arange(len(next(iter(sample.values())))) // 100 - 1_000_000
    return domain_classifier(
        {name: sample[name] for name in names}, told.features, entity=clusters, reference_entity=before
    )


def _labels(counting: Counting, who: Answerer, windows: list[Window], now: int) -> LabelReport:
    """What the labels known by then say of the version that answered last, of what it was asked in the span."""
    records, model, known = counting.records, counting.model, counting.known(who)
    logged = records.predictions.scan(model=model.name, since=windows[0].start, until=windows[-1].end)
    mine = [one for one in answered(logged) if one.version == who.digest and model.label.key in one.keys]
    reference = None if known is None or known.expected is None else known.expected.reference
    return label_report(
        scored_frame(model, mine), model.label, records.events, as_of=now, start=windows[0].start,
        reference=reference,
    )  # fmt: skip


def _versions(counting: Counting, counted: list[Counted]) -> dict[int, int]:
    """How many rows each version answered."""
    out: dict[int, int] = {}
    for one in counted:
        for who, tally in one.items():
            version = counting.version(who.digest)
            if version is not None:
                out[version.number] = out.get(version.number, 0) + tally.rows
    return dict(sorted(out.items()))


def _signals(records: Records, model: Model, windows: list[Window], now: int) -> tuple[Signal, ...]:
    """Those that are on after the last of these windows that a tick had looked at by then."""
    some = [one for one in looks(records, model) if one.at <= now]
    found = [one for one in some if windows[0].start <= one.window.start <= windows[-1].start]
    return tuple(one for one in found[-1].signals if one.state != "OK") if found else ()
