"""The archive: all that a project has written. Hold it against what was written, follow what came of it, and let go of
what nothing needs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from backstay.core.clock import SystemClock
from backstay.core.errors import InputError
from backstay.core.times import duration, instant
from backstay.features.backfill import Progress
from backstay.lifecycle.impact import Impact, Wrong, impact
from backstay.lifecycle.records import Records
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.project.services import Services
from backstay.registry.audit import Audit, audit
from backstay.registry.retention import Collected, collect, retire
from backstay.registry.signing import sign
from backstay.storage.chain import check_head
from backstay.storage.ports import Entry


class Archive:
    """`project.archive`: audit, impact, sign, retire, collect."""

    def __init__(self, services: Services, records: Records, definitions: Definitions, permits: Permits) -> None:
        self._services, self._records, self._definitions, self._permits = services, records, definitions, permits

    def audit(self, head: str | None = None, *, progress: Progress = lambda *_: None) -> Audit:
        """Whether every byte of the record is what was written; `head`: one that the ledger must still hold."""
        services = self._services
        if head is not None:
            check_head(services.ledger, head)
        told = partial(progress, "reading files and tables")
        kept = self._records.runs.referenced()
        return audit(services.ledger, self._records.registry, services.events, told, others=kept)

    def sign(self, number: int, key: str | Path, model: str | None = None, *, password: str | None = None) -> Entry:
        """Sign a version with a private key in PEM (OpenSSF model signing); the ledger has the signature."""
        chosen, records = self._definitions.model(model), self._records
        self._permits.model(chosen, "sign versions of", "promote")
        version = records.registry.get(chosen.name, number)
        return sign(
            records.ledger, records.registry, version, Path(key), password=password, at=records.clock.now(),
            actor=records.actor,
        )  # fmt: skip

    def impact(self, source: str, *, since: str | int, until: str | int, by_known_time: bool = False) -> Impact:
        """What rests on the events of a source (`SOURCE` or `SOURCE.COLUMN`) in [since, until): see `Impact`."""
        name, _, column = source.partition(".")
        sources = self._definitions.sources
        if name not in sources:
            raise InputError(f"there is no source {name!r}", where="source", expected=f"one of {', '.join(sources)}")
        models = list(self._definitions.models.values())
        for model in models:
            self._permits.model(model, "look at predictions of", "read_offline")
        begin, end = instant(since, where="since"), instant(until, where="until")
        wrong = Wrong(sources[name], begin, end, column or None, by_known_time)
        return impact(self._records, models, wrong)

    def retire(self, number: int, model: str | None = None, *, why: str) -> Entry:
        """Let the files of a version go that nothing needs; `InputError` names what does."""
        chosen, records = self._definitions.model(model), self._records
        self._permits.model(chosen, "retire versions of", "promote")
        return retire(
            records.ledger, records.registry, records.predictions, chosen.name, number, why=why,
            at=records.clock.now(), actor=records.actor,
        )  # fmt: skip

    def collect(self, *, older: str = "1d", dry: bool = False) -> Collected:
        """Remove files that nothing names any more, and that were stored longer ago than `older`."""
        self._permits.everything("remove files", "promote")
        records, kept = self._records, self._records.runs.referenced()
        return collect(
            records.ledger, records.registry, self._services.artifacts, kept, at=records.clock.now(),
            now=SystemClock().now(), actor=records.actor, grace=duration(older, where="older"), dry=dry,
        )  # fmt: skip
