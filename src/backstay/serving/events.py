"""Pushed events, checked one by one: what can be read becomes a frame, what cannot is told with its reason.

{"events": [{"event_time": "2024-03-01T10:00:00Z", "shop": "a", "size": 12.0}, ...]}
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from backstay.core.errors import InputError
from backstay.definitions import EventSource
from backstay.definitions.sources import type_name
from backstay.features.ingest import BAD, row_text
from backstay.serving.parse import Reader, body, integer, kind_of, only, reader, time_reader, values


@dataclass(frozen=True, slots=True, eq=False)
class Pushed:
    """Events of one request: `frame` of those that could be read, and `came`, the same as they stood in the request.

    unread: what could not be read, with the reason, in the form of `backstay.features.ingest.BAD`
    """

    frame: pl.DataFrame
    came: list[Any]
    unread: pl.DataFrame

    def texts(self, mask: pl.Series) -> list[str]:
        """Some rows of the frame as they stood in the request."""
        return [row_text(self.came[place]) for place in mask.arg_true()]


class EventParser:
    """Parses pushed events of one source: `{"events": [{...}, ...]}` or one alone, into a frame.

    What cannot be read refuses the request; of a source with a contract, only a name that is missing or unknown does.
    """

    def __init__(self, source: EventSource, *, replay: bool) -> None:
        self._source = source
        self._schema = source.schema
        time: Reader = partial(time_reader, zone=source.timezone)
        self._readers = {name: (reader(kind, time), True) for name, kind in source.schema.items()}
        self._times: dict[str, tuple[Reader, bool]] = {"event_time": (time, False)}
        self._parts = source.contract is not None and not replay  # in replay, events come out of the record
        if replay:
            self._times |= {"known_time": (time_reader, False)}
            self._readers |= {"sequence": (integer, False)}

    def parse(self, data: bytes) -> Pushed:
        """The events of a request body."""
        request = body(data)
        if "event_time" in request and "events" not in request:
            request = {"events": [request]}
        only(request, {"events"}, "body")
        events = request.get("events")
        if not isinstance(events, list):
            raise InputError(f"'events' is {kind_of(events)}", where="events", expected="a list of objects")
        readers = {**self._times, **self._readers}
        rows, came, unread = [], [], []
        for place, event in enumerate(events):
            try:
                if not isinstance(event, dict):
                    raise InputError(f"the event is {kind_of(event)}", where=f"events[{place}]", expected="an object")
                rows.append(values(event, readers, f"events[{place}]"))
                came.append(event)
            except InputError as error:
                if not self._parts or (isinstance(event, dict) and event.keys() != readers.keys()):
                    raise self._located(error) from None
                unread.append((*self._reason(event, error), row_text(event)))
        times = set(self._times) | {n for n, kind in self._schema.items() if isinstance(kind, pl.Datetime)}
        schema = {name: pl.Int64() if name in times or name == "sequence" else self._schema[name] for name in readers}
        frame = pl.DataFrame({name: [row[name] for row in rows] for name in readers}, schema=schema)
        frame = frame.with_columns(pl.col(sorted(times)).cast(pl.Datetime("us", "UTC")))
        return Pushed(frame, came, pl.DataFrame(unread, schema=BAD, orient="row"))

    def _located(self, error: InputError) -> InputError:
        """The error, which names the field, with the source that it is measured by."""
        expected = f"{error.expected or 'what is declared'}, as an event of {self._source.where}"
        return InputError(error.what, where=error.where, expected=expected, fix=error.fix or "send it as declared")

    def _reason(self, event: Any, error: InputError) -> tuple[str, str]:
        """Expectation and reason, in the words that an ingest has for the same."""
        name = error.where.rpartition(".")[2]
        if not isinstance(event, dict):
            return "type", "the event is not an object"
        if name == "event_time":
            zone = "with a zone" if self._source.timezone is None else f"of {self._source.timezone}, that occurs once"
            return "time", "there is no event_time" if event[name] is None else f"event_time is not a time {zone}"
        return "type", f"{name} is not read as {type_name(self._schema[name])}"
