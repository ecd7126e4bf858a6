"""What monitors say of a project's models: `project.monitoring`. `report` and `looks` read; `tick` watches."""

from __future__ import annotations

from backstay.core.times import instant
from backstay.definitions import Model
from backstay.lifecycle.monitoring import Looked, Watched, looks, monitor_tick
from backstay.lifecycle.monitoring.report import days, report
from backstay.lifecycle.records import Records
from backstay.monitoring.report import Day, Report
from backstay.monitoring.signals import Signal
from backstay.project.loading import Definitions
from backstay.project.permits import Permits


class Monitoring:
    """Shows how inputs, scores and quality of models have been.

    project.monitoring.report(since="2013-06-01").drifting
    project.monitoring.looks()[-1].signals
    """

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def report(
        self, model: str | None = None, *, since: str | int | None = None, until: str | int | None = None,
        as_of: str | int | None = None, deep: bool = True,
    ) -> Report:  # fmt: skip
        """The report of a span of closed windows; by default of the last thirty.

        as_of: as it was then: windows that were closed and looked at, labels that were known; by default now
        deep: also compute a share of the rows again, and tell rows from training rows by all columns at once
        """
        begin, end = (None if one is None else instant(one, where="since, until") for one in (since, until))
        moment = None if as_of is None else instant(as_of, where="as_of")
        return report(self._records, self._model(model), since=begin, until=end, as_of=moment, deep=deep)

    def days(
        self, model: str | None = None, *, since: str | int | None = None, until: str | int | None = None
    ) -> list[Day]:
        """The closed windows of a span one by one, as ticks found them: what a heat map is drawn of."""
        begin, end = (None if one is None else instant(one, where="since, until") for one in (since, until))
        return days(self._records, self._model(model), since=begin, until=end)

    def looks(self, model: str | None = None) -> list[Looked]:
        """What each closed window said when a tick looked at it, in order."""
        return looks(self._records, self._model(model))

    def signals(self, model: str | None = None) -> list[Signal]:
        """The signals that are on, by the last window that a tick has looked at."""
        found = self.looks(model)
        return [one for one in found[-1].signals if one.state != "OK"] if found else []

    def tick(self, model: str | None = None) -> Watched:
        """Look at the windows that are closed and were not looked at yet, and do nothing else of a tick."""
        one = self._definitions.model(model)
        self._permits.judged(one, "watch over", "read_offline", "define")
        return monitor_tick(self._records, one)

    def _model(self, name: str | None) -> Model:
        one = self._definitions.model(name)
        self._permits.model(one, "look at the monitor of", "read_offline")
        return one
