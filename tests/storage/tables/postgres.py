"""A real PostgreSQL server: a process of its own, in a directory of its own, on a socket file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

_PACKAGE = find_spec("pgserver")  # not imported: only its binaries are wanted
assert _PACKAGE is not None
assert _PACKAGE.submodule_search_locations is not None
PACKAGE = Path(_PACKAGE.submodule_search_locations[0])
USER = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL refuses to run as root."""


class Postgres:
    """A server whose user `reader` has a password. `url` is SQLAlchemy's, of the superuser, who needs none."""

    def __init__(self) -> None:
        # Not under pytest's directory: the path of a socket has at most 107 characters, and another user reads it.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        if USER is not None:
            shutil.chown(self.folder, USER)
            shutil.chown(self.data, USER)
        self._binaries = PACKAGE / "pginstall" / "bin"
        if USER is not None:  # who may not get to where it is installed
            for name in ("pgserver", "pgserver.libs"):
                shutil.copytree(PACKAGE.parent / name, self.folder / "installed" / name)
            self._binaries = self.folder / "installed" / "pgserver" / "pginstall" / "bin"
        self.url = f"postgresql+psycopg://postgres@/postgres?host={self.folder}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        shutil.rmtree(self.folder)

    def _start(self) -> None:
        made = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [self._binaries / "initdb", *made], user=USER, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        access = "local all reader scram-sha-256\nlocal all all trust\n"
        (self.data / "pg_hba.conf").write_text(access)
        fixed = ["-D", str(self.data), "-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", *fixed], user=USER, cwd=self.folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while subprocess.run(
            [self._binaries / "pg_isready", "-h", str(self.folder)], capture_output=True, check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.05)
