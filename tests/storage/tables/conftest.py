"""One PostgreSQL server for the tests of a module, with a user who needs a password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy
from tests.storage.tables.postgres import Postgres

PASSWORD = "p@ss/w:rd %41"  # what a URL would have to escape


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of its superuser."""
    with Postgres() as server:
        engine = sqlalchemy.create_engine(server.url, poolclass=sqlalchemy.pool.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'".replace("%", "%%"))
        yield server.url
