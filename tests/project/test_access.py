"""Access in process: once somebody has been granted a role, each call on a project wants the role it needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.project.library import write

from backstay.core.clock import ReplayClock
from backstay.core.errors import AccessError
from backstay.core.times import instant
from backstay.project import Project

NOW = "2024-01-26T02:00:00Z"
EVENT = {"customer": "c1", "age": 30.0, "amount": 1.0, "id": "p9", "late": True}
ASKED: dict[str, Any] = {"customer": "c1", "basket": 3.0}

Call = Callable[[Project], object]
CALLS: dict[str, tuple[Call, set[str]]] = {
    "ingest": (lambda one: one.ingest("payments"), {"write"}),
    "push": (lambda one: one.features.push("payments", _events()), {"write"}),
    "look up": (lambda one: one.features.online([ASKED], "spending"), {"read_online"}),
    "read": (lambda one: one.features.historical(_labels(), "spending", at="asked"), {"read_offline"}),
    "train": (lambda one: one.train("risk", as_of=NOW), {"read_offline", "define"}),
    "judge": (lambda one: one.judge(1, "risk", as_of=NOW), {"read_offline"}),
    "promote": (lambda one: _refused(lambda: one.promote(1, "risk", as_of=NOW)), {"promote"}),
    "tick": (lambda one: one.tick("risk"), {"read_offline", "define", "promote"}),
    "verify": (lambda one: one.verify("risk"), {"read_offline"}),
    "skew": (lambda one: one.features.skew("risk"), {"read_offline"}),
    "predictions": (lambda one: one.predictions("risk"), {"read_offline"}),
}
ROLES = ("read_online", "read_offline", "write", "define", "promote", "approve")


def _labels() -> Any:
    import polars as pl

    return pl.DataFrame({"asked": [instant(NOW)], **{name: [value] for name, value in ASKED.items()}}).with_columns(
        pl.col("asked").cast(pl.Datetime("us", "UTC"))
    )


def _events() -> Any:
    return [{"event_time": datetime(2024, 1, 26, 1, tzinfo=UTC), **EVENT}]


def _refused(promoting: Callable[[], object]) -> None:
    """The gate says no, which is its answer and not a matter of access."""
    from backstay.project import GateRefused

    with pytest.raises(GateRefused):
        promoting()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a version of `risk`, in which each role is held by a principal of its name, on `spending`."""
    found = write(tmp_path_factory.mktemp("access") / "shop")
    ana = acting(found, "ana")
    ana.ingest()
    ana.train("risk", as_of=NOW)
    ana.backfill()
    for role in ROLES:
        ana.access.grant(role, role, "spending")
    ana.access.grant("both", "read_offline", "spending")
    ana.access.grant("both", "define", "spending")
    ana.access.grant("elsewhere", "write", "browsing")
    ana.close()
    return found


@pytest.fixture
def path(base: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copytree(base, tmp_path / "shop"))


def acting(path: Path, actor: str) -> Project:
    return Project(path, clock=ReplayClock(instant(NOW)), actor=actor)


@pytest.fixture
def acts(path: Path) -> Iterator[Callable[[str], Project]]:
    opened: list[Project] = []

    def act(actor: str) -> Project:
        opened.append(acting(path, actor))
        return opened[-1]

    yield act
    for one in opened:
        one.close()


@pytest.mark.parametrize("what", CALLS)
def test_each_call_wants_its_role(acts: Callable[[str], Project], what: str) -> None:
    call, needed = CALLS[what]
    for actor in (*ROLES, "nobody"):
        if needed == {actor}:
            call(acts(actor))
            continue
        project = acts(actor)
        before = project.services.ledger.revision()
        with pytest.raises(AccessError, match=f"{actor} may not .* the role .* on feature set .*'spending'"):
            call(project)
        (denial,) = project.services.ledger.entries(after=before)  # and nothing else was recorded
        assert (denial.kind, denial.subject, denial.body["action"]) == ("access", actor, "denied")
        assert denial.body["role"] in needed
    call(acts("both" if len(needed) == 2 else "ana"))


def test_what_asks_for_all_wants_a_role_on_each(acts: Callable[[str], Project]) -> None:
    with pytest.raises(AccessError, match="the role write on feature set 'browsing'"):
        acts("write").backfill()
    with pytest.raises(AccessError, match="the role write on feature set 'browsing'"):
        acts("write").compact()
    with pytest.raises(AccessError, match="the role read_offline on feature set 'browsing'"):
        acts("read_offline").predictions()
    acts("ana").backfill()
    acts("ana").compact()


def test_one_of_the_feature_sets_that_use_a_source_is_enough_to_write_it(acts: Callable[[str], Project]) -> None:
    acts("elsewhere").ingest("payments")  # the source of the label of `growth`, whose set is `browsing`
    with pytest.raises(AccessError, match="the role write on feature set 'browsing'"):
        acts("write").features.push("visits", [])


def test_an_open_project_is_open(tmp_path: Path) -> None:
    path = write(tmp_path / "shop")
    one, other = acting(path, "one"), acting(path, "other")
    one.ingest()
    other.features.historical(_labels(), "spending", at="asked")
    assert not one.entries("access")
    one.access.grant("one", "define", "spending")
    assert [(entry.actor, entry.subject, entry.body["role"]) for entry in one.entries("access")] == [
        ("one", "one", "admin"), ("one", "one", "define"),
    ]  # fmt: skip
    one.ingest()
    with pytest.raises(AccessError):
        other.features.historical(_labels(), "spending", at="asked")
