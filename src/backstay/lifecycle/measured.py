"""What a piece of work took, logged with its run."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from backstay.registry.experiments import Run

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in what the system counts memory in."""


@contextmanager
def measured(run: Run) -> Iterator[None]:
    """Log what the block took, also if it fails.

    cpu_seconds:    of all threads of this process, meanwhile
    peak_memory_mb: the largest resident memory that this process ever had, in 10^6 bytes (getrusage's ru_maxrss): the
                    block's own peak where it is the largest that the process does
    """
    began = time.process_time()
    try:
        yield
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 1e6
        run.log_many({"cpu_seconds": round(time.process_time() - began, 6), "peak_memory_mb": round(peak, 1)})
