"""Data contracts: what must hold of the events of a source, checked at ingest and at online push."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Expect:
    """One expectation; made by the methods of `Contract`'s module."""


class Contract:
    """Expectations on the events of one source."""
