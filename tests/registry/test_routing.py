"""Routes as entries of the ledger: who gets which buckets, and how a rollback finds its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import ConflictError, InputError, NotFoundError
from backstay.definitions import Breakers
from backstay.registry.routing import BASELINE, BUCKETS, Part, Routing, allocate
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


def baseline(version: int, buckets: int) -> Part:
    return Part(BASELINE, version, f"digest{version}", buckets)


def owners(parts: list[Part]) -> dict[int, int]:
    """Bucket to version, of the shares; -1: the baseline."""
    out: dict[int, int] = {}
    for one in parts:
        for begin, end in () if one.shadow else one.spans:
            for bucket in range(begin, end):
                assert bucket not in out
                out[bucket] = -1 if one.baseline else one.version
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2_500)] * 4, st.sampled_from([1, 9])), min_size=1, max_size=6))
def test_an_entity_moves_only_where_a_share_changed(steps: list[tuple[int, int, int, int, int]]) -> None:
    """The baseline is the champion's, which is version 9, or 1 as well, which has a share of its own besides."""
    parts: list[Part] = []
    for *sizes, champion in steps:
        before = {version: {b for b, o in owners(parts).items() if o == version} for version in (1, 2, 3, -1)}
        asked = [part(version, size) for version, size in enumerate(sizes[:3], 1) if size]
        parts = allocate([*asked, *([baseline(champion, sizes[3])] if sizes[3] else [])], parts)
        held = owners(parts)
        for version, size in zip((1, 2, 3, -1), sizes, strict=True):
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


def test_a_baseline_is_told_apart_from_shares_and_stands_once(both: tuple[Routing, Registry]) -> None:
    routing, _ = both
    made = set_route(routing, part(2, 500), baseline(2, 500), baseline_shadow := part(3, 10_000, shadow=True))
    assert [one.baseline for one in made.parts] == [False, True, False]
    assert made.champion == 0.9
    for parts in [(baseline(1, 5), baseline(2, 5)), (Part(BASELINE, 1, "digest1", 9, shadow=True), baseline_shadow)]:
        with pytest.raises(InputError, match=r"twice|shadow"):
            set_route(routing, *parts)


def test_the_cohort_of_an_entity_follows_from_its_keys(both: tuple[Routing, Registry]) -> None:
    routing, _ = both
    route = set_route(routing, part(2, 1_000), baseline(1, 1_000), part(3, 10_000, shadow=True))
    cohorts = {f"c{number}": route.cohort({"carrier": f"c{number}", "flight": number}) for number in range(3_000)}
    counts = {name: sum(one == name for one in cohorts.values()) for name in ("v2", BASELINE, "")}
    assert counts["v2"] == pytest.approx(300, abs=60)
    assert counts[BASELINE] == pytest.approx(300, abs=60)
    assert sum(counts.values()) == 3_000
    more = set_route(routing, part(2, 2_500), baseline(1, 2_500))
    assert all(more.cohort({"carrier": key}) == name for key, name in cohorts.items() if name)
    assert route.cohort({}) == route.cohort({"carrier": None}) == ""


def test_bounds_and_cuts_read_back(both: tuple[Routing, Registry]) -> None:
    routing, _ = both
    plain = set_route(routing, part(2, 100))
    assert (plain.breakers, plain.cut) == (None, None)
    told = {"version": "digest2", "number": 2, "reason": "slow", "evidence": {"rows": 120, "slowdown": 11.5}}
    bounds = Breakers(minimum=50, slowdown=8)
    set_route(routing, breakers=bounds, cut=told)
    read = routing.get(MODEL)
    assert read is not None
    assert (read.breakers, read.cut, read.parts) == (bounds, told, ())


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
