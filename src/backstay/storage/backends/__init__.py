"""The backends: each a folder that implements the ports, knows no other backend, and passes `tests/contract`.

local    Delta tables, SQLite, LMDB and plain files in one directory: the default
memory   the fake: the same answers, nothing kept
"""
