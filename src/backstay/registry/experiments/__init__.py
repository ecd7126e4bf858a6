"""Experiments: runs with their parameters, metrics, tags, notes and files; how they are found and compared.

    with runs.begin("late", parameters={"depth": 6}) as run:
        for step in range(100):
            run.log("auc", auc, step)
    best = runs.search("auc > 0.7 and depth < 8", order="auc desc", limit=1)

A run says what was tried; a *version* is what may be served. A training that registers one is a run that names it.
"""

from backstay.registry.experiments.comparison import Comparison
from backstay.registry.experiments.run import Run
from backstay.registry.experiments.runs import Runs

__all__ = ["Comparison", "Run", "Runs"]
