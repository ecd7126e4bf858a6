"""What every `OnlineState` does: a class of tests, to be run by pytest with a fixture that opens the store judged."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event
from typing import Any

from backstay.core.errors import BackstayError, ConflictError, InputError
from backstay.storage.ports import OnlineState

Opener = Callable[[], OnlineState]
"""Opens the store; called again, it opens the same state once more."""

_AWKWARD = [
    *(
        b"",
        b"\x00",
        b"\x00\x00",
        b"\xff",
        b"\x00backstay:",
        b"a\r\nb",
        b"{a}",
        b"{",
        b"}",
        b"*",
        b"a*",
        b"?",
        b"[a]",
        b" ",
    ),
    *(bytes([n]) * length for n in (0, 107) for length in (510, 511, 512, 513, 10_000)),
    bytes(range(256)),
    *(b"k" * 600 + end for end in (b"1", b"2")),
]
_COUNTER = b"counter"


class OnlineStateConformance:
    """Subclass it as `TestSomething`, with a pytest fixture `opener` that opens an empty state, one a test.

    `shared`: the state can be opened several times, by other processes too; `opener` can then be pickled. Set it to
    False for a store that lives in its process: `opener` then answers the same store whenever it is called.
    """

    shared = True

    def test_values_by_key(self, opener: Opener) -> None:
        with closing(opener()) as online:
            assert online.read([]) == []
            assert online.read([b"a", b"b"]) == [None, None]
            online.write({b"a": b"1", b"b": b""})
            assert online.read([b"b", b"c", b"a", b"a"]) == [b"", None, b"1", b"1"]
            assert online.read((b"a",)) == [b"1"]
            online.write({b"a": b"2"})
            online.write({})
            assert online.read([b"a", b"b"]) == [b"2", b""]

    def test_keys_of_any_length_and_content_stay_apart(self, opener: Opener) -> None:
        with closing(opener()) as online:
            online.write({key: b"%d" % n for n, key in enumerate(_AWKWARD)})
            assert online.read(_AWKWARD) == [b"%d" % n for n in range(len(_AWKWARD))]
            for n, key in enumerate(_AWKWARD):
                assert online.read([key]) == [b"%d" % n]
            online.write(dict.fromkeys(_AWKWARD[::2]))
            expected = [None if n % 2 == 0 else b"%d" % n for n in range(len(_AWKWARD))]
            assert online.read(_AWKWARD) == expected

    def test_values_of_any_length_and_content(self, opener: Opener) -> None:
        values = {b"%d" % n: value for n, value in enumerate([*_AWKWARD, bytes(range(256)) * 4096])}
        with closing(opener()) as online:
            online.write(values)
            found = online.read(list(values))
            assert found == list(values.values())
            assert {type(value) for value in found} == {bytes}

    def test_none_deletes(self, opener: Opener) -> None:
        with closing(opener()) as online:
            online.write({b"a": b"1", b"b": b"2"})
            online.write({b"a": None, b"never": None, b"c": b"3"})
            assert online.read([b"a", b"b", b"c", b"never"]) == [None, b"2", b"3", None]
            online.write({b"a": b"4"})
            assert online.read([b"a"]) == [b"4"]

    def test_what_the_caller_holds_is_answered_by_that_object(self, opener: Opener) -> None:
        long = b"k" * 600
        stored = {b"a": b"12345678 and more", b"b": b"short", long: b"12345678", b"e": b""}
        with closing(opener()) as online:
            online.write(stored)
            for key, value in stored.items():
                for length in range(1, len(value) + 1):
                    head = _fresh(value[:length])
                    (answer,) = online.read([key], have=[head])
                    assert answer is head
                for other in (b"", None, b"other", value + b"!", b"\x00" + value):
                    (answer,) = online.read([key], have=[other])
                    assert answer == value
                    assert type(answer) is bytes, "a view of memory that is no longer its own"
            keys = [b"b", b"none", b"a", long, b"a"]
            have = [_fresh(b"sh"), _fresh(b"12"), None, _fresh(b"12345678"), _fresh(b"13")]
            found = online.read(keys, have)
            assert found == [b"sh", None, stored[b"a"], stored[long], stored[b"a"]]
            assert found[0] is have[0]
            assert found[3] is have[3]
            assert online.read([], []) == []

    def test_a_write_that_expects_what_is_so(self, opener: Opener) -> None:
        long = b"k" * 600
        with closing(opener()) as online:
            online.write({b"a": b"1"}, expect={b"a": None, b"b": None})
            online.write({b"b": b"2"}, expect={b"a": b"1"})
            online.write({b"a": None, long: b""}, expect={b"a": b"1", b"b": b"2", long: None})
            online.write({}, expect={long: b"", b"a": None})
            online.write({long: b"3"}, expect={long: b""})
            assert online.read([b"a", b"b", long]) == [None, b"2", b"3"]

    def test_a_write_that_expects_what_is_not_so_writes_nothing(self, opener: Opener) -> None:
        with closing(opener()) as online:
            online.write({b"a": b"1", b"empty": b"", b"k" * 600: b"1"})
            for expect in (
                *({b"a": b"2"}, {b"a": None}, {b"a": b""}, {b"a": b"11"}, {b"none": b""}, {b"none": b"1"}),
                *({b"empty": None}, {b"k" * 600: None}, {b"k" * 600: b"2"}, {b"a": b"1", b"none": b"1"}),
                {b"empty": b"", b"a": b"1", b"k" * 600: b""},
            ):
                _refused(ConflictError, lambda: online.write({b"a": b"9", b"new": b"9", b"empty": None}, expect))  # noqa: B023
                _refused(ConflictError, lambda: online.write({}, expect))  # noqa: B023
                assert online.read([b"a", b"new", b"empty"]) == [b"1", None, b""]

    def test_anything_but_bytes_is_refused_and_nothing_written(self, opener: Opener) -> None:
        with closing(opener()) as online:
            wrong: Any
            for wrong in ("b", 1, bytearray(b"b"), None, [b"b"]):
                _refused(InputError, lambda: online.read([b"a", wrong]))  # noqa: B023
                _refused(InputError, lambda: online.read([wrong]))  # noqa: B023
                if wrong.__hash__ is not None:
                    _refused(InputError, lambda: online.write({b"a": b"1", wrong: b"2"}))  # noqa: B023
                    _refused(InputError, lambda: online.write({b"a": b"1"}, {wrong: None}))  # noqa: B023
                if wrong is not None:
                    _refused(InputError, lambda: online.write({b"a": b"1", b"b": wrong}))  # noqa: B023
                    _refused(InputError, lambda: online.write({b"a": b"1"}, {b"b": wrong}))  # noqa: B023
                    _refused(InputError, lambda: online.read([b"a"], [wrong]))  # noqa: B023
            text: Any = b"text"
            _refused(InputError, lambda: online.read(text))
            _refused(InputError, lambda: online.read([b"a"], have=[]))
            _refused(InputError, lambda: online.read([b"a"], have=[b"", b""]))
            assert online.read([b"a", b"b"]) == [None, None]

    def test_a_reader_sees_whole_writes_only_and_in_their_order(self, opener: Opener) -> None:
        keys = [b"first", *(b"%d" % n for n in range(50)), b"k" * 600, b"last"]
        done = Event()

        def read(online: OnlineState, seen: list[int]) -> None:
            while not done.is_set():
                *whole, gone = online.read([*keys, b"gone"])
                assert len(set(whole)) == 1, f"a part of a write was seen: {whole}"
                number = int(whole[0] or 0)
                assert (gone is None) == (number % 2 == 0), "a deletion came apart from its write"
                assert number >= (seen[-1] if seen else 0), "an older write was seen after a newer one"
                seen.append(number)

        with closing(opener()) as online, closing(opener()) as other, _threads(3) as threads:
            seen: list[list[int]] = [[], [], []]
            reading = [threads.submit(read, *one) for one in zip((online, online, other), seen, strict=True)]
            n = 0
            try:
                # Long enough for each reader to have met the writer at work, however few the processors.
                while n < 150 or not (all(len(set(one)) > 5 for one in seen) or any(one.done() for one in reading)):
                    n += 1
                    online.write({**dict.fromkeys(keys, b"%d" % n), b"gone": b"" if n % 2 else None})
            finally:
                done.set()
            for future in reading:
                future.result()

    def test_threads_that_write_lose_nothing(self, opener: Opener) -> None:
        with closing(opener()) as online, closing(opener()) as other, _threads(4) as threads:
            working = [threads.submit(_count, store, b"%d" % n, 40) for n, store in enumerate([online, other] * 2)]
            for future in working:
                future.result()
            assert online.read([_COUNTER, *(b"%d" % n for n in range(4))]) == [b"160", *[b"40"] * 4]

    def test_processes_that_write_lose_nothing(self, opener: Opener) -> None:
        if not self.shared:
            return
        context = multiprocessing.get_context("spawn")
        working = [context.Process(target=_count_apart, args=(opener, b"%d" % n, 60)) for n in range(2)]
        with closing(opener()) as online:
            for process in working:
                process.start()
            _count(online, b"here", 60)
            for process in working:
                process.join(60)
                process.kill()
            assert [process.exitcode for process in working] == [0, 0]
            assert online.read([_COUNTER, b"0", b"1", b"here"]) == [b"180", b"60", b"60", b"60"]

    def test_what_was_written_is_there_when_opened_again(self, opener: Opener) -> None:
        if not self.shared:
            return
        with closing(opener()) as online, closing(opener()) as other:
            online.write({b"a": b"1", b"k" * 600: b"2"})
            assert other.read([b"a", b"k" * 600]) == [b"1", b"2"]
            online.close()
            assert other.read([b"a"]) == [b"1"]
            other.write({b"b": b"3"})
        with closing(opener()) as again:
            assert again.read([b"a", b"k" * 600, b"b"]) == [b"1", b"2", b"3"]

    def test_clear(self, opener: Opener) -> None:
        with closing(opener()) as online:
            online.clear()
            online.write(dict.fromkeys(_AWKWARD, b"1"))
            online.clear()
            assert online.read(_AWKWARD) == [None] * len(_AWKWARD)
            online.write({b"a": b"3"}, expect={b"": None})
            assert online.read([b"a"]) == [b"3"]

    def test_closed(self, opener: Opener) -> None:
        online = opener()
        online.write({b"a": b"1"})
        online.close()
        online.close()
        uses: list[Callable[[], object]] = [
            *(lambda: online.read([b"a"]), lambda: online.read([]), lambda: online.read([b"a"], [b"1"])),
            *(lambda: online.write({b"a": b"1"}), lambda: online.write({}), online.clear),
        ]
        for use in uses:
            _refused(BackstayError, use, "closed")


@contextmanager
def _threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that interrupt each other a thousand times as often as usual, so that what is not atomic comes apart."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        with ThreadPoolExecutor(number) as threads:
            yield threads
    finally:
        sys.setswitchinterval(usual)


def _count(online: OnlineState, mine: bytes, times: int) -> None:
    """Add one to the counter and to a key of this writer's own, together, so many times."""
    for n in range(times):
        while True:
            (before,) = online.read([_COUNTER])
            try:
                online.write({_COUNTER: b"%d" % (int(before or 0) + 1), mine: b"%d" % (n + 1)}, {_COUNTER: before})
                break
            except ConflictError:
                continue


def _count_apart(opener: Opener, mine: bytes, times: int) -> None:
    with closing(opener()) as online:
        _count(online, mine, times)


def _fresh(value: bytes) -> bytes:
    """An equal object that is no other's."""
    return bytes(bytearray(value))


def _refused(kind: type[BackstayError], use: Callable[[], object], word: str = "") -> None:
    said = None
    try:
        answer = use()
    except kind as error:
        said = str(error)
    assert said is not None, f"not refused, but answered {answer!r}"
    assert word in said
