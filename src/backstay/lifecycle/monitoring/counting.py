"""Counting windows: the predictions of each closed window, by the version and rule that answered, once.

What was counted is kept, so that a report over a year reads no prediction twice. The predictions record stays the
truth: counts that are gone, or were made by another rule, are made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from backstay.core.errors import BackstayError, NotFoundError
from backstay.core.identity import digest_of
from backstay.core.times import MINUTE
from backstay.definitions import Model, Monitor
from backstay.evaluation.drift import References
from backstay.lifecycle.monitoring.baseline import known
from backstay.lifecycle.records import Records
from backstay.monitoring.kept import Kept
from backstay.monitoring.report import Day
from backstay.monitoring.rows import PART, answered, in_order, rows_of, watched_features
from backstay.monitoring.tally import Known, Tally
from backstay.monitoring.windows import Window
from backstay.registry.versions import ModelVersion
from backstay.storage.predictions import Prediction

_FORM = 2
_SETTLED = MINUTE
"""How long after its end a window is counted for good: what servers still had in hand is written by then."""


class Answerer(NamedTuple):
    """Who answered: a version by its digest, and the calibration and threshold that were in force, by their name."""

    digest: str
    rule: str


Counted = Mapping[Answerer, Tally]


@dataclass
class _Seen:
    """What was counted of a window, and said of it: it stands if the predictions are the same when it is settled.

    unknown: who answered and had no version then: of theirs, only how many there are was counted
    rows: a digest of the predictions that were counted, in their order
    at:   when it was counted, while the window was not settled yet; None: it was
    day:  by which policy, and what was said
    """

    tallies: dict[Answerer, Tally]
    unknown: frozenset[Answerer] = frozenset()
    rows: str = ""
    at: int | None = None
    day: tuple[str, Day] | None = None


@dataclass
class Counting:
    """Counts windows of one model, and knows what its versions are held against."""

    records: Records
    model: Model
    monitor: Monitor
    problems: dict[Answerer, str] = field(default_factory=dict)
    """why it cannot be told what a version is held against"""
    _known: dict[Answerer, Known] = field(default_factory=dict)
    _versions: dict[str, ModelVersion | None] = field(default_factory=dict)
    _told: dict[Window, Counted] = field(default_factory=dict)

    def version(self, digest: str) -> ModelVersion | None:
        """A version by its digest; None where the registry has none such, as after an import of predictions."""
        if digest not in self._versions:
            try:
                self._versions[digest] = self.records.registry.by_digest(digest)
            except NotFoundError:
                self._versions[digest] = None
        return self._versions[digest]

    def known(self, who: Answerer) -> Known | None:
        """What a version is held against; None where there is no such version."""
        if who not in self._known:
            version = self.version(who.digest)
            if version is None:
                return None
            kept, key = self.records.kept, digest_of([self.model.name, self._rule, *who])
            found = None if kept is None else kept.recall(key)
            try:
                self._known[who] = found or known(self.records, self.model, version, who.rule)
            except BackstayError as error:  # a file that is gone, say: what it is held against cannot be told
                self._known[who] = Known(References({}), References({}))
                self.problems[who] = str(error)
            else:
                if kept is not None:
                    kept.remember(key, self._known[who])
        return self._known[who]

    def windows(self, wanted: Sequence[Window]) -> dict[Window, Counted]:
        """The counts of windows that follow on each other, by who answered. Predictions are read once, if at all."""
        kept = {one: self._kept(one) for one in wanted}
        missing = [one for one, found in kept.items() if found is None]
        counted = self._count(missing) if missing else {}
        if self.records.kept is not None:
            for window, found in counted.items():
                if not self.problems.keys() & found.tallies.keys():
                    self._keep(self.records.kept, window, found)
        told: dict[Window, Counted] = {
            one: counted[one].tallies if one in counted else kept[one] or {} for one in wanted
        }  # fmt: skip
        self._told |= told
        return told

    def day(self, window: Window) -> Day | None:
        """What was found in a window before, by the policy as it is; None if that is not kept."""
        told = None if self.records.kept is None else self.records.kept.get(self._said, window, self._policy)
        return None if told is None else Day.from_kept(window, told)

    def keep_day(self, day: Day) -> None:
        """Keep what was found in a window, once it is settled: a report need not find it again."""
        if self.records.kept is None or self.problems:
            return
        if self._settled(day.window):
            self.records.kept.put(self._said, day.window, self._policy, day.kept())
        elif (seen := self._seen(day.window)) is not None and seen.tallies is self._told.get(day.window):
            seen.day = (self._policy, day)  # what was found is of these very counts

    @property
    def _said(self) -> str:
        return f"{self.model.name}/said"

    @cached_property
    def _policy(self) -> str:
        """By what windows are judged, beside what they are counted by."""
        one = self.monitor
        return digest_of([
            self._rule, one.effect, one.severe, one.level, one.minimum_rows, one.together, one.references,
            one.leave_out, one.metric, one.margin,
        ])  # fmt: skip

    @cached_property
    def _names(self) -> list[str]:
        return watched_features(self.model.features)

    @cached_property
    def _rule(self) -> str:
        """By what windows are counted: what is kept by another rule is none of ours."""
        return digest_of([_FORM, self.model.features.hash, list(self.monitor.entity), self.model.gate.embargo])

    def _keep(self, kept: Kept, window: Window, found: _Seen) -> None:
        """In this process's memory until the clock goes on; for good, and for others, once it is settled."""
        kept.remember(self._key(window), found)
        if self._settled(window):
            kept.put(self.model.name, window, self._rule, _document(found.tallies))
            if found.day is not None and found.day[0] == self._policy:
                kept.put(self._said, window, self._policy, found.day[1].kept())

    def _seen(self, window: Window) -> _Seen | None:
        """What this process has counted of a window, settled or not."""
        found: _Seen | None = None if self.records.kept is None else self.records.kept.recall(self._key(window))
        return found

    def _settled(self, window: Window) -> bool:
        return self.records.clock.now() >= window.end + _SETTLED

    def _key(self, window: Window) -> str:
        return digest_of([self.model.name, self._rule, window.start, window.end])

    def _kept(self, window: Window) -> dict[Answerer, Tally] | None:
        if self.records.kept is None:
            return None
        if (seen := self._seen(window)) is not None:
            # What was counted before it was settled is read again: more may have been written since.
            return seen.tallies if seen.at in (None, self.records.clock.now()) else None
        told = self.records.kept.get(self.model.name, window, self._rule)
        if told is None:
            return None
        tallies = {Answerer(one["version"], one["rule"]): Tally.from_dict(one["tally"]) for one in told["answered"]}
        self.records.kept.remember(self._key(window), _Seen(tallies))
        return tallies

    def _count(self, windows: Sequence[Window]) -> dict[Window, _Seen]:
        """Read what was asked in the windows, part by part, and count each part where it belongs.

        Where it is what this process counted before, to the last prediction, it is not counted again.
        """
        out: dict[Window, dict[Answerer, Tally]] = {one: {} for one in windows}
        read = {one: hashlib.sha256() for one in windows}
        starts = {one.start: one for one in windows}
        width = self.monitor.width
        parts: dict[tuple[Window, Answerer, bool, str], list[Prediction]] = {}
        for one in self._read(windows):
            window = starts.get(one.at // width * width)
            if window is None:
                continue
            read[window].update(one.id.encode())
            key = (window, Answerer(one.version, one.rule), one.given, one.feature_set)
            part = parts.setdefault(key, [])
            part.append(one)
            if len(part) >= PART:
                self._add(out, key, parts.pop(key))
        digests = {one: found.hexdigest() for one, found in read.items()}
        before = {one: seen for one in windows if (seen := self._seen(one)) and self._stands(seen, digests[one])}
        for key, part in parts.items():
            if key[0] not in before:
                self._add(out, key, part)
        now = self.records.clock.now()
        return {
            one: replace(
                before.get(one) or _Seen(out[one], self._unknown(out[one]), digests[one]),
                at=None if self._settled(one) else now,
            )
            for one in windows
        }

    def _stands(self, seen: _Seen, rows: str) -> bool:
        """Whether what was counted before would be counted again: the same predictions, by versions that are known now
        if they were then."""
        return seen.rows == rows and self._unknown(seen.tallies) == seen.unknown

    def _unknown(self, tallies: Counted) -> frozenset[Answerer]:
        return frozenset(who for who in tallies if self.known(who) is None)

    def _read(self, windows: Sequence[Window]) -> Iterator[Prediction]:
        since, until = windows[0].start, windows[-1].end
        return answered(self.records.predictions.scan(model=self.model.name, since=since, until=until))

    def _add(
        self, out: dict[Window, dict[Answerer, Tally]], key: tuple[Window, Answerer, bool, str],
        part: list[Prediction],
    ) -> None:  # fmt: skip
        window, who, _, feature_set = key
        known_ = self.known(who)
        if known_ is None:
            tally = Tally(len(part))
        else:
            # Served from another definition: its values have other places, and nothing is said of them.
            names = self._names if feature_set == self.model.features.hash else []
            tally = known_.tally(rows_of(in_order(part), self.model.features, names, self.monitor.entity))
        out[window][who] = out[window].get(who, Tally()) + tally


def _document(tallies: Counted) -> dict[str, Any]:
    return {
        "answered": [
            {"version": who.digest, "rule": who.rule, "tally": tally.as_dict()} for who, tally in tallies.items()
        ]
    }
