"""A source that is both pushed to and ingested, and one whose declaration or contract was mended: nothing is lost,
nothing is there twice."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay import Contract, CsvFiles, EventSource, Expect
from backstay.core.errors import InputError
from backstay.core.times import HOUR, instant
from backstay.features.intake import Intake
from backstay.features.shaping import pushed_frame
from backstay.project.ingestion import Ingested, ingest_source
from backstay.storage.backends.local import LocalEvents

NOW = instant("2024-05-20T12:00:00Z")
Row = tuple[Any, ...]


def timed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M") for name in {"event_time", "known"} & {*rows.columns}
    )


class Shop:
    """A table of pays, in a CSV file or given by a function, and the record of it."""

    def __init__(self, folder: Path, kind: str, **declared: Any) -> None:
        self.folder, self.declared = folder, {"timezone": "UTC", **declared}
        self.events = LocalEvents(folder / "events")
        self.read: Any = CsvFiles("pays.csv") if kind == "reader" else self._whole

    def _whole(self) -> pl.DataFrame:
        return timed(pl.read_csv(self.folder / "pays.csv", schema_overrides={"x": pl.Float64}))

    def source(self, **changed: Any) -> EventSource:
        return EventSource("pays", schema={"id": "int", "x": "float"}, read=self.read, **self.declared | changed)

    def write(self, *rows: Row) -> None:
        head = "event_time,id,x" if "known_time" not in self.declared else "event_time,known,id,x"
        lines = [head, *(",".join(map(str, row)) for row in rows)]
        (self.folder / "pays.csv").write_text("\n".join(lines) + "\n")

    def ingest(self, **changed: Any) -> Ingested:
        return ingest_source(self.source(**changed), self.events, folder=self.folder)

    def push(self, at: str, id_: int, x: float, known: int = NOW) -> None:
        source = self.source()
        came = timed(pl.DataFrame({"event_time": [at], "id": [id_], "x": [x]}))
        shaped = pushed_frame(source, came, stamp=known)
        Intake(source, self.events).take(shaped, came, now=known)

    @property
    def held(self) -> list[tuple[int, float]]:
        return self.events.read("pays", columns=["id", "x"]).rows()


@pytest.fixture(params=["reader", "function"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


OLD: list[Row] = [("2024-01-01T10:00", 1, 1.0), ("2024-01-02T10:00", 2, 2.0)]
LIVE: Row = ("2024-05-20T11:00", 9, 9.0)


def test_a_history_is_read_though_something_was_pushed_before_it(tmp_path: Path, kind: str) -> None:
    shop = Shop(tmp_path, kind)
    shop.push(*LIVE)
    shop.write(*OLD)
    assert [shop.ingest().added for _ in range(2)] == [2, 0]
    shop.write(*OLD, ("2024-01-03T10:00", 3, 3.0), LIVE)
    assert [shop.ingest().added for _ in range(2)] == [1, 0]  # what was pushed has landed in the table
    assert sorted(shop.held) == [(1, 1.0), (2, 2.0), (3, 3.0), (9, 9.0)]


def test_what_became_known_before_a_push_is_read_after_it(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "reader", known_time="known")
    old, late = ("2024-05-01T10:00", "2024-05-01T10:00", 1, 1.0), ("2024-05-02T10:00", "2024-05-03T10:00", 2, 2.0)
    shop.write(old)
    assert shop.ingest().added == 1
    shop.push(*LIVE)
    shop.write(old, late, (LIVE[0], "2024-05-20T11:30", *LIVE[1:]))  # what was pushed became known to the table later
    assert [shop.ingest().added for _ in range(2)] == [1, 0]
    assert sorted(shop.held) == [(1, 1.0), (2, 2.0), (9, 9.0)]


def test_equal_events_count_one_for_one(tmp_path: Path, kind: str) -> None:
    shop = Shop(tmp_path, kind)
    shop.push(*LIVE)
    shop.write(LIVE, LIVE)
    assert [shop.ingest().added for _ in range(2)] == [1, 0]
    shop.push(*LIVE)
    assert shop.ingest().added == 0
    shop.write(LIVE, LIVE, LIVE, LIVE)
    assert [shop.ingest().added for _ in range(2)] == [1, 0]


def test_where_all_was_pushed_already_the_history_is_not_read_from_its_beginning_for_ever(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "reader", look_back="1d")
    shop.write(*OLD)
    shop.ingest()
    shop.push(*LIVE)
    shop.write(*OLD, LIVE)
    assert shop.ingest().added == 0
    shop.write(*OLD, ("2024-05-01T10:00", 5, 5.0), LIVE)  # more than a day behind what was read last
    assert shop.ingest().added == 0


def test_another_delay_makes_no_new_events_of_the_old_ones(tmp_path: Path, kind: str) -> None:
    shop = Shop(tmp_path, kind)
    shop.write(*OLD)
    shop.ingest()
    assert shop.ingest(delay="1h").added == 0
    shop.write(*OLD, ("2024-01-03T10:00", 3, 3.0))
    assert [shop.ingest(delay="1h").added for _ in range(2)] == [1, 0]
    assert shop.ingest().added == 0
    lag = pl.col("known_time") - pl.col("event_time")
    assert shop.events.read("pays").select(lag.dt.total_microseconds()).to_series().to_list() == [0, 0, HOUR]


def test_another_time_zone_is_refused(tmp_path: Path, kind: str) -> None:
    shop = Shop(tmp_path, kind)
    shop.write(*OLD)
    shop.ingest()
    with pytest.raises(InputError, match="time zone Europe/Berlin, and was read with UTC"):
        shop.ingest(timezone="Europe/Berlin")
    assert shop.held == [(1, 1.0), (2, 2.0)]


def test_a_correction_may_take_back_the_one_before(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "reader", event_id="id")
    for number, x in enumerate([10.0, 20.0, 10.0, 10.0, 20.0]):
        shop.write(("2024-05-01T10:00", 1, x))
        assert shop.ingest().added == int(number != 3)
    assert [x for _, x in shop.held] == [10.0, 20.0, 10.0, 20.0]
    log = [("2024-05-01T10:00", 1, x) for _, x in shop.held]
    shop.write(*log)  # a table that keeps all of them
    assert shop.ingest().added == 0
    shop.push("2024-05-01T10:00", 1, 30.0)  # known only now: what the table says was known before, and stands behind it
    shop.write(log[-1])
    assert [shop.ingest().added for _ in range(2)] == [0, 0]


RULE, WIDER = Contract(Expect.between("x", 0, 100)), Contract(Expect.between("x", 0, 1_000))
BAD: Row = ("2024-01-01T12:00", 7, 500.0)


@pytest.mark.parametrize("more", [[], [("2024-01-03T10:00", 3, 3.0)]])
def test_a_row_comes_out_of_quarantine_when_its_rule_is_mended(tmp_path: Path, kind: str, more: list[Row]) -> None:
    shop = Shop(tmp_path, kind, contract=RULE)
    shop.write(OLD[0], BAD, OLD[1])
    told = shop.ingest()
    assert (told.added, told.quarantined) == (2, 1)
    shop.write(OLD[0], BAD, OLD[1], *more)
    assert shop.ingest().added == len(more)
    told = shop.ingest(contract=WIDER)
    assert (told.added, told.quarantined) == (1, 0)
    assert shop.ingest(contract=WIDER).added == 0
    assert (7, 500.0) in shop.held


@pytest.mark.parametrize("more", [[], [("2024-01-03T10:00", 3, 3.0)]])
def test_a_row_that_was_mended_is_taken(tmp_path: Path, kind: str, more: list[Row]) -> None:
    shop = Shop(tmp_path, kind, contract=RULE)
    shop.write(OLD[0], BAD, OLD[1])
    shop.ingest()
    shop.write(OLD[0], (*BAD[:2], 50.0), OLD[1], *more)
    assert [shop.ingest().added for _ in range(2)] == [1 + len(more), 0]


def test_a_history_with_something_new_in_between_is_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "function", contract=RULE)
    shop.write(OLD[0], BAD, OLD[1])
    shop.ingest()
    for rows in (
        [OLD[0], BAD, ("2024-01-01T13:00", 8, 8.0), OLD[1]],  # the bad one is there still: nothing was mended
        [OLD[0], (*BAD[:2], 50.0), ("2024-01-01T13:00", 8, 8.0), OLD[1]],
        [OLD[0], BAD],
        [OLD[0], BAD, (*OLD[1][:2], 2.5)],
    ):
        shop.write(*rows)
        with pytest.raises(InputError, match="does not begin with the 2 events"):
            shop.ingest()
    assert shop.held == [(1, 1.0), (2, 2.0)]


def test_a_source_that_lost_its_contract_is_not_stopped_by_what_is_in_quarantine(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "reader", contract=RULE)
    bad = ("2024-01-01T12:00", 7, "many")
    shop.write(OLD[0], bad, OLD[1])
    assert shop.ingest().quarantined == 1
    shop.write(OLD[0], bad, OLD[1], ("2024-01-03T10:00", 3, 3.0))
    assert shop.ingest(contract=None).added == 1


class Dying(LocalEvents):
    """Is gone in the middle of an append."""

    left = 10_000
    after = False

    def append(self, source: str, events: pl.DataFrame) -> Any:
        self.left -= 1
        if self.left < 0 and not self.after:
            raise KeyboardInterrupt
        done = super().append(source, events)
        if self.left < 0:
            raise KeyboardInterrupt
        return done


def _killed(shop: Shop, append: int, *, after: bool) -> None:
    dying, alive = Dying(shop.folder / "events"), shop.events
    dying.left, dying.after, shop.events = append, after, dying
    with pytest.raises(KeyboardInterrupt):
        shop.ingest()
    shop.events = alive


KNOWN: list[Row] = [  # a timetable: the first is known long before it happens
    ("2024-05-10T10:00", "2024-01-01T10:00", 1, 1.0), ("2024-05-02T10:00", "2024-05-02T10:00", 2, 2.0),
]  # fmt: skip


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("append", [0, 1, 2])
@pytest.mark.parametrize("dated", [False, True])
def test_an_ingest_that_was_killed_is_gone_on_with(
    tmp_path: Path, kind: str, dated: bool, append: int, after: bool
) -> None:  # fmt: skip
    """Before and after each of what it appends: a note, the events, and that it is done; pushes come in between."""
    shop = Shop(tmp_path, kind, **({"known_time": "known"} if dated else {}))
    rows = KNOWN if dated else OLD
    shop.write(rows[0])
    _killed(shop, append, after=after)
    shop.push(*LIVE)
    shop.write(*rows)
    done = [shop.ingest().added for _ in range(2)]
    assert done == [1 if (append, after) >= (1, True) else 2, 0]
    assert sorted(shop.held) == [(1, 1.0), (2, 2.0), (9, 9.0)]
    with pytest.raises(InputError, match="time zone"):
        shop.ingest(timezone="Europe/Berlin")
    if kind == "function":
        shop.write((*rows[0][:-1], 1.5), *rows[1:])
        with pytest.raises(InputError, match="does not begin with the 2 events"):
            shop.ingest()


@pytest.mark.parametrize("left", [0, 2])
def test_a_record_that_was_restored_is_filled_again(tmp_path: Path, kind: str, left: int) -> None:
    """Its folder from a backup, without what is noted beside it, as an error of the store advises."""
    shop, rows = Shop(tmp_path, kind), [*OLD, ("2024-05-03T10:00", 3, 3.0), ("2024-05-04T10:00", 4, 4.0)]
    shop.write(*OLD)
    if left:
        shop.ingest()
        shutil.copytree(tmp_path / "events/pays", tmp_path / "backup")
    shop.write(*rows)
    shop.ingest()
    shutil.rmtree(tmp_path / "events/pays")
    if left:
        shutil.move(tmp_path / "backup", tmp_path / "events/pays")
    shop.events = LocalEvents(tmp_path / "events")
    shop.write(*rows, ("2024-05-05T10:00", 5, 5.0))
    assert [shop.ingest().added for _ in range(2)] == [5 - left, 0]
    assert [number for number, _ in shop.held] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("look_back", ["0s", "1d"])
def test_what_a_table_takes_back_is_not_taken_for_a_push_that_has_landed(
    tmp_path: Path, kind: str, look_back: str
) -> None:  # fmt: skip
    shop = Shop(tmp_path, kind, known_time="known", event_id="id", look_back=look_back)
    shop.push("2024-05-20T09:00", 1, 5.0, known=NOW - 3 * HOUR)
    rows: list[Row] = []
    for minute, x, added in ((30, 5.0, 0), (40, 7.0, 1), (50, 5.0, 1)):
        rows.append(("2024-05-20T09:00", f"2024-05-20T09:{minute}", 1, x))
        shop.write(*rows)
        assert [shop.ingest().added for _ in range(2)] == [added, 0]
    assert [x for _, x in shop.held] == [5.0, 7.0, 5.0]


def test_a_table_that_lags_behind_what_was_pushed_takes_nothing_back(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "reader", event_id="id", delay="1h")
    shop.write(("2024-05-20T09:00", 1, 5.0))
    assert shop.ingest().added == 1
    shop.push("2024-05-20T09:00", 1, 7.0)
    assert shop.ingest().added == 0
    assert shop.ingest(delay="4h").added == 0
    shop.push("2024-05-20T09:00", 2, 5.0, known=NOW - HOUR)
    shop.push("2024-05-20T09:00", 2, 7.0)
    shop.write(("2024-05-20T09:00", 1, 7.0), ("2024-05-20T09:00", 2, 5.0))
    assert shop.ingest().added == 0


def test_two_at_once_take_turns(tmp_path: Path) -> None:
    """Both have read the history before either appends."""
    rows = {"event_time": [f"2024-01-01T10:{n:02}" for n in range(60)], "id": range(60), "x": [0.5] * 60}
    history = timed(pl.DataFrame(rows))
    together = threading.Barrier(3)

    def read() -> pl.DataFrame:
        together.wait(10)
        return history

    source = EventSource("pays", schema={"id": "int", "x": "float"}, timezone="UTC", read=read)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: ingest_source(source, LocalEvents(tmp_path)).added, range(3)))
    assert sorted(done) == [0, 0, 60]
    assert LocalEvents(tmp_path).last_sequence("pays") == 60


class Slow(LocalEvents):
    """Waits between the look at the record and the append."""

    def append(self, source: str, events: pl.DataFrame) -> Any:
        time.sleep(0.005)
        return super().append(source, events)


@pytest.mark.parametrize("declared", [{"contract": Contract(Expect.unique("id"))}, {"sequence": "id"}])
def test_an_event_that_is_sent_to_two_processes_at_once_is_taken_once(
    tmp_path: Path, declared: dict[str, Any]
) -> None:  # fmt: skip
    source = EventSource(
        "pays", schema={"id": "int"}, timezone="UTC", **{"contract": Contract(Expect.not_null("id")), **declared}
    )
    together = threading.Barrier(2)

    def send(_: int) -> int:
        intake, taken = Intake(source, Slow(tmp_path)), 0
        for number in range(1, 16):
            came = timed(pl.DataFrame({"event_time": ["2024-05-20T11:00"], "id": [number]}))
            together.wait(10)
            shaped = pushed_frame(source, came, stamp=NOW)
            taken += intake.take(shaped, came, now=NOW).events.height
        return taken

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(send, range(2))) == 15
    assert LocalEvents(tmp_path).read("pays").get_column("id").to_list() == list(range(1, 16))
