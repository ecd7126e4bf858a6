"""Online state in LMDB: a map that grows, several processes, one environment a process, local disks only."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backstay.core.errors import InputError, NotFoundError
from backstay.storage.backends.local import LocalOnline
from backstay.storage.backends.local import online as module

READER = """
import sys
from backstay.storage.backends.local import LocalOnline
online = LocalOnline(sys.argv[1], readonly=True)
for line in sys.stdin:
    value = online.read([line.strip().encode()])[0]
    print("" if value is None else f"{len(value)} {value[:10].decode()}", flush=True)
"""

WRITER = """
import sys
from backstay.storage.backends.local import LocalOnline
online = LocalOnline(sys.argv[1])
sys.stdin.readline()
for n in range(100):
    online.write({b"%s %d" % (sys.argv[2].encode(), n): b"." * 400_000})
online.close()
"""

COUNTER = """
import sys
from itertools import count
from backstay.core.errors import ConflictError
from backstay.storage.backends.local import LocalOnline
online = LocalOnline(sys.argv[1])
for n in count(1):
    while True:
        (before,) = online.read([b"counter"])
        try:
            new = {b"counter": b"%d" % (int(before or 0) + 1), sys.argv[2].encode(): b"%d" % n}
            online.write(new, {b"counter": before})
            break
        except ConflictError:
            continue
    print(n, flush=True)
