"""Backends, picked and opened: the only place, with the conformance kit, that knows which there are."""

from __future__ import annotations

import os
import secrets
from functools import cached_property
from pathlib import Path

from backstay.core.errors import IntegrityError
from backstay.storage.backends.local import LocalArtifacts, LocalEvents, LocalLedger, LocalOnline, LocalPredictions
from backstay.storage.ports import Artifacts, EventStore, Ledger, OnlineState, PredictionLog


class Services:
    """The stores of one home, each opened when it is first used."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @cached_property
    def events(self) -> EventStore:
        return LocalEvents(self._folder("events"))

    @cached_property
    def predictions(self) -> PredictionLog:
        return LocalPredictions(self._folder("predictions"))

    @cached_property
    def ledger(self) -> Ledger:
        return LocalLedger(self._folder() / "ledger.sqlite")

    @cached_property
    def artifacts(self) -> Artifacts:
        return LocalArtifacts(self._folder("artifacts"))

    @cached_property
    def online(self) -> OnlineState:
        return LocalOnline(self._folder("online"))

    @cached_property
    def token(self) -> str:
        """The bearer token of this home's server, made on first use and readable by its owner only."""
        path = self._folder() / "token"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = path.read_text(encoding="ascii").strip()
            if len(token) < 16:
                raise IntegrityError("the token is too short", where=str(path), fix="remove the file") from None
            return token
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
        return path.read_text(encoding="ascii")

    def close(self) -> None:
        for name in ("predictions", "online"):
            if name in self.__dict__:
                self.__dict__[name].close()
                del self.__dict__[name]

    def _folder(self, name: str = "") -> Path:
        folder = self.home / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
