"""Counts: how many requests for a model were answered, failed or came late, minute by minute.

It is what an error budget of weeks is computed from, where nobody keeps a Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from backstay.core.errors import InputError
from backstay.core.times import MINUTE


class Counted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one process counted for one model, and wrote down in one minute.

    minute:   its beginning, in microseconds UTC
    requests: those that were asked properly: answered, or failed
    failed:   of these, those that got no answer
    slow:     of these, those that were answered later than the objective of that moment wants
    """

    minute: int
    model: str
    requests: int
    failed: int
    slow: int

    def wanted(self, model: str | None, since: int | None, until: int | None) -> bool:
        """Whether it is of this model, and its minute in [since, until)."""
        later = since is None or self.minute >= since
        return later and (until is None or self.minute < until) and (model is None or self.model == model)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Counted]).decode


def encode(rows: Iterable[Counted]) -> bytes:
    """Rows as bytes. `InputError` for a row that says nothing, or something impossible."""
    given = list(rows)
    for one in given:
        if one.minute % MINUTE or not one.model or one.failed + one.slow > one.requests:
            raise InputError(
                f"{one} counts nothing", where="counts", expected="a whole minute, a model, and no more than were asked"
            )
        if min(one.requests, one.failed, one.slow) < 0:
            raise InputError(f"{one} counts backwards", where="counts", expected="counts of 0 and more")
    return _encode(given)


def decode(data: bytes) -> list[Counted]:
    """The rows in these bytes."""
    return _decode(data)


def by_minute(rows: Iterable[Counted]) -> list[Counted]:
    """The same counts in as few rows as there are minutes and models, in their order.

    >>> by_minute([Counted(60_000_000, "m", 3, 1, 0), Counted(60_000_000, "m", 2, 0, 2)])
    [Counted(minute=60000000, model='m', requests=5, failed=1, slow=2)]
    """
    sums: dict[tuple[int, str], list[int]] = {}
    for one in rows:
        total = sums.setdefault((one.minute, one.model), [0, 0, 0])
        total[0] += one.requests
        total[1] += one.failed
        total[2] += one.slow
    return [Counted(minute, model, *total) for (minute, model), total in sorted(sums.items())]
