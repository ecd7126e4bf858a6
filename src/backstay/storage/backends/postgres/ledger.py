"""The ledger in PostgreSQL (`storage.relational`): a writer takes an advisory lock before it reads.

Each project's ledger has a schema of its own. The lock is held to the end of the transaction, which the server ends if
the client dies; readers never wait for it. Entries are on the server's disk when an append returns, unless the server
was told otherwise (synchronous_commit).
"""

from __future__ import annotations

import re
import weakref

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backstay.core.errors import BackstayError, InputError
from backstay.core.packages import need
from backstay.storage.relational import RelationalLedger

_WAIT_MS = 60_000
_CONNECT_SECONDS = 10
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class PostgresLedger(RelationalLedger):
    """`Ledger` in a schema of a PostgreSQL database.

    url:    postgresql://user:password@host:port/database, as libpq and SQLAlchemy take it
    schema: made if it is not there; small letters, digits and underscores
    """

    def __init__(self, url: str, schema: str) -> None:
        if not _SCHEMA.fullmatch(schema):
            raise InputError(
                f"{schema!r} cannot name a schema",
                where="the ledger's schema",
                expected="small letters, digits and underscores, not a digit first, 63 at most",
            )
        self.schema = schema
        self.migrations = (_append_only(schema),)
        engine, where = _engine(url, schema)
        super().__init__(engine, where)
        weakref.finalize(self, engine.dispose)
        self.prepare()

    def _wait(self, connection: Connection) -> None:
        key = sa.func.hashtextextended(f"backstay ledger {self.schema}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    def _place(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")

    def _said(self, error: sa.exc.DBAPIError) -> BackstayError:
        if "permission denied" in str(error.orig):
            return BackstayError(
                f"the ledger may not be used: {str(error.orig).strip()}",
                where=self.where,
                fix=f"grant the user CREATE on the database, or USAGE on schema {self.schema} and its tables",
            )
        return super()._said(error)


def _engine(url: str, schema: str) -> tuple[sa.Engine, str]:
    need("psycopg", "postgres")
    try:
        given = sa.make_url(url)
    except sa.exc.ArgumentError:
        given = sa.URL.create("nothing")
    if given.get_backend_name() not in ("postgresql", "postgres"):
        raise InputError(
            "the ledger's url is not one of PostgreSQL",
            where="ledger.url",
            expected="postgresql://user:${PASSWORD}@host/database",
        )
    given = given.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        given,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "options": f"-c lock_timeout={_WAIT_MS} -c statement_timeout={_WAIT_MS}",
            "application_name": "backstay",
        },
        pool_pre_ping=True,  # the server may have been restarted since
        execution_options={"schema_translate_map": {None: schema}},
    )
    return engine, given.render_as_string(hide_password=True)


def _append_only(schema: str) -> tuple[str, ...]:
    refuse, order = f"{schema}.ledger_refuse()", f"{schema}.ledger_in_order()"
    code = "USING ERRCODE = 'integrity_constraint_violation'"
    return (
        f"""CREATE OR REPLACE FUNCTION {refuse} RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'the ledger is append-only: entries are never changed or deleted' {code};
        END $$""",
        f"""CREATE OR REPLACE FUNCTION {order} RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id IS DISTINCT FROM (SELECT coalesce(max(id), 0) + 1 FROM {schema}.ledger) THEN
                RAISE EXCEPTION 'the ledger is append-only: ids count up by one' {code};
            END IF;
            RETURN NEW;
        END $$""",  # noqa: S608 - the schema's name was checked: letters, digits, underscores
        f"CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE ON {schema}.ledger"
        f" FOR EACH ROW EXECUTE FUNCTION {refuse}",
        f"CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON {schema}.ledger"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {refuse}",
        f"CREATE TRIGGER ledger_order BEFORE INSERT ON {schema}.ledger FOR EACH ROW EXECUTE FUNCTION {order}",
    )
