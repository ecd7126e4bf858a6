"""Online state in Redis or Valkey, shared by the servers of several machines.

Every key begins with the project's prefix in braces, a hash tag: in a cluster all of them lie on one node, so that one
MGET reads them at one moment. A write is one script, which the server runs alone: it compares what is expected, then
writes all of it or nothing.

What the server acknowledges is as durable as its settings make it. With `appendonly yes` and `appendfsync always`
neither a killed server nor a power cut loses anything. With `everysec`, which is the server's default, even writing is
put off while the disk is busy with a sync, so that a killed server may lose two seconds. Without `appendonly` a restart
goes back to the last snapshot, or to nothing. The events record is elsewhere, and the online state can always be made
from it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from backstay.core.errors import InputError
from backstay.storage.backends.redis.connections import Connections
from backstay.storage.keyed import check_read, check_write, conflict

MOST_KEYS = 500_000
"""Keys in one write: the server takes about a million arguments in a command."""

# KEYS: those expected, those to set, those to remove. ARGV: of each expected key "=" or "-" (there is none), in one
# word; how many to set; the values expected ("" where there is none); the values to set. Answers 0, or the place of the
# first key that differs.
_WRITE = b"""
local marks, sets = ARGV[1], tonumber(ARGV[2])
for i = 1, #marks do
  if redis.call('GET', KEYS[i]) ~= (string.sub(marks, i, i) == '=' and ARGV[2 + i]) then return i end
end
for i = #marks + 1, #marks + sets do redis.call('SET', KEYS[i], ARGV[2 + i]) end
for i = #marks + sets + 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 0
"""


class RedisOnline:
    """`OnlineState` in a Redis or Valkey server: `redis://`, `rediss://` (TLS) or `unix://`.

    Keys are kept under `prefix`; another prefix is another state. `timeout` and `write_timeout` are the seconds that
    any one wait for the server may last. Nothing is connected before it is needed, and a server that was restarted is
    connected to again. After a write that found no answer it is unknown whether it was done: read again.
    """

    def __init__(self, url: str, *, prefix: str, timeout: float = 1.0, write_timeout: float = 30.0) -> None:
        if not re.fullmatch(r"[\w.:/-]+", prefix):
            raise InputError(
                f"the prefix {prefix!r} cannot stand in a key", where="prefix", expected="letters, digits, _ . : / -"
            )
        self._prefix = b"{%s}" % prefix.encode()
        self._reads = Connections(url, timeout)
        self._writes = Connections(url, write_timeout)

    def read(self, keys: Sequence[bytes], have: Sequence[bytes | None] | None = None) -> list[bytes | None]:
        check_read(keys, have)
        if not keys:
            self._reads.check_open()
            return []
        prefix = self._prefix
        found: list[bytes | None] = self._reads.ask(b"MGET", *[prefix + key for key in keys], again=True)
        if have is not None:
            for place, head in enumerate(have):
                if head and (value := found[place]) is not None and value.startswith(head):
                    found[place] = head
        return found

    def write(self, values: Mapping[bytes, bytes | None], expect: Mapping[bytes, bytes | None] | None = None) -> None:
        expect = expect or {}
        check_write(values, expect)
        if len(values) + len(expect) > MOST_KEYS:
            raise InputError(
                f"{len(values) + len(expect)} keys in one write",
                where=self._writes.where,
                expected=f"at most {MOST_KEYS}",
                fix="write in several parts",
            )
        if not values and not expect:
            self._writes.check_open()
            return
        sets = {key: value for key, value in values.items() if value is not None}
        removed = [key for key, value in values.items() if value is None]
        keys = [*expect, *sets, *removed]
        marks = b"".join(b"-" if value is None else b"=" for value in expect.values())
        command: list[bytes | int] = [b"EVAL", _WRITE, len(keys), *(self._prefix + key for key in keys)]
        command += [marks, len(sets), *(value or b"" for value in expect.values()), *sets.values()]
        differs = self._writes.ask(*command, again=False)
        if differs:
            raise conflict(keys[differs - 1], self._writes.where)

    def clear(self) -> None:
        keys = self._all()
        # In one command where they fit, so that no reader sees a watermark whose histories are gone.
        for start in range(0, len(keys), MOST_KEYS):
            self._writes.ask(b"UNLINK", *keys[start : start + MOST_KEYS], again=False)

    def close(self) -> None:
        self._reads.close()
        self._writes.close()

    def _all(self) -> list[bytes]:
        """Every key under the prefix, as the server names it. SCAN misses none that is there all the while."""
        found: set[bytes] = set()
        cursor: Any = b"0"
        while True:
            cursor, some = self._writes.ask(
                *(b"SCAN", cursor, b"MATCH", self._prefix + b"*", b"COUNT", 10_000), again=True
            )
            found.update(some)
            if cursor == b"0":
                return sorted(found)
