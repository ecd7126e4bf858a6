"""For all tests, before any of them imports a library that trains."""

from __future__ import annotations

import os

# Threads of OpenMP that wait for each other spin, which is fast where each has a core of its own. Here two workers,
# their servers and their victims share two: training a small model took ten times its CPU, spinning. What is computed
# is the same. Processes that tests start inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# So do those of OpenBLAS, and more so: a product of 5,000 by 40 numbers took a hundred times its CPU when the other
# thread's core was busy. Where it is a question what threads do to scores there are two of them: `tests/runtimes`.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
