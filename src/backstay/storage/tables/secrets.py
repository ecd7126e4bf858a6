"""Secrets stand in the environment: `${NAME}` is replaced, and what it was replaced with is kept out of messages."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from backstay.core.errors import InputError

_NAME = re.compile(r"\$\{(\w+)\}")


class Secrets:
    """Replaces `${NAME}` by the environment's value, and remembers the values so that no message shows them."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._values: set[str] = set()

    def fill(self, text: str, form: Callable[[str], str] = str) -> str:
        """The text with each `${NAME}` replaced, in some form. A name the environment does not have is refused."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name not in os.environ:
                raise InputError(
                    f"the environment variable {name} is not set", where=self._where, fix=f"export {name}=..."
                )
            self.hide(os.environ[name])
            return form(os.environ[name])

        return _NAME.sub(value, text)

    def fill_all(self, options: Mapping[str, str]) -> dict[str, str]:
        """Options with their values replaced."""
        return {name: self.fill(value) for name, value in options.items()}

    def hide(self, value: str | None) -> None:
        """Keep a value out of messages from now on."""
        if value:
            self._values.add(value)

    def hidden(self, message: str) -> str:
        """The message without the values."""
        for value in sorted(self._values, key=len, reverse=True):
            message = message.replace(value, "***")
        return message
