"""What every `Ledger` does."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from backstay.core.errors import BackstayError, ConflictError, InputError, IntegrityError
from backstay.core.identity import canonical_json, sha256
from backstay.storage.chain import check_head
from backstay.storage.ports import Entry, Ledger


def add(ledger: Ledger, kind: str = "alias", subject: str = "champion", at: int = 1, **body: object) -> Entry:
    return ledger.append(kind, subject, body, at=at, actor="ann")


def test_empty(ledger: Ledger) -> None:
    assert ledger.revision() == 0
    assert ledger.entries() == []
    assert ledger.last("alias", "champion") is None


def test_an_entry_reads_back_as_it_was_returned(ledger: Ledger) -> None:
    body = {"b": [1, 2.5, None, True], "a": {"é": "ü", "big": 2**80}}
    entry = ledger.append("alias", "champion", body, at=7, actor="ann")
    assert (entry.id, entry.at, entry.actor, entry.kind, entry.subject) == (1, 7, "ann", "alias", "champion")
    assert entry.body == body
    assert ledger.entries() == [entry]
    assert ledger.last("alias", "champion") == entry
    assert ledger.revision() == 1


def test_the_chain(ledger: Ledger) -> None:
    written = [add(ledger, subject=str(n), at=n, n=n) for n in range(5)]
    previous = "0" * 64
    for entry in written:
        content = [entry.id, entry.at, entry.actor, entry.kind, entry.subject, entry.body, previous]
        assert entry.previous == previous
        assert entry.digest == sha256(canonical_json(content))
        previous = entry.digest
    assert [entry.id for entry in written] == [1, 2, 3, 4, 5]


def test_the_body_is_what_json_makes_of_it(ledger: Ledger) -> None:
    entry = ledger.append("k", "s", {"t": (1, 2), "m": {10: "a", 9: "b"}}, at=0, actor="ann")
    assert entry.body == {"t": [1, 2], "m": {"10": "a", "9": "b"}}
    content = [1, 0, "ann", "k", "s", entry.body, entry.previous]
    assert entry.digest == sha256(canonical_json(content))


def test_an_entry_cannot_be_changed_through_what_was_read(ledger: Ledger) -> None:
    given = {"list": [1]}
    entry = ledger.append("k", "s", given, at=0, actor="ann")
    given["list"].append(2)
    for copy in (entry, ledger.entries()[0], ledger.last("k", "s")):
        assert copy is not None
        copy.body["list"].append(3)
    assert ledger.entries()[0].body == {"list": [1]}


def test_filters(ledger: Ledger) -> None:
    for n in range(8):
        add(ledger, kind="a" if n % 2 else "b", subject=str(n % 4), at=10 * n)
    ids = lambda **k: [entry.id for entry in ledger.entries(**k)]  # noqa: E731
    assert ids() == list(range(1, 9))
    assert ids(kind="a") == [2, 4, 6, 8]
    assert ids(subject="1") == [2, 6]
    assert ids(kind="b", subject="1") == []
    assert ids(after=6) == [7, 8]
    assert ids(after=-3) == ids()
    assert ids(until=20) == [1, 2, 3]
    assert ids(kind="a", after=2, until=50) == [4, 6]
    assert ids(since=20, until=50) == [3, 4, 5, 6]
    assert ids(kind="a", since=61) == [8]


def test_last_as_of(ledger: Ledger) -> None:
    add(ledger, at=10, v=1)
    add(ledger, at=20, v=2)
    add(ledger, subject="other", at=30, v=3)
    found = [ledger.last("alias", "champion", as_of=at) for at in (9, 10, 19, 20, 99)]
    assert [entry and entry.body["v"] for entry in found] == [None, 1, 1, 2, 2]


def test_compare_and_swap(ledger: Ledger) -> None:
    append = lambda expect: ledger.append("alias", "champion", {}, at=0, actor="ann", expect=expect)  # noqa: E731
    with pytest.raises(ConflictError):
        append(1)
    assert append(0).id == 1
    with pytest.raises(ConflictError, match="entry is 1"):
        append(0)
    add(ledger, subject="other")
    assert append(1).id == 3
    with pytest.raises(ConflictError):
        append(1)
    assert ledger.revision() == 3


@pytest.mark.parametrize("body", [{"x": math.nan}, {"x": math.inf}, {"x": object()}, {"x": b""}, {"x": "\ud800"}, 3])
def test_a_body_that_is_not_json_is_refused(ledger: Ledger, body: dict[str, object]) -> None:
    with pytest.raises(InputError, match="not JSON"):
        ledger.append("k", "s", body, at=0, actor="ann")
    assert ledger.revision() == 0


def test_bad_fields_are_refused(ledger: Ledger) -> None:
    good = {"kind": "k", "subject": "s", "body": {}, "at": 0, "actor": "ann"}
    for name, value in [("kind", ""), ("subject", 3), ("actor", ""), ("at", 1.5), ("at", True), ("at", 2**63)]:
        with pytest.raises(InputError, match=name):
            ledger.append(**{**good, name: value})  # type: ignore[arg-type]
    with pytest.raises(InputError):
        ledger.append(**{**good, "subject": "\ud800"})  # type: ignore[arg-type]
    assert ledger.revision() == 0


def test_threads(ledger: Ledger) -> None:
    def race(n: int) -> int:
        add(ledger, subject=f"own {n}")
        try:
            ledger.append("alias", "champion", {"by": n}, at=0, actor="ann", expect=0)
        except BackstayError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(8))) == 1
    assert [entry.id for entry in ledger.entries()] == list(range(1, 10))
    assert ledger.verify() == 9


def test_verifying_tells_every_entry(ledger: Ledger) -> None:
    written = [add(ledger, subject=str(n), at=n, n=n) for n in range(5)]
    told: list[Entry] = []
    assert ledger.verify(told.append) == 5
    assert told == written


def test_a_head_that_was_written_down(ledger: Ledger) -> None:
    first, second = add(ledger), add(ledger)
    for entry in (first, second):
        check_head(ledger, f"{entry.id}:{entry.digest}")
        check_head(ledger, f"{entry.id}:{entry.digest[:12]}")
    with pytest.raises(IntegrityError, match="entry 2 of the ledger has the digest"):
        check_head(ledger, f"2:{first.digest}")
    with pytest.raises(IntegrityError, match="entry 3 of the ledger is not there"):
        check_head(ledger, f"3:{first.digest}")
    for head in ("", "2", "x:abcdefab", f"2:{first.digest[:7]}", f"2:{first.digest}0"):
        with pytest.raises(InputError, match="is no head"):
            check_head(ledger, head)


def test_nul_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="subject"):
        ledger.append("k", "a\0b", {}, at=0, actor="ann")
    assert ledger.append("k", "s", {"text": "a\0b"}, at=0, actor="ann") == ledger.last("k", "s")
