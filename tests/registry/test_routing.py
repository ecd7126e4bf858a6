"""Routes as entries of the ledger: who gets which buckets, and how a rollback finds its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import ConflictError, InputError, NotFoundError
from backstay.registry.routing import BUCKETS, Part, Routing, allocate
from backstay.registry.versions import Registry
from tests.registry.records import BACKENDS, FILES, make_manifest, make_stores

MODEL = "trips_late"


@pytest.fixture(params=BACKENDS)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Routing, Registry]:
    ledger, artifacts = make_stores(request.param, tmp_path)
    registry = Registry(ledger, artifacts)
    for note in "abc":
        registry.register(make_manifest(note=note), FILES, at=1, actor="ana")
    return Routing(ledger, registry), registry


def part(version: int, buckets: int, *, shadow: bool = False) -> Part:
    return Part(f"v{version}", version, f"digest{version}", buckets, shadow)


def owners(parts: list[Part]) -> dict[int, int]:
    """Bucket to version, of the shares."""
    out: dict[int, int] = {}
    for one in parts:
        for begin, end in () if one.shadow else one.spans:
            for bucket in range(begin, end):
                assert bucket not in out
                out[bucket] = one.version
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3_300)] * 3), min_size=1, max_size=6))
def test_an_entity_moves_only_where_a_share_changed(steps: list[tuple[int, int, int]]) -> None:
    parts: list[Part] = []
    for sizes in steps:
        before = {version: {b for b, o in owners(parts).items() if o == version} for version in (1, 2, 3)}
        parts = allocate([part(version, size) for version, size in enumerate(sizes, 1) if size], parts)
        held = owners(parts)
        for version, size in enumerate(sizes, 1):
            now = {bucket for bucket, owner in held.items() if owner == version}
            assert len(now) == size
            # One that grew has all it had; one that shrank has nothing new. So nobody is moved from share to share.
            assert now >= before[version] or now <= before[version]


def set_route(routing: Routing, *parts: Part, **more: Any) -> Any:
    return routing.set(MODEL, parts, key=("carrier",), why="a test", at=5, actor="ana", **more)


def test_a_route_reads_back_with_who_when_and_why(both: tuple[Routing, Registry]) -> None:
    routing, _ = both
    assert routing.get(MODEL) is None
    made = set_route(routing, part(2, 500), part(3, 10_000, shadow=True))
    assert routing.get(MODEL) == made
    assert (made.why, made.at, made.actor, made.key) == ("a test", 5, "ana", ("carrier",))
    assert made.champion == 0.95
    assert [(one.version, one.buckets, one.shadow) for one in made.parts] == [(2, 500, False), (3, BUCKETS, True)]


def test_the_salt_stays_until_a_reshuffle(both: tuple[Routing, Registry]) -> None:
    routing, _ = both
    first = set_route(routing, part(2, 100))
    cleared = set_route(routing)
    again = set_route(routing, part(2, 500))
    assert first.salt == cleared.salt == again.salt
    assert set_route(routing, part(2, 500), reshuffle=True).salt != again.salt


def test_the_second_of_two_who_saw_the_same_route_is_told(both: tuple[Routing, Registry]) -> None:
    routing, _ = both
    seen = set_route(routing, part(2, 100)).entry_id
    set_route(routing, part(2, 200), expect=seen)
    with pytest.raises(ConflictError):
        set_route(routing, part(3, 300), expect=seen)


def test_shares_that_are_none_are_refused(both: tuple[Routing, Registry]) -> None:
    routing, _ = both
    for parts in [(part(2, 0),), (part(2, 10_001),), (part(2, 6_000), part(3, 6_000)), (part(2, 1), part(2, 2))]:
        with pytest.raises(InputError, match=r"share|twice"):
            set_route(routing, *parts)
    assert routing.get(MODEL) is None


def test_rolling_back_twice_goes_back_twice(both: tuple[Routing, Registry]) -> None:
    routing, registry = both
    for number in (1, 2, 3):
        seen = registry.alias(MODEL, "champion")
        registry.move_alias(
            MODEL, "champion", number, evidence={"reason": "t"}, at=1, actor="t",
            expect=None if seen is None else seen.entry_id,
        )  # fmt: skip
    assert [routing.rollback(MODEL, why="worse", at=2, actor="ana").to for _ in "12"] == [2, 1]
    assert registry.history(MODEL, "champion")[-1].evidence == {"rollback": True, "from": 2, "reason": "worse"}
    with pytest.raises(NotFoundError, match="no champion before this one"):
        routing.rollback(MODEL, why="worse", at=2, actor="ana")
