"""What crosses the rooms: training and judging candidates, the tick, parity of features and scores, the trace.

Each function reads the records, does one thing, and writes what it decided into the ledger with its evidence.
"""
