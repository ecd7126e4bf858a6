"""Online state in LMDB: a memory map that many processes read without waiting, while one of them writes.
Writers, of any process, take turns: LMDB has one write transaction at a time, and a compare-and-swap happens inside it.

The map begins small and doubles when it is full. Other processes notice at their next transaction and follow. Growing
needs a moment without any transaction in this process, so reads pass through one lock and writes through another:
a read never waits for a write, only (rarely) for a growth.

LMDB forbids opening the same files twice in a process, since closing one would drop the locks of the other: all
`LocalOnline` of the same files in a process share one environment, which closes with the last of them.

A memory map is not coherent over a network: a path on such a mount is refused.

After a restart of the machine, or a pause, the state lies on disk, and each entity's first lookup would wait for it: a
page is read when it is touched, and even one that is in memory costs the kernel as much then as a lookup. So whoever
opens the state has it read, and its pages entered into the map, ahead: as long as it is small beside the memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import lmdb

from backstay.core.errors import BackstayError, InputError, NotFoundError
from backstay.storage.backends.local.files import failures
from backstay.storage.keyed import check_read, check_write, conflict

FIRST_MAP_BYTES = 16 * 1024 * 1024
_MAX_KEY = 511
_HASHED = b"\x00backstay:"  # a key that begins so is hashed too: a hashed key never meets a plain one
_AFTER_HASHED = b"\x00backstay;"  # no key from here on begins so
_READERS = 1024
_AHEAD_OF_MEMORY = 0.25  # a state beyond this share of the machine's memory is not read ahead
_AHEAD_BYTES = 16 * 1024 * 1024  # at once: whoever changes the map of memory waits that long
_READ_BYTES = 128 * 1024  # of more at once the kernel takes only so much
_POPULATE_READ = 22  # MADV_POPULATE_READ of <linux/mman.h>, since Linux 5.14; Python has no name for it
_NETWORK = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb2",
        "smb3",
        "smbfs",
    }
)
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs"})  # the root of rootless containers


class LocalOnline:
    """`OnlineState` in an LMDB environment, a directory of its own.

    With `readonly` nothing is created and writing is refused; what another process writes is seen at the next read.
    """

    def __init__(self, path: str | Path, readonly: bool = False) -> None:
        self._path = Path(path).absolute()
        self._readonly = readonly
        self._open: _Shared | None = _acquire(self._path, readonly)

    def read(self, keys: Sequence[bytes], have: Sequence[bytes | None] | None = None) -> list[bytes | None]:
        check_read(keys, have)
        shared = self._shared()
        if not keys:
            return []
        plain = min(keys) >= _AFTER_HASHED and max(map(len, keys)) <= _MAX_KEY
        return shared.read(keys if plain else [_key(key) for key in keys], have)

    def write(self, values: Mapping[bytes, bytes | None], expect: Mapping[bytes, bytes | None] | None = None) -> None:
        expect = expect or {}
        check_write(values, expect)
        wanted = [(_key(key), value, key) for key, value in expect.items()]
        pairs = [(_key(key), value) for key, value in values.items()]

        def put(transaction: lmdb.Transaction[bytes]) -> None:
            for stored, value, key in wanted:
                if transaction.get(stored) != value:
                    raise conflict(key, str(self._path))
            for stored, value in pairs:
                if value is None:
                    transaction.delete(stored)
                else:
                    transaction.put(stored, value)

        self._shared(write=True).write(put)

    def clear(self) -> None:
        shared = self._shared(write=True)
        shared.write(lambda transaction: transaction.drop(shared.database, delete=False))

    def close(self) -> None:
        shared, self._open = self._open, None
        if shared is not None:
            _release(shared)

    def _shared(self, *, write: bool = False) -> _Shared:
        if self._open is None:
            raise BackstayError("the online state is closed", where=str(self._path))
        if write and (self._readonly or not self._open.writable):
            raise InputError("the online state was opened to read only", where=str(self._path))
        return self._open


class _Shared:
    """One environment and its two locks, shared by all users of its files in this process."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.users = 0
        self.path, self.writable = path, writable
        self.reading, self.writing = threading.Lock(), threading.Lock()
        self.env = lmdb.open(
            str(path),
            map_size=FIRST_MAP_BYTES,
            readonly=not writable,
            create=writable,
            max_readers=_READERS,
            max_spare_txns=1,
            readahead=False,
        )
        self.database = self.env.open_db()
        self._ahead()

    def _ahead(self) -> None:
        threading.Thread(target=_read_ahead, args=(self.path / "data.mdb",), daemon=True).start()

    def read(self, keys: Sequence[bytes], have: Sequence[bytes | None] | None) -> list[bytes | None]:
        while True:
            try:
                if have is None:
                    with self.reading, self.env.begin() as copying:
                        return list(map(copying.get, keys))
                with self.reading, self.env.begin(buffers=True) as looking:
                    return _unless_held(looking, keys, have)
            except lmdb.MapResizedError:
                with self.writing, self.reading:
                    self.env.set_mapsize(0)  # take over the size that another process gave it
                self._ahead()  # it is another map now
            except lmdb.Error as error:
                raise self._failure(error) from error

    def write(self, work: Callable[[lmdb.Transaction[bytes]], None]) -> None:
        with self.writing:
            while not self._written(work):
                pass

    def _written(self, work: Callable[[lmdb.Transaction[bytes]], None]) -> bool:
        """One attempt; False if the map had to change its size first."""
        try:
            try:
                with self.env.begin(write=True) as transaction:
                    work(transaction)
                return True
            except lmdb.MapFullError:
                size = 2 * max(self.env.info()["map_size"], FIRST_MAP_BYTES)
            except lmdb.MapResizedError:
                size = 0
            with self.reading:
                self.env.set_mapsize(size)
            self._ahead()
            return False
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: lmdb.Error) -> BackstayError:
        return BackstayError(f"the online state failed: {error}", where=str(self.path), fix="free space, then retry")


