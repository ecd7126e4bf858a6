"""The ports: what Backstay needs of any storage, a handful of methods each, and the records that cross them.

Everything meets in three append-only records: **events** (`EventStore`), **predictions** (`PredictionLog`) and the
**ledger** (`Ledger`). Two helpers stand beside them: `Artifacts` holds files by content, `OnlineState` holds what a
server reads in microseconds. `backstay.storage.backends` implements them; `tests/contract` is the suite that every
backend passes.
"""
