"""What of a project is about how its models do in service: what is monitored, each made when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from backstay.project.traffic import Traffic

if TYPE_CHECKING:
    from backstay.project.incidents import Incidents
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
