"""Watching over a model: its closed windows are counted, looked at once each, and what they say is written down.

counting    the predictions of windows, by who answered, once
baseline    how a version did on rows that it had not learned from: what it is held against
looking     everything that is watched in one window
skew        a share of its rows, computed again
losses      realised quality of what has become mature
tick        what is due: an entry a window
"""

from backstay.lifecycle.monitoring.tick import MONITOR, Looked, Watched, looks, monitor_tick

__all__ = ["MONITOR", "Looked", "Watched", "looks", "monitor_tick"]
