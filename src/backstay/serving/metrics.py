"""Metrics of one worker: how long each stage takes, what was answered with which status, what was refused and why.

They stand in one flat array of numbers, so that counting costs an addition, and so that workers can lay their arrays
side by side and be summed cell by cell. `prometheus-client`, which writes them out, is imported by the first scrape.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from typing import Any

STAGES = ("parse", "features", "queue", "predict", "log", "write")
"""parse: the body; queue: admitted until its batch begins; features, predict, log: of a batch; write: the answer."""
BOUNDS = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
REQUEST, BATCH = "request", "batch"
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
STATUSES = (200, 400, 401, 403, 404, 405, 413, 415, 429, 499, 500, 503, 504)
ENDPOINTS = ("predict", "infer", "features", "events", "other")
_WIDE = len(BOUNDS) + 2  # a cell a bound, one for what is above, and the sum


class Metrics:
    """Counters and histograms in `cells`; `gauges` are read when they are asked for."""

    def __init__(self, cells: MutableSequence[float] | None = None) -> None:
        self._stage = {name: place * _WIDE for place, name in enumerate((*STAGES, REQUEST))}
        self._batch = len(self._stage) * _WIDE
        self._status = self._batch + len(SIZES) + 2
        self._place = {
            (endpoint, status): self._status + row * len(STATUSES) + column
            for row, endpoint in enumerate(ENDPOINTS)
            for column, status in enumerate(STATUSES)
        }
        size = self._status + len(self._place)
        self.cells = array("d", bytes(8 * size)) if cells is None else cells
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def observe(self, stage: str, seconds: float) -> None:
        """One more duration of a stage."""
        begin, cells = self._stage[stage], self.cells
        cells[begin + bisect_left(BOUNDS, seconds)] += 1
        cells[begin + _WIDE - 1] += seconds

    def batch(self, rows: int) -> None:
        """One more batch of so many rows."""
        self.cells[self._batch + bisect_left(SIZES, rows)] += 1
        self.cells[self._batch + len(SIZES) + 1] += rows

    def answered(self, endpoint: str, status: int) -> None:
        """One more request of an endpoint was answered with this status."""
        self.cells[self._place.get((endpoint, status)) or self._place["other", 500]] += 1

    def collect(self) -> Iterator[Any]:
        """What `prometheus_client` writes out."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        stages = HistogramMetricFamily(
            "backstay_stage_seconds", "Seconds of each stage; features, predict and log are of batches.",
            labels=["stage"],
        )  # fmt: skip
        for name in STAGES:
            stages.add_metric([name], *self._histogram(self._stage[name], BOUNDS))
        yield stages
        whole = HistogramMetricFamily("backstay_request_seconds", "Seconds from a request read to its answer made.")
        whole.add_metric([], *self._histogram(self._stage[REQUEST], BOUNDS))
        yield whole
        sizes = HistogramMetricFamily("backstay_batch_rows", "Rows that were computed together.")
        sizes.add_metric([], *self._histogram(self._batch, SIZES))
        yield sizes
        counted = CounterMetricFamily(
            "backstay_requests", "Requests answered, by endpoint and HTTP status.", labels=["endpoint", "status"]
        )
        for (endpoint, status), place in self._place.items():
            if self.cells[place]:
                counted.add_metric([endpoint, str(status)], self.cells[place])
        yield counted
        for name, (meaning, read) in self.gauges.items():
            yield GaugeMetricFamily(f"backstay_{name}", meaning, value=read())

    def _histogram(self, begin: int, bounds: Sequence[float]) -> tuple[list[tuple[str, float]], float]:
        """The buckets, each with all below it, and the sum."""
        total, buckets = 0.0, []
        for place, bound in enumerate((*map(repr, map(float, bounds)), "+Inf")):
            total += self.cells[begin + place]
            buckets.append((bound, total))
        return buckets, self.cells[begin + len(bounds) + 1]

    def written(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text form, and its content type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry), CONTENT_TYPE_LATEST
