"""The errors of Backstay.

    BackstayError                 catch this to catch all of them
    ├── InputError                what was given is wrong: names the place, what was expected, and the fix
    │   └── DefinitionError       a definition in the user's project is wrong
    ├── AccessError               who asks lacks the role that it needs; the denial is in the ledger
    ├── NotFoundError             no such model, version, prediction, source, ...
    ├── ConflictError             somebody else moved first (compare-and-swap lost); read again, then retry
    ├── RefusedError              the answer is no: a gate did not pass, an approval is missing
    └── IntegrityError            stored content is not what was recorded: tampered with, or damaged

Only `ConflictError` is worth retrying unchanged. Every message says what happened, where, what was
expected and how to mend it, in that order, as far as each is known:

>>> str(InputError("distance is 'far'", where="fields.distance", expected="a number", fix="send miles as a number"))
"distance is 'far' (at fields.distance); expected a number. Fix: send miles as a number"
"""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb


class BackstayError(Exception):
    """Base of all errors that Backstay raises on purpose."""

    def __init__(self, what: str, *, where: str = "", expected: str = "", fix: str = "") -> None:
        self.what, self.where, self.expected, self.fix = what, where, expected, fix
        message = what
        if where:
            message += f" (at {where})"
        if expected:
            message += f"; expected {expected}"
        if fix:
            message += f". Fix: {fix}"
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries in spawned workers; keyword-only arguments need this to unpickle.
        return (_rebuild, (type(self), self.what, self.where, self.expected, self.fix))


def _rebuild(kind: type[BackstayError], what: str, where: str, expected: str, fix: str) -> BackstayError:
    return kind(what, where=where, expected=expected, fix=fix)


class InputError(BackstayError):
    """What was given is wrong; nothing was changed."""


class DefinitionError(InputError):
    """A definition (entity, source, feature, model, policy) is wrong; `where` names it."""


class AccessError(BackstayError):
    """Who asks lacks the role that it needs; nothing was changed, and the denial is in the ledger."""


class NotFoundError(BackstayError):
    """The thing named does not exist."""


class ConflictError(BackstayError):
    """A compare-and-swap lost: the record moved since it was read. Read again and retry."""


class RefusedError(BackstayError):
    """The answer is no, by policy: what was asked for is well formed, and may not be done (yet)."""


class IntegrityError(BackstayError):
    """Stored content differs from its recorded digest: it was tampered with or damaged."""


def told(error: Exception) -> str:
    """What a record may keep of an error: our own sentence; of another's, its class and where it was raised.

    Another's text may hold a customer's values, or a secret: whoever catches it logs it.

    >>> told(ConflictError("another moved first"))
    'ConflictError: another moved first'
    >>> told(ValueError("could not convert string to float: 'Mr Miller, 12 March'"))
    'ValueError'
    """
    name = type(error).__name__
    if isinstance(error, BackstayError):
        return f"{name}: {error}"
    frames = extract_tb(error.__traceback__)
    return f"{name} in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else name
