"""How the labels of a project's models come, and what they say of the scores: `project.labels`."""

from __future__ import annotations

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.definitions import Model
from backstay.lifecycle.estimated import EstimatedQuality, estimated_quality
from backstay.lifecycle.records import Records
from backstay.monitoring.labels import LabelReport, label_report
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.project.status import served_frame


class Labels:
    """Joins labels to what was served, as they have come.

    project.labels.report().maturity.reached
    project.labels.report(as_of="2013-06-01").faults
    project.labels.estimated().weeks[-1].estimates["pape"]["auc"]
    """

    def __init__(self, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._records, self._definitions, self._permits = records, definitions, permits

    def report(self, model: str | None = None, *, as_of: str | int | None = None) -> LabelReport:
        """Maturity, faults, weekly cohorts and calibration of everything served and asked before a moment."""
        one, moment = self._asked(model, as_of)
        served = served_frame(self._records, one, until=moment)
        return label_report(served, one.label, self._records.events, as_of=moment)

    def estimated(
        self, model: str | None = None, *, as_of: str | int | None = None, weeks: int = 8
    ) -> EstimatedQuality:  # fmt: skip
        """Quality of the last weeks without their labels, by every method, and how each did where labels have come.

        weeks: how many of those that have something asked before `as_of`, at least 1
        """
        if weeks < 1:
            raise InputError(f"{weeks} weeks", where="weeks", expected="at least 1")
        one, moment = self._asked(model, as_of)
        return estimated_quality(self._records, one, as_of=moment, weeks=weeks)

    def _asked(self, model: str | None, as_of: str | int | None) -> tuple[Model, int]:
        one = self._definitions.model(model)
        self._permits.model(one, "look at the labels of", "read_offline")
        return one, self._records.clock.now() if as_of is None else instant(as_of, where="as_of")
