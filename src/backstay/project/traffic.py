"""What of a project is about how versions come to answer: each made when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from backstay.project.context import Context

if TYPE_CHECKING:
    from backstay.project.experiments import Experiments
    from backstay.project.rollouts import Rollouts


class Traffic(Context):
    """A context, with what is needed to bring versions to customers."""

    @cached_property
    def rollouts(self) -> Rollouts:
        """Where rollouts are: show, history, start, stop."""
        from backstay.project.rollouts import Rollouts  # loaded late: a server rolls nothing out

        return Rollouts(self.records, self.definitions, self.permits)

    @cached_property
    def experiments(self) -> Experiments:
        """Experiments of versions beside the champion: start, show, history, stop; what another policy is worth."""
        from backstay.project.experiments import Experiments  # loaded late: a server compares nothing

        return Experiments(self.records, self.definitions, self.permits)
