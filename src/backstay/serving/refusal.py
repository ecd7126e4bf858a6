"""A *refusal* is an answer other than the one that was asked for, in terms of no transport: a status and four texts.

    400 what was asked is wrong              INVALID_ARGUMENT
    401 no token that anybody has            UNAUTHENTICATED
    403 the principal lacks the role         PERMISSION_DENIED
    404 nothing of this name                 NOT_FOUND
    405, 415 another method, another coding
    408 it did not go on coming
    413, 414, 431 too large                  RESOURCE_EXHAUSTED
    422 the model has no score for a row     FAILED_PRECONDITION
    429 more than can be answered in time    RESOURCE_EXHAUSTED    retry after the time that it names
    500 a defect                             INTERNAL
    501 what HTTP knows and this server does not
    503 no champion, or a store that fails   UNAVAILABLE
    504 the deadline has passed              DEADLINE_EXCEEDED

The shells turn these into bytes; what serves raises them, or any `BackstayError`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import monotonic

from backstay.core.errors import AccessError, BackstayError, InputError, NotFoundError
from backstay.features.lookup import Unavailable

_logger = logging.getLogger("backstay.serving")
RETRY_SECONDS = 1
"""After how long to ask again, where more is asked than can be answered."""
_WARN_SECONDS = 5.0
_warned = [-_WARN_SECONDS]
"""When it was last warned of a model that has no score."""


class Refusal(BackstayError):  # noqa: N818 - an answer, not a mistake
    """An answer with a status of its own."""

    def __init__(self, status: int, what: str, *, field: str = "", expected: str = "", fix: str = "") -> None:
        super().__init__(what, where=field, expected=expected, fix=fix)
        self.status = status


class NotAllowed(Refusal):
    """What is asked for exists, and is not answered by this method."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(405, f"{method} is not answered here", field="method", expected=allowed)
        self.allowed = "GET, HEAD" if allowed == "GET" else allowed


class Overloaded(Refusal):
    """More is asked than can be answered in time. Nothing was done: worth retrying after `retry_after` seconds."""

    def __init__(self, retry_after: int = RETRY_SECONDS) -> None:
        super().__init__(
            429,
            "the server is asked more than it can answer in time",
            expected=f"fewer requests at once, or a retry in {retry_after} s",
            fix="retry later, with more time between retries each time; add workers if this goes on",
        )
        self.retry_after = retry_after


class Late(Refusal):
    """The deadline has passed: an answer would come too late. Nothing was predicted."""

    def __init__(self, where: str) -> None:
        super().__init__(
            504,
            f"the deadline had passed {where}",
            expected="a deadline that leaves time to answer",
            fix="give the request more time, or send fewer at once",
        )


class Unscored(Refusal):
    """The version that answers has no score for a row: it raises an error, or says what is no number.

    Nothing is wrong with the request, and no other answers it: it counts as a failure of the model's.

    row: its place in the request, if that has several; prediction_id: of what was written down about it
    """

    def __init__(
        self, model: str, version: int, why: str, prediction_id: str, *, row: int | None, field: str
    ) -> None:  # fmt: skip
        of = "what was asked" if row is None else f"row {row}"
        super().__init__(
            422,
            f"version {version} of model {model!r} has no score for {of}: {why}",
            field=field,
            expected="a score that is a finite number",
            fix=f"leave it out, or mend the model; what it was asked: backstay trace {prediction_id}",
        )


class Gone(Refusal):
    """Whoever asked has gone away: nobody reads the answer."""

    def __init__(self) -> None:
        super().__init__(499, "the client went away")


def absent(what: str, field: str, name: str, known: Iterable[str]) -> Refusal:
    """There is nothing of this name."""
    return Refusal(404, f"there is no {what} {name!r}", field=field, expected=f"one of {sorted(known)}")


def _warn(error: Unscored) -> None:
    """Tell of a model that falls short, now and then: each row is written down, and counted."""
    if monotonic() - _warned[0] >= _WARN_SECONDS:
        _warned[0] = monotonic()
        _logger.warning("%s; each is counted in backstay_predictions_failed", error.what)


def refused(error: Exception) -> tuple[int, dict[str, str]]:
    """The status and the texts that an error is answered with. What nobody meant to raise is logged."""
    match error:
        case Refusal():
            status = error.status
            if isinstance(error, Unscored):
                _warn(error)
        case AccessError():
            status = 403
        case NotFoundError():
            status = 404
        case InputError():
            status = 400
        case Unavailable():  # the breaker logs when it opens, not each request
            status = 503
        case BackstayError():
            _logger.error("a request failed", exc_info=error)
            status = 503
        case _:
            _logger.error("a request failed", exc_info=error)
            return 500, {"error": f"{type(error).__name__}: {error}", "field": "", "expected": "", "fix": ""}
    sentence = error.what if isinstance(error, Refusal) else str(error)
    return status, {"error": sentence, "field": error.where, "expected": error.expected, "fix": error.fix}
