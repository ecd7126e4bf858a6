"""Where asked moments stand among the events of their entities."""

from __future__ import annotations

from functools import cached_property

from backstay.features.exact import Ints
from backstay.features.index import Index
from backstay.features.question import Window


class Moments:
    """Asked (segment, T), and where they stand among the events: each place is searched once, whatever needs it."""

    def __init__(self, segment: Ints, at: Ints, by_visible: Index, by_time: Index) -> None:
        self.segment, self.at = segment, at
        self._by_visible, self._by_time = by_visible, by_time
        self._since: dict[Window, Ints] = {}

    @cached_property
    def entered(self) -> Ints:
        """How many events come before those that are not yet visible, in the order of becoming visible."""
        return self._by_visible.before(self.segment, self.at + 1)

    @cached_property
    def starts(self) -> Ints:
        """How many events earlier segments have."""
        return self._by_time.starts(self.segment)

    def since(self, window: Window) -> Ints:
        """How many events come before those of the window, in canonical order."""
        if window not in self._since:
            self._since[window] = self._by_time.before(self.segment, window.begins(self.at))
        return self._since[window]
