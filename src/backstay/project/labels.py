"""How the labels of a project's models come, and what they say of the scores: `project.labels`."""

from __future__ import annotations

from backstay.core.times import instant
from backstay.lifecycle.records import Records
from backstay.monitoring.labels import LabelReport, label_report
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.project.status import served_frame


class Labels:
    """Joins labels to what was served, as they have come.

    project.labels.report().maturity.reached
    project.labels.report(as_of="2013-06-01").faults
    """

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def report(self, model: str | None = None, *, as_of: str | int | None = None) -> LabelReport:
        """Maturity, faults, weekly cohorts and calibration of everything served and asked before a moment."""
        one = self._definitions.model(model)
        self._permits.model(one, "look at the labels of", "read_offline")
        moment = self._records.clock.now() if as_of is None else instant(as_of, where="as_of")
        served = served_frame(self._records, one, until=moment)
        return label_report(served, one.label, self._records.events, as_of=moment)
