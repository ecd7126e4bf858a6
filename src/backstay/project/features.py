"""The feature store of a project, in process: features of a frame, look up, push, and how served values lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.definitions import EventSource
from backstay.features.answers import Answers, OnlineRow
from backstay.features.frames import given
from backstay.features.historical import Historical, historical
from backstay.features.intake import Intake
from backstay.features.lookup import Reached
from backstay.features.mappings import read_mappings
from backstay.features.online import OnlineWriter, check_filled, shown
from backstay.features.raising import computed
from backstay.features.reading import RowReader
from backstay.features.shaping import pushed_frame
from backstay.lifecycle.records import Records
from backstay.lifecycle.skew import Skew, skew
from backstay.lifecycle.verify import Chosen
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.project.services import Services


class FeatureStore:
    """The feature store of a project: `project.features`.

    frame = project.features.historical(labels, at="asked_at").frame
    project.features.push("payments", [{"event_time": now, "customer": "c7", "amount": 12.5}])
    row = project.features.online([{"customer": "c7", "amount": 3.0}])[0]
    row.values["customer_amount_1h"], row.statuses["customer_amount_1h"], row.ages["customer_amount_1h"]
    """

    def __init__(
        self,
        services: Services,
        records: Records,
        definitions: Definitions,
        settings: Mapping[str, Any],
        permits: Permits,
    ) -> None:
        self._services, self._records, self._definitions, self._settings = services, records, definitions, settings
        self._clock, self._permits = records.clock, permits
        self._answers: dict[str, tuple[RowReader, Answers]] = {}
        self._reached = Reached()
        self._intakes: dict[str, Intake] = {}
        self._writer: OnlineWriter | None = None

    def historical(
        self,
        frame: Any,
        features: str | None = None,
        *,
        at: str = "at",
        as_of: str | int | None = None,
        statuses: bool = False,
        out: str | Path | None = None,
    ) -> Historical:
        """The features of every row of a Polars, pandas or Arrow frame at the row's own time; see `Historical`.

        features: a feature set by name; the only one if not given. at: the column of times.
        statuses: also a column `{feature}__status` each. out: a folder to write Parquet files into instead.
        """
        chosen = self._definitions.feature_set(features)
        self._permits.features(chosen.name, "read", "read_offline")
        return historical(
            chosen,
            frame,
            self._services.events,
            at=at,
            as_of=None if as_of is None else instant(as_of, where="as_of"),
            statuses=statuses,
            memory=self._settings["features.memory"] or None,
            out=None if out is None else Path(out),
        )

    def online(
        self, rows: Sequence[Mapping[str, Any]], features: str | None = None, *, at: str | int | None = None
    ) -> list[OnlineRow]:
        """The features of some entities now (or at T), from the online state, in one round trip; see `OnlineRow`.

        A row maps entity keys and request-time inputs to their values; a key may be None. Raises `InputError` for a row
        that is not as declared, and for a feature set that has events and was never backfilled.
        """
        chosen = self._definitions.feature_set(features)
        self._permits.features(chosen.name, "read", "read_online")
        moment = self._clock.now() if at is None else instant(at, where="at")
        if chosen.hash not in self._answers:
            check_filled(chosen, self._services.events, self._services.online, moment)
            self._answers[chosen.hash] = RowReader(chosen), Answers(chosen, self._services.online, self._reached)
        reader, answers = self._answers[chosen.hash]
        try:
            quick = answers.quick(rows, [moment] * len(rows)) if reader.plain(rows) else None
            return answers.rows(reader.asked(rows, moment)) if quick is None else quick
        except (OverflowError, UnicodeEncodeError):
            reader.read(rows, moment)  # names the value that no key of the state can hold
            raise

    def push(self, source: str, events: Any) -> dict[str, Any]:
        """Record events that became known just now (a mapping, several, or a frame), and make them visible online.

        Each has its `event_time` and every column of the source, and no other. Durable when it returns: how many were
        `accepted`, and the `sequence` they reach. If the online state cannot take them now, `visible` is False: they
        are recorded, and must not be pushed again. Events that break the source's contract go to quarantine, and are
        counted there; without a contract one bad event refuses all of them.
        """
        name = self._definitions.sources.get(source)
        if name is None:
            raise InputError(
                f"there is no source {source!r}",
                expected=f"one of {', '.join(self._definitions.sources)}",
                fix="name one of them",
            )
        self._permits.source(source, "push to")
        return self._push(name, events)

    def skew(
        self,
        model: str | None = None,
        *,
        sample: int | None = None,
        since: str | int | None = None,
        until: str | int | None = None,
    ) -> Skew:
        """How the served features of a model's version lie against those it was trained on; see `Skew` and `shift`.

        It is the version that answered last, or answered last from `since` on and before `until` (both of T).
        """
        one = self._definitions.model(model)
        self._permits.model(one, "compare the features of", "read_offline")
        begin, end = (None if time is None else instant(time, where="since, until") for time in (since, until))
        return skew(self._records, one, Chosen(sample, None, begin, end))

    def _push(self, source: EventSource, events: Any) -> dict[str, Any]:
        record, now = self._services.events, self._clock.now()
        events = [events] if isinstance(events, Mapping) else events
        if isinstance(events, (list, tuple)):
            read = read_mappings(source, events, stamp=now)
            shaped, came, texts, unread = read.rows, read.rows.rows, read.texts, read.unread
        else:
            came, _ = given(events, where=source.where)
            shaped, texts, unread = pushed_frame(source, came, stamp=now), None, None
        if not came.height and (unread is None or not unread.height):
            return {"accepted": 0, "sequence": record.last_sequence(source.name)}
        if self._writer is None:
            self._writer = OnlineWriter(self._services.online, self._definitions.feature_sets.values())
        if source.name not in self._intakes:
            sets = self._definitions.feature_sets.values()
            self._intakes[source.name] = Intake(source, record, computed=computed(source, sets))
        taken = self._intakes[source.name].take(shaped, came, now=now, texts=texts, unread=unread)
        return taken.answer(source, shown(source, record, self._writer, taken.events))
