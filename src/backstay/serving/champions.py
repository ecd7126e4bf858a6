"""Which version serves: the `champion` alias of each model, followed by polling the ledger.

A new champion is loaded and verified off the loop, then swapped in by one assignment; requests already being computed
finish on the version they began with. A version that cannot be loaded never replaces one that works.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from backstay.core.errors import NotFoundError
from backstay.definitions import Model
from backstay.features.lookup import OnlineLookup
from backstay.registry.versions import Registry
from backstay.runtimes import load
from backstay.serving.batcher import Batcher
from backstay.serving.core import ServedModel, honoured
from backstay.storage.ports import Ledger, OnlineState

POLL_SECONDS = 0.1
_logger = logging.getLogger("backstay.serving")


class Champions:
    """Loads champions and keeps the batchers on them."""

    def __init__(self, models: Mapping[str, Model], registry: Registry, ledger: Ledger, online: OnlineState) -> None:
        self._models, self._registry, self._ledger = models, registry, ledger
        self._lookups = {name: OnlineLookup(model.features, online) for name, model in models.items()}
        self._revision = -1
        self.problems: dict[str, str] = {}
        """Per model, why its current champion could not be loaded (absent: it is served)."""

    def load(self, name: str) -> ServedModel:
        """The champion of a model, verified file by file. Raises `NotFoundError` if there is none."""
        model = self._models[name]
        move = self._registry.alias(name, "champion")
        if move is None:
            raise NotFoundError(
                f"model {name!r} has no champion", fix=f"promote a version first: backstay promote 1 --model {name}"
            )
        version = self._registry.get(name, move.to)
        honoured(model, version)
        read = partial(self._registry.file, version)
        scorer = load(model, version.manifest.scorer.format, read, where=f"{name}/{version.number}")
        return ServedModel(model, version, scorer, self._lookups[name], version.manifest.threshold)

    def start(self, batchers: Mapping[str, Batcher]) -> None:
        """Load every champion there is. A champion that cannot be trusted stops the start."""
        self._revision = self._ledger.revision()
        for name, batcher in batchers.items():
            if self._registry.alias(name, "champion") is not None:
                batcher.served = self.load(name)

    async def follow(self, batchers: Mapping[str, Batcher]) -> None:
        """Keep every batcher on its model's champion, for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._poll(batchers)
            except Exception:  # following must outlive whatever one turn meets; what it served goes on being served
                _logger.exception("the champions could not be followed")

    async def _poll(self, batchers: Mapping[str, Batcher]) -> None:
        revision = await asyncio.to_thread(self._ledger.revision)
        if revision == self._revision and not self.problems:
            return
        for name, batcher in batchers.items():
            move = await asyncio.to_thread(self._registry.alias, name, "champion")
            if move is None or (batcher.served is not None and batcher.served.version.number == move.to):
                self.problems.pop(name, None)
                continue
            try:
                batcher.served = await asyncio.to_thread(self.load, name)
                self.problems.pop(name, None)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the new version, the old one serves on
                if self.problems.get(name) != str(error):
                    _logger.error("version %s of model %s is not served: %s", move.to, name, error)
                self.problems[name] = str(error)
        self._revision = revision
