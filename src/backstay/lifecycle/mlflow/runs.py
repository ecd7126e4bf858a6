"""Runs, mirrored: each becomes one of MLflow's, and is found again by the tag that names ours.

A run there has the state that it was written with as its last tag. One that was interrupted lacks it, or has an old
one: what is missing is added then, and nothing is there twice.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from backstay.core.identity import canonical_json, digest_of, sha256
from backstay.core.times import SECOND
from backstay.lifecycle.mlflow import words
from backstay.lifecycle.mlflow.server import Server
from backstay.registry.experiments import Runs
from backstay.storage.runs import RUNNING, RunRecord, encode

_MILLI = 1_000
_MOST_METRICS, _MOST_PARAMETERS = 1_000, 100
"""That MLflow takes in one call."""


class RunMirror:
    """The runs of one name, as they stand in MLflow under the experiment `PROJECT/NAME`."""

    def __init__(self, server: Server, runs: Runs, project: str, name: str) -> None:
        self._server, self._runs, self._project = server, runs, project
        self.experiment = server.experiment(f"{project}/{name}", {words.PROJECT: project})
        self._there: dict[str, Any] = {}
        for run in server.pages("search_runs", [self.experiment]):
            if words.RUN in run.data.tags:
                self._there.setdefault(run.data.tags[words.RUN], run)

    def write(self, record: RunRecord) -> tuple[str, str]:
        """Write what is not there yet: MLflow's id, and "new", "updated" or "as it was"."""
        state = sha256(encode([record]))
        found = self._there.get(record.id)
        if found is not None and found.data.tags.get(words.STATE) == state and record.status != RUNNING:
            return str(found.info.run_id), "as it was"
        run = found or self._begun(record)
        changed = self._measure(run, record)
        changed |= self._attach(run, record)
        if record.status != RUNNING:
            end = record.begun + round((record.seconds or 0.0) * SECOND)
            self._server.ask("set_terminated", run.info.run_id, words.STATUS[record.status], end // _MILLI)
        if run.data.tags.get(words.STATE) != state:
            self._tag(run, {**_tags(record), words.STATE: state})
            changed = True
        what = "new" if found is None else "updated" if changed else "as it was"
        self._there[record.id] = run
        return str(run.info.run_id), what

    def carrier(self, number: int, began: int) -> Any:
        """A run that holds the files of a version that no run of this project made."""
        mark = f"version {number}"
        if mark not in self._there:
            run = self._server.ask(
                "create_run", self.experiment, began // _MILLI, {words.RUN: mark, words.PROJECT: self._project}, mark
            )
            self._server.ask("set_terminated", run.info.run_id, "FINISHED", began // _MILLI)
            self._there[mark] = run
        return self._there[mark]

    def found(self, run: str) -> Any:
        """MLflow's run of one of ours that was written."""
        return self._there[run]

    def _begun(self, record: RunRecord) -> Any:
        tags = {words.RUN: record.id, words.PROJECT: self._project, "mlflow.user": record.actor}
        name = f"{record.name} {record.id[:8]}"
        return self._server.ask("create_run", self.experiment, record.begun // _MILLI, tags, name)

    def _measure(self, run: Any, record: RunRecord) -> bool:
        """Parameters and metrics that are not there; whether there were any."""
        entities, had = self._server.entities(), set(run.data.params)
        parameters = {words.key(name): words.parameter(value) for name, value in record.parameters.items()}
        fresh = [entities.Param(name, value) for name, value in parameters.items() if name not in had]
        for part in _parts(fresh, _MOST_PARAMETERS):
            self._server.ask("log_batch", run.info.run_id, params=part)
        metrics = list(self._missing(run, record.id, entities))
        for part in _parts(metrics, _MOST_METRICS):
            self._server.ask("log_batch", run.info.run_id, metrics=part)
        return bool(fresh or metrics)

    def _missing(self, run: Any, ours: str, entities: Any) -> Iterator[Any]:
        """Measurements that are not in the run's history there, held against it by name, step and millisecond."""
        there: Counter[tuple[str, int, int]] = Counter()
        for name in run.data.metrics:
            history = self._server.ask("get_metric_history", run.info.run_id, name)
            there.update((name, one.step, one.timestamp) for one in history)
        for name, step, value, at in self._runs.metrics(ours).with_columns(pl.col("at").dt.epoch("us")).iter_rows():
            place = (words.key(name), step, at // _MILLI)
            if there[place]:
                there[place] -= 1
            else:
                yield entities.Metric(place[0], value, place[2], step)

    def _attach(self, run: Any, record: RunRecord) -> bool:
        """The run's files, and the whole of its record as one."""
        whole = _document(record)
        state = digest_of({"files": record.artifacts, "record": sha256(whole)})
        if run.data.tags.get(words.FILES) == state:
            return False
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder, "files")
            files.mkdir()
            for name in record.artifacts:
                (files / words.file(name)).write_bytes(self._runs.artifact(record.id, name))
            Path(folder, "backstay").mkdir()
            Path(folder, "backstay", "run.json").write_bytes(whole)
            self._server.ask("log_artifacts", run.info.run_id, folder)
        self._server.ask("set_tag", run.info.run_id, words.FILES, state)
        return True

    def _tag(self, run: Any, tags: dict[str, str]) -> None:
        """All of them, the state last."""
        entities = self._server.entities()
        for part in _parts([entities.RunTag(name, value) for name, value in tags.items()], _MOST_PARAMETERS):
            self._server.ask("log_batch", run.info.run_id, tags=part)


def _tags(record: RunRecord) -> dict[str, str]:
    out = words.tags(record.tags)
    if record.notes:
        out["mlflow.note.content"] = words.cut("\n\n".join(record.notes))
    if record.error:
        out["backstay.error"] = words.cut(record.error)
    if record.version is not None:
        out[words.VERSION] = str(record.version)
    return out


def _document(record: RunRecord) -> bytes:
    """The record as JSON; numbers that JSON does not have are texts."""
    told = record.as_dict()
    told["metrics"] = {name: value if value - value == 0 else str(value) for name, value in record.metrics.items()}
    return canonical_json({**told, "notes": list(record.notes)})


def _parts(values: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(values), most):
        yield values[begin : begin + most]
