"""The ledger in a real PostgreSQL server: hands that should not be in it, and a server that goes away."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from tests.storage.tables.postgres import Postgres

from backstay.core.errors import BackstayError, InputError, IntegrityError
from backstay.storage.backends.postgres import PostgresLedger


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def ledger(server: Postgres) -> Iterator[PostgresLedger]:
    ledger = PostgresLedger(server.url, f"shop_{secrets.token_hex(6)}")
    for n in range(5):
        ledger.append("k", "s", {"n": n}, at=n, actor="ann")
    yield ledger
    ledger.close()


def raw(server: Postgres, *statements: str) -> None:
    with psycopg.connect(host=str(server.folder), user="postgres", dbname="postgres") as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {}.ledger SET actor = 'eve' WHERE id = 2",
        "DELETE FROM {}.ledger WHERE id = 5",
        "TRUNCATE {}.ledger",
        "INSERT INTO {0}.ledger SELECT id + 6, at, actor, kind, subject, body, previous, digest FROM {0}.ledger"
        " WHERE id = 2",
    ],
)
def test_changing_it_is_refused(server: Postgres, ledger: PostgresLedger, statement: str) -> None:
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        raw(server, statement.format(ledger.schema))
    assert ledger.verify() == 5


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE {}.ledger SET actor = 'eve' WHERE id = 2", "entry 2"),
        ("UPDATE {}.ledger SET at = 9 WHERE id = 3", "entry 3"),
        ("""UPDATE {}.ledger SET body = '{{"n":7}}' WHERE id = 4""", "entry 4"),
        ("""UPDATE {}.ledger SET body = '{{"n": 3}}' WHERE id = 4""", "text of entry 4"),
        ("UPDATE {}.ledger SET body = '{{' WHERE id = 4", "body of entry 4"),
        ("DELETE FROM {}.ledger WHERE id = 3", "entry 3 of the ledger is missing"),
    ],
)
def test_verify_names_what_was_changed_behind_its_back(
    server: Postgres, ledger: PostgresLedger, statement: str, named: str
) -> None:
    schema = ledger.schema
    raw(server, f"ALTER TABLE {schema}.ledger DISABLE TRIGGER ALL", statement.format(schema))
    with pytest.raises(IntegrityError, match=named):
        ledger.verify()


def test_two_projects_do_not_see_each_other(server: Postgres, ledger: PostgresLedger) -> None:
    other = PostgresLedger(server.url, f"other_{secrets.token_hex(6)}")
    assert other.revision() == 0
    other.append("k", "s", {}, at=0, actor="bo")
    assert (other.verify(), ledger.verify()) == (1, 5)
    other.close()


def test_a_connection_that_was_cut_is_made_again(server: Postgres, ledger: PostgresLedger) -> None:
    raw(
        server,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'backstay'"
        " AND pid <> pg_backend_pid()",
    )
    assert ledger.append("k", "s", {}, at=9, actor="ann").id == 6


@pytest.mark.parametrize("url", ["", "nothing", "mysql://u@h/d", "redis://h", "postgresql:/x"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="not one of PostgreSQL"):
        PostgresLedger(url, "shop")


@pytest.mark.parametrize("schema", ["", "Shop", "a b", "1a", "a;drop", "x" * 64])
def test_a_schema_that_is_none(server: Postgres, schema: str) -> None:
    with pytest.raises(InputError, match="cannot name a schema"):
        PostgresLedger(server.url, schema)


def test_a_server_that_is_not_there_and_no_password_is_shown() -> None:
    with pytest.raises(BackstayError, match="not available") as caught:
        PostgresLedger("postgresql://ann:s3cret@127.0.0.1:1/backstay", "shop")
    assert "s3cret" not in str(caught.value)
    assert "ann:***@127.0.0.1" in str(caught.value)


def test_a_user_who_may_not(server: Postgres) -> None:
    raw(server, "CREATE ROLE guest LOGIN")
    url = f"postgresql://guest@/postgres?host={server.folder}"
    with pytest.raises(BackstayError, match=r"may not be used.*grant the user CREATE"):
        PostgresLedger(url, "nobodys")
    raw(server, "DROP ROLE guest")


def test_the_project_uses_it(server: Postgres, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backstay.project import Project

    monkeypatch.setenv("LEDGER", server.url)
    name = f"Shop-{os.getpid()}"
    (tmp_path / "models.py").write_text("")
    (tmp_path / "backstay.toml").write_text(f'[project]\nname = "{name}"\n[ledger]\nurl = "${{LEDGER}}"\n')
    project = Project(tmp_path)
    project.services.ledger.append("note", "s", {}, at=0, actor="ann")
    assert not (tmp_path / ".backstay" / "ledger.sqlite").exists()
    assert (tmp_path / ".backstay" / "ledger.anchors").read_text().split()[0] == "1"
    project.close()
    again = PostgresLedger(server.url, f"backstay_shop_{os.getpid()}")
    assert again.revision() == 1
    again.close()