_OPEN: dict[tuple[int, int], _Shared] = {}  # by the identity of the data file, not by its name
_OPEN_LOCK = threading.Lock()


def _acquire(path: Path, readonly: bool) -> _Shared:
    data = path / "data.mdb"
    with _OPEN_LOCK, failures(path):
        refuse_network(path)
        if readonly and not data.exists():
            raise NotFoundError("there is no online state yet", where=str(path), fix="open it for writing first")
        shared = _OPEN.get(_identity(data)) if data.exists() else None
        if shared is None:
            # Opened for writing where possible, even for a reader: this process may open it only once.
            writable = not readonly or (os.access(path, os.W_OK) and os.access(data, os.W_OK))
            if writable:
                path.mkdir(parents=True, exist_ok=True)
            try:
                shared = _Shared(path, writable=writable)
            except lmdb.Error as error:
                raise BackstayError(f"the online state cannot be opened: {error}", where=str(path)) from error
            shared.env.reader_check()  # readers that were killed hold old pages back
            _OPEN[_identity(data)] = shared
        shared.users += 1
        return shared


def _release(shared: _Shared) -> None:
    with _OPEN_LOCK:
        shared.users -= 1
        if shared.users == 0:
            for identity in [identity for identity, other in _OPEN.items() if other is shared]:
                del _OPEN[identity]
            with shared.writing, shared.reading:
                shared.env.close()


def _read_ahead(data: Path) -> None:
    """Have the kernel read a mapped file into memory, and enter its pages into the map. That it cannot is no failure:
    then pages come as they are touched."""
    if sys.platform != "linux":
        return
    size, memory = 0, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError):
        size = data.stat().st_size
    if size > memory * _AHEAD_OF_MEMORY:
        return
    # Few calls, without the interpreter's lock: to take that again and again would delay the lookups meanwhile.
    advise = ctypes.CDLL(None).madvise
    for begin, end in _mapped(data):
        whole = ctypes.c_void_p(begin), ctypes.c_size_t(end - begin)
        advise(*whole, mmap.MADV_NORMAL)  # read in order now, and at random again below, as LMDB has it
        for at in range(begin, min(end, begin + size), _AHEAD_BYTES):
            number = min(_AHEAD_BYTES, begin + size - at)
            if advise(ctypes.c_void_p(at), ctypes.c_size_t(number), _POPULATE_READ):
                _read(data, size)  # an older kernel: at least into memory
                break
        advise(*whole, mmap.MADV_RANDOM)


def _read(data: Path, size: int) -> None:
    """Have the kernel read a file into memory."""
    with suppress(OSError), data.open("rb") as file:
        for begin in range(0, size, _READ_BYTES):
            os.posix_fadvise(file.fileno(), begin, _READ_BYTES, os.POSIX_FADV_WILLNEED)


def _mapped(file: Path) -> list[tuple[int, int]]:
    """Where a file is mapped in this process; nothing where that cannot be told."""
    name = os.fsencode(file.resolve())
    with suppress(OSError):
        lines = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_bytes().split(b"\n")]
        places = [line[0].partition(b"-") for line in lines if len(line) == 6 and line[5] == name]
        return [(int(begin, 16), int(end, 16)) for begin, _, end in places]
    return []


def _identity(data: Path) -> tuple[int, int]:
    status = data.stat()
    return status.st_dev, status.st_ino


def _unless_held(
    transaction: lmdb.Transaction[memoryview], keys: Sequence[bytes], have: Sequence[bytes | None]
) -> list[bytes | None]:
    """What is stored, copied out of the map; where it begins with what the caller has, that instead."""
    get = transaction.get
    found: list[bytes | None] = []
    for key, head in zip(keys, have, strict=True):
        value = get(key)
        if value is None:
            found.append(None)
        elif head and value[: len(head)] == head:
            found.append(head)
        else:
            found.append(bytes(value))
    return found


def _key(key: bytes) -> bytes:
    """The key as stored: what LMDB takes as it is, or a digest of what is too long or empty."""
    if 0 < len(key) <= _MAX_KEY and not key.startswith(_HASHED):
        return key
    return _HASHED + blake2b(key).digest()


def refuse_network(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise `InputError` if the path lies on a network mount. Where the mounts cannot be listed, nothing is refused."""
    try:
        table = mounts.read_text(errors="surrogateescape")
    except OSError:
        return
    place = path.resolve()
    kind, deepest = "", -1
    for line in table.splitlines():
        _, point, filesystem = line.split(" ")[:3]
        mount = Path(point.encode(errors="surrogateescape").decode("unicode_escape"))  # blanks are written \040
        if place.is_relative_to(mount) and len(mount.parts) >= deepest:
            kind, deepest = filesystem, len(mount.parts)
    if kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE):
        raise InputError(
            f"{path} is on a network mount ({kind})",
            where=str(path),
            expected="a local disk: a memory map is not coherent over a network",
            fix="move the project to a local disk, or use a shared online store",
        )
