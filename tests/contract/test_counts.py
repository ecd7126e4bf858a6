"""The contract of the counts record: what was counted is there, all of it and once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backstay.core.errors import InputError
from backstay.core.times import DAY, MINUTE, instant
from backstay.storage.counts import Counted, by_minute
from backstay.storage.ports import CountLog

NOW = instant("2026-11-25T12:00:00Z")


def row(minute: int, model: str = "m", requests: int = 10, failed: int = 1, slow: int = 2) -> Counted:
    return Counted(NOW + minute * MINUTE, model, requests, failed, slow)


def test_empty(counts: CountLog) -> None:
    counts.append([])
    assert list(counts.scan()) == []
    assert list(counts.scan(model="m", since=0, until=NOW)) == []


def test_what_is_wanted(counts: CountLog) -> None:
    for minute in range(6):
        counts.append([row(minute), row(minute, "other", 3, 0, 0)])
    assert sorted(counts.scan(model="m"), key=lambda one: one.minute) == [row(minute) for minute in range(6)]
    assert {one.minute for one in counts.scan(since=NOW + 2 * MINUTE, until=NOW + 4 * MINUTE)} == {
        NOW + 2 * MINUTE, NOW + 3 * MINUTE,
    }  # fmt: skip
    assert list(counts.scan(model="none")) == []
    assert sum(one.requests for one in counts.scan()) == 6 * 13


def test_nothing_is_lost_or_doubled_when_days_pass(counts: CountLog) -> None:
    for hour in range(100):
        counts.append([row(hour * 60)])
        counts.append([row(hour * 60, requests=1, failed=0, slow=0), row(hour * 60, "other")])
    found = by_minute(counts.scan())
    assert [(one.minute, one.requests) for one in found if one.model == "m"] == [
        (NOW + hour * 60 * MINUTE, 11) for hour in range(100)
    ]
    assert sum(one.requests for one in found if one.model == "other") == 1_000
    later = by_minute(counts.scan(since=NOW + 3 * DAY))
    assert later == [one for one in found if one.minute >= NOW + 3 * DAY]


def test_threads_lose_nothing(counts: CountLog) -> None:
    with ThreadPoolExecutor(1) as pool:  # an append is for one thread at a time; a scan for any
        done = [pool.submit(counts.append, [row(minute)]) for minute in range(200)]
        while not all(one.done() for one in done):
            assert {one.requests for one in counts.scan()} <= {10}
    assert len(by_minute(counts.scan())) == 200


@pytest.mark.parametrize(
    "bad",
    [
        Counted(NOW + 1, "m", 1, 0, 0),
        Counted(NOW, "", 1, 0, 0),
        Counted(NOW, "m", 1, 1, 1),
        Counted(NOW, "m", 1, -1, 0),
    ],
)
def test_what_counts_nothing_is_refused(counts: CountLog, bad: Counted) -> None:
    with pytest.raises(InputError, match="counts"):
        counts.append([row(0), bad])
    assert list(counts.scan()) == []
