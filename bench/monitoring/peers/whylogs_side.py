"""whylogs: a profile of the window, and its drift from the reference's profile, which is made before."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

from bench.monitoring import speed


def speed_(count: int, columns: int) -> dict[str, Any]:
    reference = whylogs.log(pd.DataFrame(speed.columns(count, columns, 0))).view()
    window = pd.DataFrame(speed.columns(count, columns, 1))
    begin = perf_counter()
    profile = whylogs.log(window).view()
    calculate_drift_scores(target_view=profile, reference_view=reference, with_thresholds=True)
    return {"seconds": perf_counter() - begin}
