"""Experiments of versions beside the champion: started and stopped by people, carried on by the tick.

standing = start(records, model, experiment, sources=..., why="do reminders by v7 bring more payments?")
experiment_tick(records, model)      # new shares, or the end, as the evidence says
look(records, model, standing).analysis
"""

from backstay.lifecycle.experiments.control import Look, Turned, experiment_tick, look, start, stop
from backstay.lifecycle.experiments.state import EXPERIMENT, Standing, Version, history, last, running

__all__ = [
    "EXPERIMENT",
    "Look",
    "Standing",
    "Turned",
    "Version",
    "experiment_tick",
    "history",
    "last",
    "look",
    "running",
    "start",
    "stop",
]
