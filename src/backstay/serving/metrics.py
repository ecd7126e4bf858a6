"""Metrics of one worker: how long each stage takes, what was answered with which status, what was refused and why.

They stand in one flat array of numbers, so that counting costs an addition, and the workers of a server lay their
arrays side by side on a `Board`. What is written out is the sum over all of them, whichever worker is asked.
`prometheus-client`, which writes it out, is imported by the first scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import nan
from typing import Any

from backstay.definitions import Objective
from backstay.serving.board import GAUGES, Board
from backstay.serving.objectives import Tally, collect, tallies

STAGES = ("parse", "features", "queue", "predict", "log", "write")
"""parse: the body; queue: admitted until its batch begins; features, predict, log: of a batch; write: the answer."""
BOUNDS = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
REQUEST, BATCH = "request", "batch"
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
STATUSES = (200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 422, 429, 431, 499, 500, 501, 503, 504)
ENDPOINTS = ("predict", "infer", "features", "events", "other")
_WIDE = len(BOUNDS) + 2  # a cell a bound, one for what is above, and the sum


_NAMES = (*STAGES, REQUEST)
_BATCH = len(_NAMES) * _WIDE
_STATUS = _BATCH + len(SIZES) + 2
_PLACE = {
    (endpoint, status): _STATUS + row * len(STATUSES) + column
    for row, endpoint in enumerate(ENDPOINTS)
    for column, status in enumerate(STATUSES)
}
WIDTH = _STATUS + len(_PLACE)
"""How many cells a worker has."""


class Metrics:
    """Counters and histograms of one worker, in `cells`, its slot of the board; `gauges` are read to be published.

    The gauges of all workers are summed too, by the order of their registration, as each published them last.
    """

    def __init__(self, board: Board | None = None, slot: int = 0) -> None:
        self.board, self.slot = board or Board(WIDTH), slot
        self.cells = self.board.cells(slot)
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.tallies: dict[str, Tally] = {}
        """By model, what counts whether its objective is kept: of those that have one."""
        self._stage = {name: place * _WIDE for place, name in enumerate(_NAMES)}
        self.board.sign(slot)

    def keep(self, objectives: Mapping[str, Objective]) -> None:
        """Count from now on how these models keep their objectives."""
        self.tallies = tallies(self.board, self.slot, objectives)

    def publish(self) -> None:
        """Show the others this worker's gauges; worth doing about once a second."""
        cells = self.board.gauges(self.slot)
        for place, (_, read) in enumerate(self.gauges.values()):
            cells[place] = read()

    def observe(self, stage: str, seconds: float) -> None:
        """One more duration of a stage."""
        begin, cells = self._stage[stage], self.cells
        cells[begin + bisect_left(BOUNDS, seconds)] += 1
        cells[begin + _WIDE - 1] += seconds

    def batch(self, rows: int) -> None:
        """One more batch of so many rows."""
        self.cells[_BATCH + bisect_left(SIZES, rows)] += 1
        self.cells[_BATCH + len(SIZES) + 1] += rows

    def answered(self, endpoint: str, status: int) -> None:
        """One more request of an endpoint was answered with this status."""
        self.cells[_PLACE.get((endpoint, status)) or _PLACE["other", 500]] += 1

    def collect(self) -> Iterator[Any]:
        """What `prometheus_client` writes out."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        self.publish()
        told = self.board.summed()
        gauges, cells = told[:GAUGES], told[GAUGES:]
        stages = HistogramMetricFamily(
            "backstay_stage_seconds", "Seconds of each stage; features, predict and log are of batches.",
            labels=["stage"],
        )  # fmt: skip
        for name in STAGES:
            stages.add_metric([name], *histogram(cells, self._stage[name], BOUNDS))
        yield stages
        whole = HistogramMetricFamily("backstay_request_seconds", "Seconds from a request read to its answer made.")
        whole.add_metric([], *histogram(cells, self._stage[REQUEST], BOUNDS))
        yield whole
        sizes = HistogramMetricFamily("backstay_batch_rows", "Rows that were computed together.")
        sizes.add_metric([], *histogram(cells, _BATCH, SIZES))
        yield sizes
        counted = CounterMetricFamily(
            "backstay_requests", "Requests answered, by endpoint and HTTP status.", labels=["endpoint", "status"]
        )
        for (endpoint, status), place in _PLACE.items():
            if cells[place]:
                counted.add_metric([endpoint, str(status)], cells[place])
        yield counted
        for value, (name, (meaning, _)) in zip(gauges, self.gauges.items(), strict=False):
            yield GaugeMetricFamily(f"backstay_{name}", meaning, value=value)
        yield from collect(self.board, self.tallies)
        yield from self._workers()

    def _workers(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        since = GaugeMetricFamily(
            "backstay_worker_start_time_seconds", "Since when each worker counts, in Unix time.", labels=["worker"]
        )
        for sign in self.board.signs():
            since.add_metric([str(sign.slot)], sign.since)
        yield since
        starts = self.board.starts()
        yield CounterMetricFamily("backstay_worker_starts", "Workers started so far, replacements too.", value=starts)

    def latencies(self, *shares: float) -> dict[str, tuple[float, ...]]:
        """For each stage, and requests as a whole, of all workers: how many, and within what each share of them was.

        In seconds: the bound of a bucket, NaN where nothing was counted, infinite beyond the last.
        """
        cells = self.board.summed()[GAUGES:]
        out = {}
        for name, begin in self._stage.items():
            buckets, _ = histogram(cells, begin, BOUNDS)
            total = buckets[-1][1]
            within = [next((float(b) for b, n in buckets if total and n >= s * total), nan) for s in shares]
            out[name] = (total, *within)
        return out

    def statuses(self) -> dict[int, float]:
        """How many requests were answered with each status, by all workers."""
        cells, out = self.board.summed()[GAUGES:], dict.fromkeys(STATUSES, 0.0)
        for (_, status), place in _PLACE.items():
            out[status] += cells[place]
        return {status: number for status, number in out.items() if number}

    def written(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text form, and its content type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry), CONTENT_TYPE_LATEST


def histogram(cells: Sequence[float], begin: int, bounds: Sequence[float]) -> tuple[list[tuple[str, float]], float]:
    """The buckets, each with all below it, and the sum."""
    total, buckets = 0.0, []
    for place, bound in enumerate((*map(repr, map(float, bounds)), "+Inf")):
        total += cells[begin + place]
        buckets.append((bound, total))
    return buckets, cells[begin + len(bounds) + 1]
