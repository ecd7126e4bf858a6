"""Secrets stand in the environment: `${NAME}` is replaced, and what it was replaced with is kept out of messages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

from backstay.core.errors import InputError
from backstay.core.urls import NAME, filled_url

_SECRET = re.compile(r"pass|pwd|secret|token|key|credential", re.IGNORECASE)


class Secrets:
    """Replaces `${NAME}` by the environment's value, and remembers the values so that no message shows them."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._values: set[str] = set()

    def fill(self, text: str) -> str:
        """The text with each `${NAME}` replaced. A name the environment does not have is refused."""
        return NAME.sub(lambda found: self._value(found[1]), text)

    def fill_url(self, url: str) -> str:
        """The URL with each `${NAME}` put into its part."""
        return filled_url(url, self._value)

    def _value(self, name: str) -> str:
        if name not in os.environ:
            raise InputError(f"the environment variable {name} is not set", where=self._where, fix=f"export {name}=...")
        self.hide(os.environ[name])
        return os.environ[name]

    def fill_all(self, options: Mapping[str, str]) -> dict[str, str]:
        """Options with their values replaced."""
        return {name: self.fill(value) for name, value in options.items()}

    def hide(self, value: str | None) -> None:
        """Keep a value out of messages from now on, as it is and as a URL has it."""
        if value:
            self._values |= {value, quote(value, safe=""), quote_plus(value)}

    def hide_options(self, options: Iterable[tuple[str, str]]) -> None:
        """Keep those options of a URL out of messages that are secrets by their names."""
        for name, value in options:
            if _SECRET.search(name):
                self.hide(value)

    def hidden(self, message: str) -> str:
        """The message without the values."""
        for value in sorted(self._values, key=len, reverse=True):
            message = message.replace(value, "***")
        return message
