"""Makes the data, and the events record of ours: a process of its own, since it takes much memory."""

from __future__ import annotations


def everything() -> None:
    """Data first, then the record."""
    from bench.features import data, ours

    data.make()
    ours.prepare()
