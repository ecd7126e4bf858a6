"""The runs of a project: begin one, find those that were, and hold them beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

import polars as pl

from backstay.core.clock import Clock
from backstay.core.errors import InputError, NotFoundError
from backstay.registry.experiments.comparison import Comparison, compared
from backstay.registry.experiments.given import flat, name_of, text_of
from backstay.registry.experiments.run import Run
from backstay.registry.experiments.search import frame_of, search
from backstay.storage.ports import Artifacts, RunLog
from backstay.storage.runs import RUNNING, RunRecord

_SCHEMA = {"name": pl.String, "step": pl.Int64, "value": pl.Float64, "at": pl.Int64}


class Runs:
    """Runs over their record; any number of processes may use the same one. A run is named by the beginning of its id.

    with runs.begin("late", parameters={"depth": 6}) as run:
        run.log("auc", 0.8, step=1)
    runs.search("auc > 0.7 and depth = 6", order="auc desc", limit=10)
    """

    def __init__(self, log: RunLog, artifacts: Artifacts, clock: Clock, actor: str) -> None:
        self._log, self._artifacts, self._clock, self._actor = log, artifacts, clock, actor

    def begin(
        self,
        name: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        note: str = "",
    ) -> Run:
        """Begin a run of an experiment or model; use it as a context, which ends it. See `Run`."""
        record = RunRecord(
            token_hex(8),
            name_of("run", name),
            self._actor,
            RUNNING,
            self._clock.now(),
            parameters=dict(flat(parameters or {})),
            tags={name_of("tag", key): text_of(f"tag {key!r}", value) for key, value in (tags or {}).items()},
            notes=(text_of("note", note),) if note else (),
        )
        self._log.begin(record)
        return Run(record, self._log, self._artifacts, self._clock)

    def search(self, where: str = "", *, order: str = "", limit: int | None = None) -> list[RunRecord]:
        """The runs for which a condition holds, the newest first.

        where: as after WHERE in SQL, over `id`, `name`, `status`, `actor`, `begun`, `seconds`, `version`, `error`, and
               every parameter, metric and tag by its name, or as `parameters.x`, `metrics.x`, `tags.x`
        order: what they are in the order of, such as "auc desc, seconds"; where there is none comes last
        limit: how many at the most

        A metric stands for its last value, and is as if it were not there where that is NaN.
        """
        return [one.whole() for one in search(self._log.scan(), where, order, limit)]

    def frame(self, runs: Sequence[RunRecord] | None = None) -> pl.DataFrame:
        """Runs (by default all, the newest first) as a Polars frame, a column for each thing that one of them has."""
        return frame_of(self.search() if runs is None else runs)

    def get(self, run: str) -> RunRecord:
        """The run whose id begins so."""
        return self._found([run])[0]

    def metrics(self, run: str) -> pl.DataFrame:
        """What a run has measured, in order: `name`, `step`, `value`, and `at`, when it was logged."""
        rows = [(one.name, one.step, one.value, one.at) for one in self._log.metrics(self.get(run).id)]
        return pl.DataFrame(rows, _SCHEMA, orient="row").cast({"at": pl.Datetime("us", "UTC")})

    def artifact(self, run: str, name: str) -> bytes:
        """A file of a run, verified."""
        record = self.get(run)
        if name not in record.artifacts:
            raise NotFoundError(
                f"run {record.id} has no file {name!r}",
                expected=f"one of {', '.join(sorted(record.artifacts)) or 'none'}",
            )
        return self._artifacts.get(record.artifacts[name])

    def referenced(self) -> set[str]:
        """The SHA-256 of every file that a run keeps."""
        return {digest for one in self._log.scan() for digest in one.whole().artifacts.values()}

    def compare(self, runs: Sequence[str]) -> Comparison:
        """Two runs or more beside each other: parameters that differ, last metrics, and metrics over steps."""
        found = self._found(runs)
        if len({one.id for one in found}) < 2:
            raise InputError("there is nothing to compare it with", expected="two runs or more")
        return compared(found, [self._log.metrics(one.id) for one in found])

    def tag(self, run: str, name: str, value: str) -> None:
        """Set or change a tag of a run, also of one that has ended."""
        tags = {name_of("tag", name): text_of(f"tag {name!r}", value)}
        self._log.tell(RunRecord(self.get(run).id, tags=tags))

    def note(self, run: str, text: str) -> None:
        """Add a note to a run, also to one that has ended."""
        self._log.tell(RunRecord(self.get(run).id, notes=(text_of("note", text),)))

    def _found(self, names: Sequence[str]) -> list[RunRecord]:
        """The runs whose ids begin so, each of them one."""
        runs = self._log.scan()
        out = []
        for name in names:
            fitting = [one for one in runs if name and one.id.startswith(name)]
            if not fitting:
                raise NotFoundError(
                    f"there is no run {name!r}", expected="the beginning of an id", fix="see: backstay runs"
                )
            if len(fitting) > 1:
                first = ", ".join(one.id for one in fitting[:3])
                raise InputError(f"{len(fitting)} runs begin with {name!r}", expected=f"more of its id: {first}, ...")
            out.append(fitting[0].whole())
        return out