"""


def ask(process: Any, key: str) -> str:
    process.stdin.write(key + "\n")
    process.stdin.flush()
    return str(process.stdout.readline()).strip()


def test_a_reader_process_follows_the_writer_and_the_growing_map(tmp_path: Path, start: Any) -> None:
    online = LocalOnline(tmp_path / "o")
    reader = start(READER, tmp_path / "o")
    assert ask(reader, "a") == ""
    online.write({b"a": b"first"})
    assert ask(reader, "a") == "5 first"
    for n in range(4):
        online.write({b"big %d" % n: b"%d" % n * 20_000_000})
        assert ask(reader, f"big {n}") == f"20000000 {str(n) * 10}"
    online.clear()
    assert ask(reader, "a") == ""
    online.close()


def test_writer_processes_grow_the_map_together(tmp_path: Path, start: Any, outcome: Callable[..., str]) -> None:
    online = LocalOnline(tmp_path)
    writers = [start(WRITER, tmp_path, name) for name in ("x", "y")]
    for process in writers:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in writers:
        outcome(process)
    found = online.read([b"%s %d" % (name, n) for name in (b"x", b"y") for n in range(100)])
    assert found == [b"." * 400_000] * 200
    online.write({b"more": b"." * 40_000_000})
    online.close()


def test_writers_that_are_killed_hold_nobody_up_and_leave_whole_writes(tmp_path: Path, start: Any) -> None:
    online = LocalOnline(tmp_path)
    names = [f"writer {n}" for n in range(8)]
    running = [start(COUNTER, tmp_path, name) for name in names[:2]]
    acknowledged: list[int] = []
    for place in range(len(names)):
        assert running[place].stdout.readline() == "1\n"
        time.sleep(random.uniform(0, 0.05))
        running[place].kill()
        acknowledged.append(int(["1", *running[place].stdout.read().split("\n")[:-1]][-1]))
        if len(running) < len(names):
            running.append(start(COUNTER, tmp_path, names[len(running)]))
    # A writer killed at the end of its commit leaves a write that readers see once the next writer has come.
    online.write({b"next": b""})
    counter, *own = (int(value or 0) for value in online.read([b"counter", *(name.encode() for name in names)]))
    assert counter == sum(own)
    assert all(kept - done in (0, 1) for kept, done in zip(own, acknowledged, strict=True))
    online.write({b"counter": b"0"}, expect={b"counter": b"%d" % counter})
    online.close()


def test_threads_read_while_the_map_grows(tmp_path: Path) -> None:
    online = LocalOnline(tmp_path)
    online.write({b"a": b"0", b"b": b"0"})
    done, torn = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            a, b = online.read([b"a", b"b"])
            if a != b:
                torn.append((a, b))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for n in range(30):
        online.write({b"a": b"%d" % n, b"b": b"%d" % n, b"fill %d" % n: b"." * 3_000_000})
    done.set()
    for thread in readers:
        thread.join()
    assert torn == []
    online.close()


def test_a_path_opened_twice_shares_one_environment(tmp_path: Path) -> None:
    others = dict(module._OPEN)  # of tests before this one, whose stores nobody has let go of yet
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    first = LocalOnline(tmp_path / "real")
    second = LocalOnline(tmp_path / "link")
    reader = LocalOnline(tmp_path / "real", readonly=True)
    second.write({b"a": b"1"})
    assert first.read([b"a"]) == reader.read([b"a"]) == [b"1"]
    first.close()
    second.close()
    assert reader.read([b"a"]) == [b"1"]
    with pytest.raises(InputError, match="read only"):
        reader.write({b"a": b"2"})
    with pytest.raises(InputError, match="read only"):
        reader.clear()
    again = LocalOnline(tmp_path / "real")
    again.write({b"a": b"3"})
    assert reader.read([b"a"]) == [b"3"]
    reader.close()
    again.close()
    assert module._OPEN.keys() <= others.keys()


def test_a_directory_made_anew_is_another_environment(tmp_path: Path) -> None:
    old = LocalOnline(tmp_path / "o")
    old.write({b"a": b"old"})
    shutil.rmtree(tmp_path / "o")
    new = LocalOnline(tmp_path / "o")
    assert new.read([b"a"]) == [None]
    assert old.read([b"a"]) == [b"old"]
    old.close()
    new.write({b"a": b"new"})
    new.close()


def test_readonly_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        LocalOnline(tmp_path / "none", readonly=True)
    assert not (tmp_path / "none").exists()


def test_a_reader_without_permission_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LocalOnline(tmp_path).close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    reader = LocalOnline(tmp_path, readonly=True)
    writer = LocalOnline(tmp_path)
    assert reader.read([b"a"]) == [None]
    with pytest.raises(InputError, match="read only"):
        writer.write({b"a": b"1"})
    reader.close()
    writer.close()


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("nfs4", True),
        ("cifs", True),
        ("smb3", True),
        ("fuse.sshfs", True),
        ("fuse.fuse-overlayfs", False),
        ("xfs", False),
    ],
)
def test_network_mounts_are_refused(tmp_path: Path, kind: str, refused: bool) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    mounts = tmp_path / "mounts"
    escaped = str(place).replace(" ", "\\040")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nhost:/x {escaped} {kind} rw 0 0\nhost:/y {escaped}c nfs rw 0 0\n")
    module.refuse_network(tmp_path, mounts)
    module.refuse_network(tmp_path, tmp_path / "no mounts here")
    if refused:
        with pytest.raises(InputError, match="network mount"):
            module.refuse_network(place / "online", mounts)
    else:
        module.refuse_network(place / "online", mounts)


@pytest.mark.skipif(sys.platform != "linux", reason="whether a page is in memory is asked of Linux")
def test_opened_state_is_read_ahead(tmp_path: Path) -> None:
    """After a restart of the machine nothing of the state is in memory: lookups would wait for the disk, one by one."""
    values = {b"entity %d" % number: os.urandom(2_000) for number in range(4_000)}
    data = _unread(tmp_path, values)
    online = LocalOnline(tmp_path / "online", readonly=True)
    until = time.monotonic() + 30
    while _resident(data) < 1.0 and time.monotonic() < until:
        time.sleep(0.01)
    assert _resident(data) == 1.0
    size = data.stat().st_size
    while _entered(data) < size and time.monotonic() < until:
        time.sleep(0.01)
    assert _entered(data) >= size, "a page that is touched first has to be entered into the map"
    assert online.read(list(values)) == list(values.values())
    online.close()
    online = LocalOnline(tmp_path / "online")
    online.write({b"more": os.urandom(30_000_000)})  # more than the map holds: it is another one now
    while _entered(data) < size and time.monotonic() < until:
        time.sleep(0.01)
    assert _entered(data) >= size
    online.close()


@pytest.mark.skipif(sys.platform != "linux", reason="whether a page is in memory is asked of Linux")
def test_it_is_read_ahead_by_a_kernel_that_enters_no_pages_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POPULATE_READ", 99)  # no advice that any kernel knows
    data = _unread(tmp_path, {b"entity %d" % number: os.urandom(2_000) for number in range(4_000)})
    with closing(LocalOnline(tmp_path / "online", readonly=True)):
        until = time.monotonic() + 30
        while _resident(data) < 0.95 and time.monotonic() < until:  # the kernel may leave some out
            time.sleep(0.01)
        assert _resident(data) >= 0.95


def _unread(folder: Path, values: dict[bytes, bytes]) -> Path:
    """The file of a state of which nothing is in memory."""
    with closing(LocalOnline(folder / "online")) as online:
        online.write(values)
    data = folder / "online" / "data.mdb"
    with data.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if _resident(data) > 0.5:
        pytest.skip("this file system keeps its files in memory")
    return data


def _entered(path: Path) -> int:
    """How many bytes of a file's mapping are in this process's page tables."""
    name, found, entered = str(path.resolve()), False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            found = line.endswith(name)
        elif found and line.startswith("Rss:"):
            entered += 1024 * int(line.split()[1])
    return entered


def _resident(path: Path) -> float:
    """Which share of a file's pages is in memory; asking brings none there."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        pages = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        place = ctypes.addressof(begin := ctypes.c_char.from_buffer(mapped))
        failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(place), ctypes.c_size_t(len(mapped)), pages)
        del begin
    assert not failed, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in pages) / len(pages)
