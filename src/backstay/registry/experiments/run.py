"""A run that is going on: what it is told is kept at once, and what it measures costs microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from backstay.core.clock import Clock
from backstay.core.errors import InputError
from backstay.registry.experiments.given import flat, name_of, real, step_of, text_of
from backstay.storage.ports import Artifacts, RunLog
from backstay.storage.runs import FAILED, FINISHED, Metric, RunRecord, not_here

_LONGEST_ERROR = 2_000
"""Characters of an error that are kept: the beginning says what it was."""


class Run:
    """A run, from `project.run(...)`; a context that ends it: finished, or failed if an error leaves the block.

        with project.run("late", parameters={"depth": 6}, tags={"stage": "sweep"}) as run:
            for step in range(100):
                run.log("auc", auc, step)
            run.attach("curve.png", Path("curve.png"))

    Each call returns when what it was told is written (write(2)): a process that is killed loses nothing, and its run
    is shown as killed. Threads may share it. It belongs to the process that began it, not to one forked from that.
    """

    def __init__(self, record: RunRecord, log: RunLog, artifacts: Artifacts, clock: Clock) -> None:
        self.id, self.name = record.id, record.name
        self._log, self._artifacts, self._clock = log, artifacts, clock
        self._parameters = dict(record.parameters)
        self._last: dict[str, Metric] = {}
        self._began = perf_counter()
        self._going = True

    def log(self, name: str, value: float, step: int | None = None) -> None:
        """Log a metric's value: a real number, NaN and infinities too. Without a step: the one after its last, from 0.

        It costs one write, of less than 50 microseconds.
        """
        metric = self._measured(name, value, step, self._clock.now())
        self._log.log(self.id, (metric,))
        self._last[name] = metric

    def log_many(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log several metrics of one step, all of them or none, in one write."""
        now = self._clock.now()
        metrics = [self._measured(name, value, step, now) for name, value in values.items()]
        self._log.log(self.id, metrics)
        self._last.update((one.name, one) for one in metrics)

    def parameter(self, name: str, value: Any) -> None:
        """Set a parameter, a JSON value, once: another value later is an `InputError`. See `parameters`."""
        self.parameters({name: value})

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Set several parameters. What is nested gets dotted names: {"model": {"depth": 6}} is `model.depth`."""
        given = dict(flat(values))
        for name, value in given.items():
            if name in self._parameters and self._parameters[name] != value:
                raise InputError(
                    f"it is {self._parameters[name]!r} already, and would become {value!r}",
                    where=f"parameter {name!r} of run {self.id}",
                    expected="a parameter that is set once",
                    fix="begin another run; what changes meanwhile is a metric or a tag",
                )
        if new := {name: value for name, value in given.items() if name not in self._parameters}:
            self._tell(parameters=new)
            self._parameters |= new

    def tag(self, name: str, value: str) -> None:
        """Set a tag, or change it."""
        self._tell(tags={name_of("tag", name): text_of(f"tag {name!r}", value)})

    def note(self, text: str) -> None:
        """Add a note."""
        self._tell(notes=(text_of("note", text),))

    def attach(self, name: str, content: bytes | str | Path) -> str:
        """Keep a file with the run, by its SHA-256, which is returned: its bytes, or the path of one to read.

        A name that is used again names the newer file.
        """
        data = content if isinstance(content, bytes) else _read(Path(content))
        digest = self._artifacts.put(data)
        self._tell(artifacts={name_of("file", name): digest})
        return digest

    def registered(self, version: int) -> None:
        """Say which version of its model the run has registered."""
        self._tell(version=version)

    def end(self, error: str = "") -> None:
        """End the run: finished, or with an error failed. A `with` block does it. Ending again does nothing."""
        if self._going:
            self._tell(
                status=FAILED if error else FINISHED,
                error=error[:_LONGEST_ERROR].encode(errors="replace").decode(),
                seconds=round(perf_counter() - self._began, 6),
                metrics={name: one.value for name, one in self._last.items()},
            )
            self._going = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end("" if kind is None else f"{kind.__name__}: {error}".removesuffix(": "))

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.name!r})"

    def _tell(self, **what: Any) -> None:
        if not self._going:
            raise not_here(self.id)
        self._log.tell(RunRecord(self.id, **what))

    def _measured(self, name: str, value: float, step: int | None, now: int) -> Metric:
        last = self._last.get(name)
        if last is None:
            name_of("metric", name)
        if type(value) is not float:
            value = real(name, value)
        if step is None:
            step = 0 if last is None else last.step + 1
        elif type(step) is not int or step.bit_length() > 63:
            step = step_of(name, step)
        return Metric(name, step, value, now)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", where=str(path), fix="name a file that exists, or give bytes"
        ) from error
