"""Runs: what was tried, with which parameters, and what came of it.

A run is told in documents, each of which says what it adds; what it leaves out stays as it was. All documents of one
id, in order, are the run. What is measured over and over stands beside them, as metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec

from backstay.core.errors import BackstayError, ConflictError, InputError, NotFoundError
from backstay.core.show import Shown
from backstay.core.times import instant_text

RUNNING: Final = "running"
FINISHED: Final = "finished"
FAILED: Final = "failed"
KILLED: Final = "killed"
_ID = re.compile(r"[0-9a-f]{16}")


class Metric(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One measurement: `value` may be NaN or infinite, `at` is when it was logged, in microseconds UTC."""

    name: str
    step: int
    value: float
    at: int


class RunRecord(msgspec.Struct, Shown, omit_defaults=True, gc=False):
    """A run, or a document of one.

    status:     running, finished, failed, or killed: its process is gone and it never ended
    begun:      when, in microseconds UTC
    seconds:    how long it took, once it has ended
    version:    the number of the model version that it registered
    error:      what it failed with
    parameters: what it was given: JSON values, each set once
    metrics:    the last value of each
    artifacts:  its files: the SHA-256 of each name
    """

    id: str
    name: str = ""
    actor: str = ""
    status: Literal["", "running", "finished", "failed", "killed"] = ""
    begun: int = 0
    seconds: float | None = None
    version: int | None = None
    error: str = ""
    parameters: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    artifacts: dict[str, str] = {}

    def as_dict(self) -> dict[str, Any]:
        return {**msgspec.structs.asdict(self), "begun": instant_text(self.begun)}


_NOTHING = msgspec.Raw(b"\x80")  # an empty map


class KeptRun(msgspec.Struct, omit_defaults=True, gc=False):
    """A `RunRecord` as it is kept: what it was given and has measured stays encoded until somebody asks for it.

    Ten thousand runs are read in this form several times as fast.
    """

    id: str
    name: str = ""
    actor: str = ""
    status: Literal["", "running", "finished", "failed", "killed"] = ""
    begun: int = 0
    seconds: float | None = None
    version: int | None = None
    error: str = ""
    parameters: msgspec.Raw = _NOTHING
    metrics: msgspec.Raw = _NOTHING
    tags: msgspec.Raw = _NOTHING
    notes: tuple[str, ...] = ()
    artifacts: msgspec.Raw = _NOTHING

    def whole(self) -> RunRecord:
        """All of it."""
        return _decode_record(_encode(self))

    def measured(self, metrics: Iterable[Metric]) -> None:
        """Take over the value of each metric that was logged last."""
        self.metrics = msgspec.Raw(_encode({one.name: one.value for one in metrics}))


_encode = msgspec.msgpack.Encoder().encode
_decode_kept = msgspec.msgpack.Decoder(list[KeptRun]).decode
_decode_record = msgspec.msgpack.Decoder(RunRecord).decode
_decode_metrics = msgspec.msgpack.Decoder(list[Metric]).decode
_decode_map = msgspec.msgpack.Decoder(dict[str, Any]).decode


def encode(rows: Sequence[RunRecord] | Sequence[KeptRun] | Sequence[Metric]) -> bytes:
    """Documents or metrics as bytes. `InputError` for what cannot be written: half a character, a number too large."""
    try:
        return _encode(rows)
    except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
        raise InputError(
            f"a run cannot be written: {error}", expected="JSON values, texts in UTF-8, integers of 64 bits"
        ) from error


def decode_runs(data: bytes | memoryview) -> list[KeptRun]:
    """The documents in these bytes."""
    return _decode_kept(data)


def decode_metrics(data: bytes) -> list[Metric]:
    """The metrics in these bytes."""
    return _decode_metrics(data)


def join(runs: dict[str, KeptRun], documents: Iterable[KeptRun]) -> None:
    """Add documents, in order, to the runs that they tell of.

    >>> runs, told = {}, [RunRecord("a", "late", tags={"a": "x"}), RunRecord("a", tags={"b": "y"}, notes=("good",))]
    >>> join(runs, decode_runs(encode(told)))
    >>> runs["a"].whole().name, runs["a"].whole().tags, runs["a"].whole().notes
    ('late', {'a': 'x', 'b': 'y'}, ('good',))
    """
    for told in documents:
        run = runs.setdefault(told.id, told)
        if run is told:
            continue
        run.status = told.status or run.status
        run.error = told.error or run.error
        run.seconds = run.seconds if told.seconds is None else told.seconds
        run.version = run.version if told.version is None else told.version
        run.parameters = _both(run.parameters, told.parameters)
        run.metrics = _both(run.metrics, told.metrics)
        run.tags = _both(run.tags, told.tags)
        run.notes += told.notes
        run.artifacts = _both(run.artifacts, told.artifacts)


def _both(one: msgspec.Raw, other: msgspec.Raw) -> msgspec.Raw:
    if other is _NOTHING or one is _NOTHING:
        return one if other is _NOTHING else other
    return msgspec.Raw(_encode(_decode_map(one) | _decode_map(other)))


def picked(runs: Sequence[KeptRun], kind: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """What each run has under these names, of one kind: parameters, metrics or tags. A name that none has is left out.

    Only what is asked for is made into objects.
    """
    if not names:
        return {}
    # All of them as one array, so that they are decoded in one go: 0xdd, how many, and each behind the other.
    data = b"".join([b"\xdd", len(runs).to_bytes(4, "big"), *map(attrgetter(kind), runs)])
    try:
        fields = [(f"f{place}", Any, msgspec.UNSET) for place in range(len(names))]
        rename = {f"f{place}": name for place, name in enumerate(names)}
        only: Any = msgspec.defstruct("Only", fields, rename=rename, gc=False)
        found = msgspec.msgpack.decode(data, type=list[only])
        columns = {name: list(map(attrgetter(f"f{place}"), found)) for place, name in enumerate(names)}
    except ValueError:  # a name with a quote in it, which no field may have
        whole = msgspec.msgpack.decode(data, type=list[dict[str, Any]])
        columns = {name: [one.get(name, msgspec.UNSET) for one in whole] for name in names}
    unset = msgspec.UNSET
    return {
        name: [None if one is unset else one for one in values]
        for name, values in columns.items()
        if any(one is not unset for one in values)
    }


def check_id(run: str) -> str:
    """The id of a run, if it is one: a store makes a file's name of it."""
    if not _ID.fullmatch(run):
        raise InputError(f"{run!r} is not the id of a run", expected="16 hexadecimal digits")
    return run


def taken(run: str) -> ConflictError:
    """What a store raises when a run is begun twice."""
    return ConflictError(f"there is a run {run} already", fix="begin one with another id")


def not_here(run: str) -> BackstayError:
    """What a store raises when a run is logged or ended that it has not begun, or that has ended."""
    return InputError(
        f"run {run} is not going on here",
        where=f"run {run}",
        expected="a run that this process has begun and not ended",
        fix="log inside the `with` block of the run",
    )


def unknown(run: str) -> NotFoundError:
    """What a store raises when it is asked about a run that it does not have."""
    return NotFoundError(f"there is no run {run}", fix="see: backstay runs")
