"""A project: the folder with `backstay.toml`, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from backstay.core.clock import SystemClock
from backstay.core.errors import InputError, RefusedError
from backstay.core.times import duration, instant
from backstay.definitions import EventSource, Model
from backstay.features.backfill import Progress, backfill
from backstay.lifecycle.approval import approved
from backstay.lifecycle.batch import Predicted
from backstay.lifecycle.candidates import Alter, train_candidate
from backstay.lifecycle.compaction import compact
from backstay.lifecycle.judge import Judgement, judge, promote
from backstay.lifecycle.notifying import Delivery
from backstay.lifecycle.runs import PART
from backstay.lifecycle.tick import Ticked, tick
from backstay.lifecycle.trace import Trace, find, trace
from backstay.lifecycle.tuning import parameters_of
from backstay.lifecycle.verify import Chosen, ParityReport, verify
from backstay.monitoring.quality import Cohort
from backstay.project.batch import Data, predict_table
from backstay.project.doctor import Finding, doctor
from backstay.project.features import FeatureStore
from backstay.project.ingestion import Ingested, ingest_source
from backstay.project.quarantine import Quarantined, quarantine
from backstay.project.serving import Ready, announce, serve
from backstay.project.status import Status, project_status, quality
from backstay.project.watching import Watching
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.rollout import Verdict
from backstay.storage.ports import Compacted, Entry
from backstay.storage.predictions import Prediction


class GateRefused(RefusedError):  # noqa: N818  an answer, not a mistake
    """A promotion that the gate did not let through; `judgement` is its answer, which stands in the ledger."""

    judgement: Judgement | None = None


def _silent(_what: str, _done: int, _total: int) -> None:
    """No progress is shown."""


class Project(Watching):
    """A Backstay project.

        project = Project("examples/flights")
        project.ingest()
        version = project.train(as_of="2013-04-01", holdout="14d")
        print(project.judge(version.number, as_of="2013-04-01").decision)

    path:  the folder with `backstay.toml`
    home:  where records are kept; by default the setting `project.home`
    clock: the time everything is done at; by default the machine's
    actor: who is acting, for the ledger; by default the user's login name

    Once somebody has been granted a role (`project.access`), a call that the actor has no role for is an `AccessError`.
    """

    def model(self, name: str | None = None) -> Model:
        return self.definitions.model(name)

    def ingest(self, source: str | None = None, *, progress: Progress = _silent) -> list[Ingested]:
        """Read the sources' histories into the events record. Running it again adds only what is new."""
        chosen = [one for one in self._sources(source) if source is not None or one.read is not None]
        for one in chosen:
            self.permits.source(one.name, "ingest")
        out = []
        for place, one in enumerate(chosen):
            progress(f"ingest {one.name}", place, len(chosen))
            sets = self.definitions.feature_sets.values()
            out.append(ingest_source(one, self.services.events, folder=self.path, feature_sets=sets))
        progress("ingest", len(chosen), len(chosen))
        return out

    def quarantine(self, source: str | None = None, *, examples: int = 1) -> list[Quarantined]:
        """The events that broke their source's contract, counted by expectation, with examples as they came."""
        chosen = self._sources(source)
        for one in chosen:
            self.permits.source(one.name, "look at the quarantine of")
        return quarantine(chosen, self.services.events, examples=examples)

    def backfill(self, *, until: str | int | None = None, progress: Progress = _silent) -> dict[str, int]:
        """Bring the online state up to the events record (as known at `until`)."""
        self.permits.everything("backfill", "write")
        sets = self.definitions.feature_sets.values()
        moment = None if until is None else instant(until, where="until")
        return backfill(sets, self.services.events, self.services.online, until=moment, progress=progress)

    @cached_property
    def features(self) -> FeatureStore:
        """The feature store: features of a label frame, of entities online, and push."""
        return FeatureStore(self.services, self.records, self.definitions, self.settings, self.permits)

    def train(
        self,
        model: str | None = None,
        *,
        as_of: str | int | None = None,
        holdout: str = "0s",
        seed: int = 0,
        alter: Alter | None = None,
        note: str = "",
        accept: str | None = None,
        like: str | None = None,
    ) -> ModelVersion:
        """Train and register a version on what was known at `as_of` (default: now), less a time-ordered hold-out.

        `DataRefused` where the training set is not like the one accepted last (see `DataPolicy`); `accept` is the
        reason for training on it nevertheless. `like` is a trial of `tune`, by its run: with its parameters.
        """
        self.permits.model(self.model(model), "train", "read_offline", "define")
        tuned = None if like is None else parameters_of(self.records, self.model(model), like)
        return train_candidate(
            self.records,
            self.model(model),
            self.environment,
            as_of=self._moment(as_of),
            holdout=duration(holdout, where="holdout"),
            seed=seed,
            strict=self.settings["project.strict"],
            alter=alter,
            note=note,
            accept=accept,
            tuned=tuned,
        )

    def judge(self, number: int, model: str | None = None, *, as_of: str | int | None = None) -> Judgement:
        """The gate's answer about a version: PASS, FAIL or INSUFFICIENT, recorded with its evidence."""
        self.permits.judged(self.model(model), "judge", "read_offline")
        return judge(self.records, self.model(model), number, as_of=self._moment(as_of))

    def promote(self, number: int, model: str | None = None, *, as_of: str | int | None = None) -> AliasMove:
        """Judge a version and make it champion if it passes; `GateRefused` with the gate's reason if it does not.

        Where the model declares a rollout that is its way, and this is refused, but for a first version.

        `ApprovalNeeded` where the model's stakes are high and nobody but its author has approved it.
        """
        one = self.model(model)
        self.permits.judged(one, "promote a version of", "promote")
        if one.rollout is not None and self.records.registry.alias(one.name, "champion") is not None:
            raise RefusedError(
                f"model {one.name!r} brings its versions to customers by a rollout", where=f"{one.name}/{number}",
                fix=f"backstay rollout start {number} --model {one.name}",
            )  # fmt: skip
        approved(self.records, one, self.records.registry.get(one.name, number))
        judgement = judge(self.records, one, number, as_of=self._moment(as_of))
        if judgement.decision.verdict is not Verdict.PASS:
            refused = GateRefused(
                f"the gate answers {judgement.decision.verdict.value}: {judgement.decision.reason}",
                where=f"{one.name}/{number}",
            )
            refused.judgement = judgement
            raise refused
        return promote(self.records, one, judgement, as_of=self._moment(as_of))

    def predict(
        self,
        data: Data,
        out: str | Path,
        model: str | None = None,
        *,
        at: str | int | None = None,
        version: int | None = None,
        keep: Sequence[str] | None = None,
        features: bool = False,
        part: int = PART,
        progress: Progress = _silent,
    ) -> Predicted:
        """Score every row of a table, by the files and features that serve, into a folder of Parquet files.

        data:     Parquet or CSV files (a path, a folder, a glob) or a Delta table, larger than memory if need be
        at:       the column of each row's T, or one T for all; by default now
        version:  by its number; by default the champion
        keep:     the table's columns that go into the output; by default all
        features: also write the features and their statuses
        part:     rows that are in memory, and written, at once

        Killed and called again, it goes on where it was. A folder that holds another run is an `InputError`.
        """
        one = self.model(model)
        self.permits.model(one, "predict with", "read_offline")
        return predict_table(
            self.records, self.settings, self.path, one, data, out, at=at, version=version, keep=keep,
            features=features, part=part, progress=progress,
        )  # fmt: skip

    def tick(self, model: str | None = None) -> Ticked:
        """Do what is due now: open incidents, carry rollouts on, judge, promote, retrain, compact the prediction log.

        People are told of incidents at its end, also where it fails; a replay tells nobody.
        """
        one = self.model(model)
        self.permits.judged(one, "tick", "read_offline", "define", "promote")
        told: tuple[Delivery, ...] = ()
        before = self.records.ledger.revision()
        try:
            ticked = tick(self.records, one, self.environment, strict=self.settings["project.strict"])
        finally:
            if isinstance(self.clock, SystemClock):
                told = self.incidents.tell(one, after=before)
        return replace(ticked, notified=told)

    def status(self, *, as_of: str | int | None = None) -> Status:
        """Champions and why, objectives, freshness of sources, realised quality with its maturity."""
        found, moment = self.definitions, self._moment(as_of)
        return project_status(
            self.records, list(found.models.values()), list(found.sources.values()), as_of=moment,
            objectives=self.objectives.show(as_of=moment),
        )  # fmt: skip

    def quality(
        self, model: str | None = None, *, as_of: str | int | None = None, start: int | None = None
    ) -> list[Cohort]:
        """Realised quality by week, on mature cohorts."""
        return quality(self.records, self.model(model), as_of=self._moment(as_of), start=start)

    def verify(
        self,
        model: str | None = None,
        *,
        sample: int | None = None,
        share: float | None = None,
        since: str | int | None = None,
        until: str | int | None = None,
        max_stale: float | None = None,
    ) -> ParityReport:
        """Compute served predictions again from the events record, and compare bit for bit; see `Chosen` for which."""
        self.permits.model(self.model(model), "verify", "read_offline")
        begin, end = (None if one is None else instant(one, where="since, until") for one in (since, until))
        return verify(self.records, self.model(model), Chosen(sample, share, begin, end), max_stale=max_stale)

    def trace(self, prediction_id: str) -> Trace:
        """Everything behind one prediction."""
        prediction = find(self.records, prediction_id)
        self.permits.model(self.model(prediction.model), "trace predictions of", "read_offline")
        return trace(self.records, self.model(prediction.model), prediction)

    def predictions(self, model: str | None = None, *, limit: int = 10) -> list[Prediction]:
        """The predictions that were served last, of one model or of all, the newest first."""
        for one in self.definitions.models.values() if model is None else [self.model(model)]:
            self.permits.model(one, "look at predictions of", "read_offline")
        name = None if model is None else self.model(model).name
        return list(self.services.predictions.scan(model=name, last=limit))

    def compact(self, *, progress: Progress = _silent) -> Compacted:
        """Move what servers have logged, and closed, into a table that other tools read; nothing else changes.

        Safe while servers run, and when it is interrupted. `tick` does it too.
        """
        self.permits.everything("compact the predictions", "write")
        return compact(self.records, lambda done, total: progress("compacting", done, total))

    def entries(self, kind: str | None = None, *, limit: int = 20) -> list[Entry]:
        """The last entries of the ledger, the newest last."""
        return self.services.ledger.entries(kind=kind)[-limit:]

    def versions(self, model: str | None = None) -> list[ModelVersion]:
        """Every registered version of a model."""
        return self.records.registry.versions(self.model(model).name)

    def doctor(self, *, progress: Progress = _silent) -> list[Finding]:
        """Whether everything is as a server needs it: a finding for each check, with the fix. Changes nothing."""
        return doctor(self, progress)

    def serve(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
        replay: bool = False,
        ready: Ready = announce,
        progress: Progress = _silent,
    ) -> None:
        """Run the server until it is told to stop. `ready` is told where it listens, once requests are taken.

        More than one of `workers` (by default the setting serving.workers) are processes of their own, which open the
        project anew and accept on one listener; this one watches over them.
        """
        serve(self, host=host, port=port, workers=workers, replay=replay, ready=ready, progress=progress)

    def _sources(self, name: str | None) -> list[EventSource]:
        """The named source; without a name, all of them."""
        sources = self.definitions.sources
        if name is not None and name not in sources:
            raise InputError(f"there is no source {name!r}", expected=f"one of {', '.join(sources)}")
        return [one for one in sources.values() if name in (None, one.name)]

    def _moment(self, value: str | int | None) -> int:
        return self.clock.now() if value is None else instant(value, where="as_of")

    def __repr__(self) -> str:
        return f"Project({self.name!r}, path={str(self.path)!r})"
