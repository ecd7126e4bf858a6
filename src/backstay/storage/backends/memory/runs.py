"""Runs in dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

from backstay.storage.runs import (
    KILLED,
    RUNNING,
    KeptRun,
    Metric,
    RunRecord,
    check_id,
    decode_metrics,
    decode_runs,
    encode,
    join,
    not_here,
    taken,
    unknown,
)


class MemoryRuns:
    """`RunLog` in memory. Everything is kept encoded: what comes back is what a disk would give."""

    def __init__(self) -> None:
        self._documents: list[bytes] = []
        self._metrics: dict[str, list[bytes]] = {}
        self._held: set[str] = set()

    def begin(self, run: RunRecord) -> None:
        data = encode([run])
        if check_id(run.id) in self._metrics:
            raise taken(run.id)
        self._metrics[run.id] = []
        self._documents.append(data)
        self._held.add(run.id)

    def log(self, run: str, metrics: Sequence[Metric]) -> None:
        data = encode(metrics)
        if run not in self._held:
            raise not_here(run)
        self._metrics[run].append(data)

    def tell(self, told: RunRecord) -> None:
        data = encode([told])
        if check_id(told.id) not in self._metrics:
            raise unknown(told.id)
        if told.status and told.id not in self._held:
            raise not_here(told.id)
        self._documents.append(data)
        if told.status:
            self._held.discard(told.id)

    def scan(self) -> list[KeptRun]:
        runs: dict[str, KeptRun] = {}
        for data in self._documents[:]:
            join(runs, decode_runs(data))
        for one in runs.values():
            if one.status == RUNNING:
                one.status = RUNNING if one.id in self._held else KILLED
                one.measured(self.metrics(one.id))
        return list(runs.values())

    def metrics(self, run: str) -> list[Metric]:
        if check_id(run) not in self._metrics:
            raise unknown(run)
        return [one for data in self._metrics[run][:] for one in decode_metrics(data)]

    def close(self) -> None:
        self._held.clear()
