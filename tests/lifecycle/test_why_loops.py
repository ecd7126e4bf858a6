"""Whole loops through the records: what is planted is named, and where nothing is planted nothing is."""

from __future__ import annotations

import pytest
from bench.monitoring.why.faults import base, planted
from bench.monitoring.why.loop import lived
from bench.monitoring.why.plan import Plan

from backstay.investigation import Cause
from backstay.lifecycle.why import why


@pytest.mark.parametrize("cause", [Cause.STALE, None], ids=["stale", "nothing"])
def test_a_loop_is_explained(cause: Cause | None) -> None:
    plan: Plan = base(4) if cause is None else planted(cause, 4)
    served = lived(plan)
    told = why(served.records, served.model, since=served.since, until=served.until, as_of=served.as_of)
    assert [one.cause for one in told.ranked[:1]] == ([] if cause is None else [cause])
    if cause is not None:
        assert told.ranked[0].next
        assert told.ranked[0].rows
