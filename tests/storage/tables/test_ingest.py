"""Every kind of table, kept by what really keeps it: read into the record, grown, and read again.

Nothing is lost, nothing is read twice, types are right; and so it is when the process is killed in the middle.
"""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy
from tests.storage.tables.conftest import PASSWORD
from tests.storage.tables.keepers import COLUMNS, CONTRACT, KEEPERS, canonical, order, source
from tests.warm import Warm

from backstay import EventSource, SqlQuery
from backstay.project.ingestion import ingest_source
from backstay.storage.backends.local import LocalEvents


@pytest.fixture(params=list(KEEPERS))
def keeper(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ORDERS_PASSWORD", PASSWORD)
    server = request.getfixturevalue("postgres") if request.param == "postgres" else ""
    return KEEPERS[request.param](tmp_path, server)


def recorded(events: LocalEvents) -> list[str]:
    table = events.read("orders").rename({"event_time": "paid", "known_time": "seen"})
    return canonical(table.select(list(COLUMNS)).to_dicts())


def test_a_table_that_grows(keeper: Any, tmp_path: Path) -> None:
    events, orders = LocalEvents(tmp_path / "events"), source(keeper.reader)
    first = [order(number) for number in range(40)]
    random.Random(1).shuffle(first)
    keeper.add(first)
    told = ingest_source(orders, events, folder=tmp_path)
    assert (told.added, told.events) == (40, 40)
    table = events.read("orders")
    assert dict(table.schema) == {
        "event_time": pl.Datetime("us", "UTC"), "known_time": pl.Datetime("us", "UTC"), "order": pl.Int64,
        "shop": pl.String, "amount": pl.Float64, "items": pl.Int64, "gift": pl.Boolean,
        "due": pl.Datetime("us", "UTC"), "sequence": pl.Int64,
    }  # fmt: skip
    assert table.get_column("order").to_list() == list(range(40))  # in the order in which they became known
    assert recorded(events) == canonical(first)
    assert ingest_source(orders, events, folder=tmp_path).added == 0
    # Later ones; one that became known in the same moment as the newest; and one that was late to become known.
    second = [*map(order, range(40, 45)), order(39, shop="shop twin"), order(50, hours=3, lag=200)]
    keeper.add(second)
    assert ingest_source(orders, events, folder=tmp_path).added == 7
    assert recorded(events) == canonical(first + second)
    keeper.add([second[-1]])  # the very same row once more is one more event
    assert [ingest_source(orders, events, folder=tmp_path).added for _ in range(2)] == [1, 0]
    assert recorded(events) == canonical([*first, *second, second[-1]])


def test_rows_that_turn_up_late_are_found_within_the_look_back(keeper: Any, tmp_path: Path) -> None:
    """Without a known time of its own a row may turn up behind others."""
    events, orders = LocalEvents(tmp_path / "events"), source(keeper.reader, delay="1h", look_back="2d")
    keeper.add([order(number) for number in range(100)])
    assert ingest_source(orders, events, folder=tmp_path).added == 100
    inside, outside = order(200, hours=99 - 48), order(201, hours=99 - 49)
    keeper.add([outside, order(100), inside, order(99)])
    assert ingest_source(orders, events, folder=tmp_path).added == 3
    assert events.read("orders").get_column("order").to_list()[100:] == [200, 99, 100]
    assert ingest_source(orders, events, folder=tmp_path).added == 0


def test_a_transaction_that_is_committed_behind_others_loses_nothing(postgres: str, tmp_path: Path) -> None:
    """`now()` of PostgreSQL is when a transaction begins; its rows are there when it ends."""
    engine = sqlalchemy.create_engine(postgres, poolclass=sqlalchemy.pool.NullPool)
    orders = EventSource(
        "orders", schema={"number": "int"}, known_time="seen", read=SqlQuery(postgres, "orders"), event_time="paid"
    )
    events = LocalEvents(tmp_path / "events")
    make = "CREATE TABLE orders (paid TIMESTAMPTZ DEFAULT now(), seen TIMESTAMPTZ DEFAULT now(), number INT)"
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS orders")
        connection.exec_driver_sql(make)
    with engine.begin() as slow:
        slow.exec_driver_sql("INSERT INTO orders (number) VALUES (1)")
        with engine.begin() as quick:
            quick.exec_driver_sql("INSERT INTO orders (number) VALUES (2)")
        assert ingest_source(orders, events, folder=tmp_path).added == 1
    assert [ingest_source(orders, events, folder=tmp_path).added for _ in range(2)] == [1, 0]
    assert events.read("orders").get_column("number").to_list() == [2, 1]


def test_only_what_may_be_new_is_asked_for(keeper: Any, tmp_path: Path) -> None:
    from backstay.storage.tables import Since, read_table

    keeper.add([order(number) for number in range(240)])
    columns = ["order", "seen"]
    moment = int(order(200)["seen"].timestamp()) * 1_000_000
    all_rows = read_table(keeper.reader, columns, folder=tmp_path, where="orders")
    since = read_table(keeper.reader, columns, folder=tmp_path, where="orders", since=Since("seen", moment))
    assert all_rows.columns == since.columns == columns
    assert all_rows.height == 240
    asked = set(map(int, since.get_column("order").to_list()))  # a CSV file has texts
    assert set(range(200, 240)) <= asked
    if "Csv" not in str(keeper.reader):  # a text file is read whole
        assert len(asked) <= 40 + 48, asked  # a day earlier, and the rest of that day


def _bad(number: int, **changes: Any) -> dict[str, Any]:
    return order(number, shop=f"shop bad {number}", items=-number, **changes)


def test_bad_rows_go_to_quarantine_once(keeper: Any, tmp_path: Path) -> None:
    events, orders = LocalEvents(tmp_path / "events"), source(keeper.reader, contract=CONTRACT)
    good = [order(number) for number in range(10)]
    keeper.add([*good, _bad(20), order(3), _bad(21, hours=2)])
    told = ingest_source(orders, events, folder=tmp_path)
    assert (told.added, told.quarantined) == (10, 3)
    assert told.reasons == {"items is not at least 0": 2, "an event with this order came before": 1}
    again = ingest_source(orders, events, folder=tmp_path)
    assert (again.added, again.quarantined) == (0, 0)
    keeper.add([order(30), _bad(31), _bad(31), order(5, hours=40)])
    told = ingest_source(orders, events, folder=tmp_path)
    assert (told.added, told.quarantined) == (1, 3)
    assert ingest_source(orders, events, folder=tmp_path).quarantined == 0
    held = events.read("quarantine_orders")
    assert held.get_column("expectation").to_list() == [
        "items_between", "order_unique", "items_between", "items_between", "items_between", "order_unique",
    ]  # fmt: skip
    assert recorded(events) == canonical([*good, order(30)])
    assert held.get_column("row").str.json_path_match("$.order").to_list() == ["21", "3", "20", "31", "31", "5"]


VICTIM = """
import os, signal, sys
from pathlib import Path
from backstay.project.ingestion import ingest_source
from backstay.storage.backends.local import LocalEvents
from tests.storage.tables.keepers import CONTRACT, source
from backstay import CsvFiles, DeltaTable, ParquetFiles, SqlQuery

folder, reader, at, os.environ["ORDERS_PASSWORD"] = Path(sys.argv[1]), eval(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
class Dying(LocalEvents):
    done = 0
    def append(self, *given):
        if self.done == at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.done += 1
        return super().append(*given)
ingest_source(source(reader, contract=CONTRACT), Dying(folder / "events"), folder=folder)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("keeper", "at"),
    [("sqlite", 0), ("sqlite", 2), ("sqlite", 3), *((name, 1) for name in KEEPERS)],
    indirect=["keeper"],
)
def test_killed_in_the_middle(at: int, keeper: Any, tmp_path: Path) -> None:
    """Before quarantine; between it, what is noted of the ingest and the record, where it matters what is read again;
    and before it is noted that it is done."""
    events, orders = LocalEvents(tmp_path / "events"), source(keeper.reader, contract=CONTRACT)
    rows, bad = [], 0
    for round_ in range(2):
        base = 50 * round_
        new = [order(base + number) for number in range(20)]
        keeper.add([*new, _bad(base + 30, hours=base + 1), _bad(base + 31)])
        rows, bad = rows + new, bad + 2
        victim = Warm(VICTIM, tmp_path, repr(keeper.reader), at, PASSWORD)
        assert victim.wait() == -signal.SIGKILL
        victim.close()
        quarantined = events.read("quarantine_orders").height if events.last_sequence("quarantine_orders") else 0
        assert quarantined == bad - 2 * (at == 0)
        assert events.last_sequence("orders") == len(rows) - 20 * (at < 3)
        ingest_source(orders, events, folder=tmp_path)
        assert recorded(events) == canonical(rows)
        assert events.read("quarantine_orders").height == bad
