"""What of a project is about how its models do in service: what is monitored, each made when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.project.traffic import Traffic

if TYPE_CHECKING:
    from backstay.investigation import Investigation
    from backstay.project.incidents import Incidents
    from backstay.project.labels import Labels
    from backstay.project.monitoring import Monitoring


class Watching(Traffic):
    """A context with its traffic, and with what is needed to watch over it."""

    @cached_property
    def incidents(self) -> Incidents:
        """Incidents: list, show, acknowledge, snooze, resolve, own; tell people, and what Prometheus needs."""
        from backstay.project.incidents import Incidents  # loaded late: a server opens none

        return Incidents(self.records, self.definitions, self.permits, self.settings, self.name)

    @cached_property
    def monitoring(self) -> Monitoring:
        """What monitors say of models: report, looks, signals."""
        from backstay.project.monitoring import Monitoring  # loaded late: a server watches nothing

        return Monitoring(self.records, self.definitions, self.permits)

    @cached_property
    def labels(self) -> Labels:
        """How the labels of what was served come, and what they say: report."""
        from backstay.project.labels import Labels  # loaded late: a server judges nothing

        return Labels(self.records, self.definitions, self.permits)

    def why(
        self,
        model: str | None = None,
        *,
        since: str | int | None = None,
        until: str | int | None = None,
        as_of: str | int | None = None,
    ) -> Investigation:
        """Why a model is worse online than offline: predictions with T in [since, until), labels as of a moment.

        Reads the records only. By default the predictions of the version that answered most in the last 28 days.
        """
        from backstay.lifecycle.why import why  # loaded late: a server investigates nothing

        chosen = self.definitions.model(model)
        self.permits.model(chosen, "investigate", "read_offline")
        moment = self.clock.now() if as_of is None else instant(as_of, where="as_of")
        begin, end = (None if one is None else instant(one, where="since, until") for one in (since, until))
        if begin is not None and end is not None and begin >= end:
            raise InputError(
                f"since is {since}, and until {until}", where="since, until", expected="a span that ends later"
            )
        return why(self.records, chosen, since=begin, until=end, as_of=moment, sources=self.definitions.sources)
