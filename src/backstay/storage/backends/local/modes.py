"""How an append to the prediction log is acknowledged: durable, sync or lossy.

Each mode puts frames into one `Series`, and brings what that has ended to the disk in a thread of its own: nothing that
an event loop calls here ever waits for a disk to sync.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import Future

from backstay.core.errors import BackstayError
from backstay.storage.backends.local.framing import frame
from backstay.storage.backends.local.series import Series
from backstay.storage.predictions import encode

RING_BYTES = 64 << 20
RING_RECORDS = 100_000
FLUSH_BYTES = 1 << 20
FLUSH_SECONDS = 0.05  # what is collected meanwhile is one write
RETRY_SECONDS = 0.5

_logger = logging.getLogger("backstay.predictions")


class Mode(ABC):
    """Takes frames for a series; safe for several threads. `dropped` counts predictions."""

    def __init__(self, series: Series) -> None:
        self.dropped = 0
        self._series, self._lock = series, threading.Lock()
        self._closed = False

    def submit(self, data: bytes, count: int) -> Future[None] | None:
        """Take whole frames, of `count` predictions; see the port."""
        with self._lock:
            if self._closed:
                raise BackstayError("the prediction log is closed", where=str(self._series.directory))
            return self._take(data, count)

    @abstractmethod
    def _take(self, data: bytes, count: int) -> Future[None] | None: ...

    @abstractmethod
    def close(self) -> None: ...

    def _settle(self) -> None:
        """Bring ended segments to the disk: not promised, but a power cut should not take what is hours old."""
        with self._lock:
            unsettled = self._series.unsettled()
        try:
            unsettled.settle(current=False, names=True)
        except OSError as error:
            _logger.warning("predictions are written, but were not brought to the disk: %s", error)


class Durable(Mode):
    """Acknowledged when written: one write(2) an append."""

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self._settling: list[threading.Thread] = []

    def _take(self, data: bytes, _count: int) -> None:
        if self._series.write(data):
            thread = threading.Thread(target=self._settle, name="backstay-settle")
            self._settling = [*(one for one in self._settling if one.is_alive()), thread]
            thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._series.leave()
        self._settle()
        for thread in self._settling:  # they hold segments too, and who closes a log may compact it next
            thread.join()


class Sync(Mode):
    """Acknowledged when on the disk. What is submitted while one write and sync runs shares the next.

    The write is the thread's too: beside a sync of the same file it may wait as long as the sync.
    """

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self._wake = threading.Event()
        self._waiting: list[bytes] = []
        self._group: Future[None] = Future()
        self._thread: threading.Thread | None = None

    def _take(self, data: bytes, _count: int) -> Future[None]:
        self._waiting.append(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="backstay-sync", daemon=True)
            self._thread.start()
        if len(self._waiting) == 1:
            self._wake.set()
        return self._group

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._series.leave()
        self._settle()

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                closing = self._closed
                waiting, group = self._waiting, self._group
                self._waiting, self._group = [], Future()
            if waiting:
                try:
                    self._write(b"".join(waiting))
                except BackstayError as error:
                    group.set_exception(error)
                else:
                    group.set_result(None)

    def _write(self, data: bytes) -> None:
        begun = self._series.write(data)
        try:
            self._series.unsettled().settle(current=True, names=begun)
        except OSError as error:
            # The system may forget what it had not written, and call the next sync of the file a success.
            self._series.leave()
            raise BackstayError(
                f"predictions could not be brought to the disk ({error.strerror}); they are not acknowledged",
                where=str(self._series.directory),
                fix="mend the disk, then send it again",
            ) from error


class Lossy(Mode):
    """Acknowledged at once, and written by a thread. Beyond the ring's bounds the oldest are lost, and counted.

    How many were lost is written into the log too, where they would stand.
    """

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self._noted = 0  # of the dropped ones, how many the log tells of
        self._wake, self._closing = threading.Event(), threading.Event()
        self._ring: deque[tuple[bytes, int]] = deque()
        self._bytes = self._records = 0
        self._failing = False
        self._thread: threading.Thread | None = None

    def _take(self, data: bytes, count: int) -> None:
        self._ring.append((data, count))
        self._bytes += len(data)
        self._records += count
        self._bound()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="backstay-flush", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._series.leave()
        self._settle()

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait()
            self._closing.wait(FLUSH_SECONDS)
            self._wake.clear()
            closing = self._closing.is_set()
            while self._ring or self._noted < self.dropped:
                if self._flush():
                    continue
                if closing:
                    self._give_up()
                    break
                closing = self._closing.wait(RETRY_SECONDS)

    def _flush(self) -> bool:
        """Write a part of the ring; False if it could not be written, and is in the ring again."""
        taken, size = [], 0
        with self._lock:
            while self._ring and size < FLUSH_BYTES:
                taken.append(self._ring.popleft())
                size += len(taken[-1][0])
            lost = self.dropped - self._noted
        parts = [frame(encode(lost), "a number of lost predictions")] if lost else []
        try:
            begun = self._series.write(b"".join([*parts, *(data for data, _ in taken)]))
        except BackstayError as error:
            if not self._failing:
                _logger.warning("predictions wait in memory, and are lost beyond its bounds: %s", error)
            self._failing = True
            with self._lock:
                self._ring.extendleft(reversed(taken))
                self._bound()
            return False
        self._failing = False
        self._noted += lost
        with self._lock:
            self._bytes -= size
            self._records -= sum(count for _, count in taken)
        if begun:
            self._settle()
        return True

    def _bound(self) -> None:
        """Drop the oldest while there is too much. What is just being written counts, but cannot be dropped."""
        while self._ring and (self._bytes > RING_BYTES or self._records > RING_RECORDS):
            data, count = self._ring.popleft()
            self._bytes -= len(data)
            self._records -= count
            self.dropped += count

    def _give_up(self) -> None:
        with self._lock:
            self.dropped += self._records
            self._ring.clear()
            self._bytes = self._records = 0
        _logger.error("the last predictions could not be written; %d were lost in all", self.dropped)


MODES: dict[str, type[Mode]] = {"durable": Durable, "sync": Sync, "lossy": Lossy}
