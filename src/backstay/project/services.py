"""Backends, picked and opened: the only place, with the conformance kit, that knows which there are."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from backstay.core.errors import IntegrityError
from backstay.registry.signing import Verifier
from backstay.storage.backends.local import (
    Anchored,
    LocalArtifacts,
    LocalCounts,
    LocalEvents,
    LocalLedger,
    LocalOnline,
    LocalPredictions,
    LocalRuns,
)
from backstay.storage.backends.local.files import failures
from backstay.storage.ports import Artifacts, CountLog, EventStore, Ledger, OnlineState, PredictionLog, RunLog


class Services:
    """The stores of one home, each opened when it is first used.

    The online state is in the home, or with `online_url` on a Redis or Valkey server, under a prefix of `name` (the
    project's) and of what identifies this home: sequences of another home's events mean something else.
    """

    def __init__(
        self,
        home: Path,
        *,
        name: str = "",
        online_url: str | None = None,
        online_timeout: float = 1.0,
        predictions_mode: str = "durable",
        ledger_url: str | None = None,
        ledger_anchors: Path | None = None,
        public_key: Path | None = None,
    ) -> None:
        self._online_timeout = online_timeout
        self.home, self._name, self._online_url, self._predictions_mode = home, name, online_url, predictions_mode
        self._ledger_url, self._ledger_anchors = ledger_url, ledger_anchors or home / "ledger.anchors"
        self._public_key = public_key

    @cached_property
    def events(self) -> EventStore:
        return LocalEvents(self._folder("events"))

    @cached_property
    def predictions(self) -> PredictionLog:
        return LocalPredictions(self._folder("predictions"), self._predictions_mode)

    @cached_property
    def counts(self) -> CountLog:
        return LocalCounts(self.home / "counts")  # its folder is made by who counts: looking changes nothing

    @cached_property
    def runs(self) -> RunLog:
        return LocalRuns(self.home / "runs")  # its folder is made by the first run: looking changes nothing

    @cached_property
    def ledger(self) -> Ledger:
        if self._ledger_url is None:
            return Anchored(LocalLedger(self._folder() / "ledger.sqlite"), self._ledger_anchors)
        from backstay.storage.backends.postgres import PostgresLedger

        schema = re.sub(r"[^a-z0-9_]", "_", f"backstay_{self._name or 'project'}".lower())[:63]
        return Anchored(PostgresLedger(self._ledger_url, schema), self._ledger_anchors)

    @cached_property
    def verifier(self) -> Verifier | None:
        """What verifies the signatures of versions, where the project names a public key."""
        return None if self._public_key is None else Verifier(self.ledger, self._public_key)

    @cached_property
    def artifacts(self) -> Artifacts:
        return LocalArtifacts(self._folder("artifacts"))

    @cached_property
    def online(self) -> OnlineState:
        if self._online_url is None:
            return LocalOnline(self._folder("online"))
        from backstay.storage.backends.redis import RedisOnline

        name = re.sub(r"[^\w.-]", "_", self._name or "backstay")
        prefix = f"{name}-{self._written_once('id', secrets.token_hex(8))}"
        return RedisOnline(self._online_url, prefix=prefix, timeout=self._online_timeout)

    @cached_property
    def token(self) -> str:
        """The bearer token of this home's server, made on first use and readable by its owner only."""
        return self._written_once("token", secrets.token_urlsafe(32))

    def close(self) -> None:
        for name in ("predictions", "runs", "online"):
            if name in self.__dict__:
                self.__dict__[name].close()
                del self.__dict__[name]

    def _written_once(self, name: str, random: str) -> str:
        """The random text in a file of this home: this one, if there is none yet. Readable by its owner only."""
        path = self._folder() / name
        if not path.exists():
            # Written aside and linked: nobody ever reads half of it, and the first one stays.
            aside = path.with_name(f"{name}.{secrets.token_hex(8)}")
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(random)
                with suppress(FileExistsError):
                    os.link(aside, path)
            finally:
                aside.unlink()
        text = path.read_text(encoding="ascii").strip()
        if len(text) < 16:
            raise IntegrityError(f"the {name} is too short", where=str(path), fix="remove the file")
        return text

    def _folder(self, name: str = "") -> Path:
        folder = self.home / name
        with failures(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder
