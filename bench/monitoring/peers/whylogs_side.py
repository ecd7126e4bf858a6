"""whylogs: a profile of the window alone. Its drift from another profile is computed of profiles, and takes no time."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pandas as pd
import whylogs

from bench.monitoring import speed


def speed_(count: int, columns: int) -> dict[str, Any]:
    window = pd.DataFrame(speed.columns(count, columns, 1))
    begin = perf_counter()
    whylogs.log(window).view()
    return {"seconds": perf_counter() - begin}
