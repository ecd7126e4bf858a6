"""The PostgreSQL backend: a ledger that several machines share.

Its driver (`pip install "backstay[postgres]"`) is imported when a ledger is opened.
"""

from backstay.storage.backends.postgres.ledger import PostgresLedger

__all__ = ["PostgresLedger"]
