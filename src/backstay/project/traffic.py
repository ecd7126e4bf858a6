"""What of a project is about how versions come to answer: `project.rollouts`, made when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from backstay.project.context import Context

if TYPE_CHECKING:
    from backstay.project.rollouts import Rollouts


class Traffic(Context):
    """A context, with what is needed to bring versions to customers."""

    @cached_property
    def rollouts(self) -> Rollouts:
        """Where rollouts are: show, history, start, stop."""
        from backstay.project.rollouts import Rollouts  # loaded late: a server rolls nothing out

        return Rollouts(self.records, self.definitions, self.permits)
