"""Durations and instants as people write them, and as Backstay keeps them (integer microseconds, UTC).

>>> duration("3h")
10800000000
>>> duration_text(7 * 86_400_000_000)
'7d'
>>> instant("2013-04-01T00:00:00Z")
1364774400000000
>>> instant_text(1364774400000000)
'2013-04-01T00:00:00Z'
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from backstay.core.errors import InputError

MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LONGEST = 3_652_500 * DAY
"""The longest duration that is one, 10,000 years: times that are so far apart are mistakes, and their sum no time."""

_UNITS = {"us": MICROSECOND, "ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION = re.compile(r"(\d{1,30})(us|ms|s|m|h|d|w)")
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST, LATEST = ((end.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max))
"""the first and the last instant of the years 1 to 9999 of UTC, which a `datetime` can hold"""


def duration(text: str | timedelta | int, *, where: str = "") -> int:
    """Microseconds in a duration such as "90m", "1d12h", a `timedelta`, or already microseconds.

    Raises `InputError` for anything else, for a negative duration, and for one of more than 10,000 years.
    """
    if isinstance(text, timedelta):
        micros = text // timedelta(microseconds=1)
    elif isinstance(text, int) and not isinstance(text, bool):
        micros = text
    else:
        words = text if isinstance(text, str) else ""
        parts = _DURATION.findall(words)
        if not parts or "".join(number + unit for number, unit in parts) != words.replace(" ", ""):
            raise InputError(
                f"{text!r} is not a duration",
                where=where,
                expected='a number and a unit (us, ms, s, m, h, d, w), such as "3h" or "1d12h"',
                fix='write for example "3h"',
            )
        micros = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if micros < 0:
        raise InputError(
            f"the duration {text!r} is negative", where=where, expected="zero or more", fix="leave out the sign"
        )
    if micros > LONGEST:
        raise InputError(
            f"the duration {text!r} is longer than time is reckoned",
            where=where,
            expected="10,000 years (3652500d) at the most",
            fix="leave it out if there is to be no limit, or write a shorter one",
        )
    return micros


def age_text(micros: int) -> str:
    """How long ago, for people: in whole days from two days on, then in minutes, below a minute in seconds.

    >>> age_text(3 * DAY + 5), age_text(90 * MINUTE), age_text(2 * SECOND)
    ('3d', '90m', '2s')
    """
    unit = DAY if micros >= 2 * DAY else MINUTE if micros >= MINUTE else SECOND
    return duration_text(micros // unit * unit)


def duration_text(micros: int) -> str:
    """The shortest way to write a duration, in the largest unit that divides it (days at the most)."""
    for unit in ("d", "h", "m", "s", "ms"):
        if micros and micros % _UNITS[unit] == 0:
            return f"{micros // _UNITS[unit]}{unit}"
    return f"{micros}us"


def seconds_text(micros: float) -> str:
    """A duration to the second, as `duration` takes it and results show it.

    >>> seconds_text(1.4 * SECOND), seconds_text(26 * HOUR), seconds_text(0)
    ('1s', '26h', '0s')
    """
    whole = round(micros / SECOND) * SECOND
    return duration_text(whole) if whole else "0s"


def instant(value: str | datetime | int, *, where: str = "", zone: str | None = None) -> int:
    """Microseconds since the epoch of an ISO 8601 instant, an aware `datetime`, or already microseconds.

    A date alone ("2013-04-01") means its first moment in UTC. A naive time is refused, unless it is given what `zone`'s
    clocks showed: then it is refused if they never showed it, or showed it twice.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return _within(value, where)
    if not isinstance(value, (str, datetime)):
        raise InputError(
            f"{value!r} is not an instant",
            where=where,
            expected="an ISO 8601 time with a zone, a datetime with one, or integer microseconds",
            fix='write for example "2013-04-01T12:00:00Z"',
        )
    if isinstance(value, str):
        date = len(value) == 10 and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)
        text = value + ("T00:00:00Z" if zone is None else "T00:00:00") if date else value
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(
                f"{value!r} is not a time",
                where=where,
                expected='ISO 8601 with a zone, such as "2013-04-01T12:00:00Z"',
                fix="send the time in that form",
            ) from None
    else:
        moment = value
    if moment.tzinfo is None and zone is not None:
        early, late = (moment.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():
            raise InputError(
                f"{value!s} is not a time of {zone}, that occurs once",
                where=where,
                expected="a time that its clocks showed once",
                fix="give its offset, such as -04:00",
            )
        moment = early
    if moment.tzinfo is None:
        raise InputError(
            f"{value!s} has no time zone",
            where=where,
            expected="a time with a zone",
            fix='append "Z" if it is UTC, or its offset such as "-04:00"',
        )
    return (moment - _EPOCH) // _MICROSECOND


def _within(micros: int, where: str) -> int:
    """The instant, if a calendar knows it."""
    try:
        instant_datetime(micros)
    except OverflowError:
        raise InputError(
            f"{micros} microseconds since 1970 is no time of the years 1 to 9999",
            where=where,
            expected="integer microseconds, UTC",
            fix="send seconds as microseconds: times a million",
        ) from None
    return micros


def instant_datetime(micros: int) -> datetime:
    """The aware UTC `datetime` of an instant."""
    return _EPOCH + timedelta(microseconds=micros)


def instant_text(micros: int) -> str:
    """ISO 8601 in UTC, with a fraction only where there is one."""
    return instant_datetime(micros).isoformat().replace("+00:00", "Z")
