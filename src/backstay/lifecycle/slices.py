"""Slices of a version: where it is worse, on the rows it may be evaluated on, and which slices are watched for good.

A slice is *declared* with the model, *pinned* by a person, or *found* by a search. A pin is an entry of the ledger with
the predicate as data, who pinned it and why; it holds for every version of the model until it is unpinned. Declared and
pinned slices are always shown, whatever their size, and the gate lets no candidate be worse on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import ConflictError, DefinitionError, InputError
from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.definitions.names import check_name
from backstay.evaluation.figures.forest import ForestRow, slice_forest
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import Insufficient, NotEnough
from backstay.evaluation.metrics import as_outcome, brier_losses, log_losses
from backstay.evaluation.slices import Compared, Found, Least, Losses, Predicate, find_slices
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import LabelledRows, ScoredRows, scored_rows
from backstay.storage.ports import Entry

PINNED, UNPINNED = "slice.pinned", "slice.unpinned"
"""The ledger's kinds of entry for a slice that is watched from now on, and no longer; their subject is the model."""
DAY = "day"

Bools = npt.NDArray[np.bool_]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Pin(Shown):
    """A slice that is watched: what it is called, which rows it has, who wants it, and why."""

    model: str
    name: str
    predicate: Predicate
    why: str
    by: str
    at: int
    entry_id: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "name": self.name, "slice": str(self.predicate), "why": self.why, "by": self.by,
            "at": instant_text(self.at), "entry_id": self.entry_id, "predicate": self.predicate.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class NamedSlice(Shown):
    """A declared or pinned slice of a version, on all rows.

    origin:  "declared" or "pinned"; rule: which rows it has, in words
    verdict: "worse" or "not worse" than the rest by the effect, where the interval shows it; else "cannot tell", or
             "INSUFFICIENT" where there is no interval
    """

    name: str
    origin: str
    rule: str
    measured: Compared
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "origin": self.origin, "slice": self.rule, "verdict": self.verdict,
            **self.measured.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class SliceReport(Shown):
    """Where a version is worse: its declared and pinned slices, and what a search found (None: none was made)."""

    model: str
    number: int
    since: int
    until: int
    as_of: int
    loss: str
    clusters: str
    rows: int
    mean: float
    known: tuple[NamedSlice, ...]
    found: Found | None

    def figure(self) -> str:
        """The forest of its slices: declared, pinned, and confirmed by the search."""
        rows = [ForestRow(one.name, one.measured, one.verdict) for one in self.known]
        if self.found is not None:
            rows += [ForestRow(str(one.predicate), one.measured, one.verdict) for one in self.found.confirmed]
        return slice_forest(rows, self.loss, f"slices of version {self.number} of {self.model}")

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "number": self.number, "since": instant_text(self.since),
            "until": instant_text(self.until), "as_of": instant_text(self.as_of), "loss": self.loss,
            "clusters": self.clusters, "rows": self.rows, "mean": self.mean,
            "known": [one.as_dict() for one in self.known],
            "found": None if self.found is None else self.found.as_dict(),
        }  # fmt: skip


def slices(
    records: Records, model: Model, number: int, *, as_of: int, since: int | None = None, until: int | None = None,
    find: bool = True, order: int = 2, loss: str = "log_loss", clusters: str = DAY, effect: float = 0.0,
    level: float = 0.95, seed: int = 0, progress: Progress = lambda *_: None,
) -> SliceReport:  # fmt: skip
    """Where a version is worse than elsewhere, on the rows it may be evaluated on: see `scored_rows`.

    find, order, effect, level, seed: whether slices are searched, and how: see `find_slices`
    loss:     "log_loss", "brier", or "error" (1 where the decision by the rule in force is wrong)
              "too_low": by how much the outcome exceeds the score, which is 0 on average wherever the model is
              calibrated; "too_high": the other way round. Unlike the others these are no larger where rows are hard
    clusters: "day", or a key of the model: the rows that lean on each other
    """
    progress("reading rows", 0, 1)
    rows = scored_rows(records, model, number, as_of=as_of, since=since, until=until)
    return sliced(
        records, model, rows, find=find, order=order, loss=loss, clusters=clusters, effect=effect, level=level,
        seed=seed, progress=progress,
    )  # fmt: skip


def sliced(
    records: Records, model: Model, rows: ScoredRows, *, find: bool = True, order: int = 2, loss: str = "log_loss",
    clusters: str = DAY, effect: float = 0.0, level: float = 0.95, seed: int = 0,
    progress: Progress = lambda *_: None,
) -> SliceReport:  # fmt: skip
    """The same of rows that are scored already."""
    losses, labels = _losses(rows, loss), _clusters(model, rows.labelled, clusters)
    known = _known(records, model, rows.labelled, losses, labels, effect, level)
    found = None
    if find:
        found = find_slices(
            slicing_frame(model, rows.labelled), losses, labels, order=order, level=level, effect=effect, seed=seed,
            progress=progress,
        )  # fmt: skip
    return SliceReport(
        model.name, rows.version.number, rows.since, rows.until, rows.as_of, loss, clusters, rows.labelled.rows,
        float(losses.mean()), known, found,
    )  # fmt: skip


def slicing_frame(model: Model, rows: LabelledRows) -> pl.DataFrame:
    """What slices are made of: the features, and the entity keys."""
    names = dict.fromkeys([*(one.name for one in model.features), *model.features.keys])
    return rows.frame.select([name for name in names if name in rows.frame.columns])


def pin(records: Records, model: Model, name: str, predicate: Predicate, why: str) -> Pin:
    """Watch a slice from now on; `InputError` without a reason, for a name that is taken, or a feature there is not."""
    where = f"model {model.name!r}"
    if not why.strip():
        raise InputError("there is no reason", where=where, expected="why, in a sentence", fix='--why "..."')
    check_name(name, "slice", where=where)
    if name in pins(records, model) or name in {one.name for one in model.slices}:
        raise InputError(f"there is a slice {name!r} already", where=where, fix="choose another name, or unpin it")
    known = {*model.features.keys, *(one.name for one in model.features)}
    if not predicate.conditions or (unknown := sorted({*predicate.features} - known)):
        what = "the slice is every row" if not predicate.conditions else f"{unknown[0]!r} is no feature"
        raise InputError(what, where=where, expected=f"conditions on {', '.join(sorted(known))}")
    return _pin(_append(records, model, PINNED, {"name": name, "predicate": predicate.as_dict(), "why": why.strip()}))


def unpin(records: Records, model: Model, name: str, why: str) -> Pin:
    """Watch a slice no longer; `InputError` without a reason, or if it is not pinned. The ledger keeps what it was."""
    where = f"model {model.name!r}"
    if not why.strip():
        raise InputError("there is no reason", where=where, expected="why, in a sentence", fix='--why "..."')
    found = pins(records, model)
    if name not in found:
        there = ", ".join(found) or "none is"
        raise InputError(f"no slice {name!r} is pinned", where=where, expected=f"one that is: {there}")
    _append(records, model, UNPINNED, {"name": name, "why": why.strip(), "pinned": found[name].entry_id})
    return found[name]


def pins(records: Records, model: Model) -> dict[str, Pin]:
    """The slices that are watched, by name, the oldest first."""
    entries = [entry for kind in (PINNED, UNPINNED) for entry in records.ledger.entries(kind=kind, subject=model.name)]
    out: dict[str, Pin] = {}
    for entry in sorted(entries, key=lambda one: one.id):
        if entry.kind == PINNED:
            out[entry.body["name"]] = _pin(entry)
        else:
            out.pop(entry.body["name"], None)
    return out


def watched(records: Records, model: Model, rows: LabelledRows) -> Mapping[str, Bools | str]:
    """By declared or pinned slice which rows are in it, or why that can't be told: a feature that is gone."""
    frame = slicing_frame(model, rows)
    out: dict[str, Bools | str] = {one.name: _declared(one.expression, one.where, frame) for one in model.slices}
    for name, one in _pinned(records, model).items():
        try:
            out[name] = one.predicate.mask(frame)
        except InputError as error:
            out[name] = error.what
    return out


def _pinned(records: Records, model: Model) -> dict[str, Pin]:
    """The pins, by a name that no declared slice has: a slice that is declared after its pin replaces nothing."""
    declared = {one.name for one in model.slices}
    return {f"{name} (pinned)" if name in declared else name: one for name, one in pins(records, model).items()}


def _append(records: Records, model: Model, kind: str, body: dict[str, Any]) -> Entry:
    last = records.ledger.last(kind, model.name)
    try:
        return records.ledger.append(
            kind, model.name, body, at=records.clock.now(), actor=records.actor, expect=0 if last is None else last.id
        )
    except ConflictError as error:
        raise ConflictError(
            "somebody else was first", where=f"model {model.name!r}", fix="look again, then retry"
        ) from error


def _pin(entry: Entry) -> Pin:
    body = entry.body
    return Pin(
        entry.subject, body["name"], Predicate.of(body["predicate"]), body["why"], entry.actor, entry.at, entry.id
    )


def _declared(expression: pl.Expr, where: str, frame: pl.DataFrame) -> Bools:
    """Which rows it is true of, and the same whichever rows are beside them."""

    def told(rows: pl.DataFrame) -> pl.Series:
        try:
            column = rows.select(expression.alias("in")).to_series()
        except pl.exceptions.PolarsError as error:
            what = f"the expression can't be computed: {str(error).splitlines()[0]}"
            raise DefinitionError(what, where=where, expected="an expression over the features' types") from None
        if column.dtype != pl.Boolean:
            raise DefinitionError(f"the expression gives {column.dtype}", where=where, expected="true or false")
        return column

    whole, half = told(frame), frame.height // 2
    split = pl.concat([told(frame[:half]), told(frame[half:])]) if half else whole
    if not (whole.equals(split) and whole.equals(told(frame.reverse()).reverse())):
        raise DefinitionError(
            "the expression depends on other rows than its own", where=where, expected="a row-wise expression",
            fix="use only values of the same row",
        )  # fmt: skip
    return whole.fill_null(False).to_numpy()


def _known(
    records: Records, model: Model, rows: LabelledRows, losses: npt.NDArray[np.float64], labels: npt.NDArray[Any],
    effect: float, level: float,
) -> tuple[NamedSlice, ...]:  # fmt: skip
    there = watched(records, model, rows)
    if not there:
        return ()
    rules = {one.name: str(one.expression) for one in model.slices}
    rules |= {name: str(one.predicate) for name, one in _pinned(records, model).items()}
    declared = {one.name for one in model.slices}
    try:
        codes, _ = cluster_codes(labels, rows=rows.rows)
    except NotEnough as error:
        codes, there = None, dict.fromkeys(there, error.what)
    ready = Losses.of(losses, np.zeros(rows.rows, np.intp) if codes is None else codes)
    out = []
    for name, inside in there.items():
        if isinstance(inside, str):
            measured = Compared(0, 0, None, None, Insufficient(inside), None)
        else:
            measured = ready.compare(inside, level=level, effect=effect, least=Least())
        origin = "declared" if name in declared else "pinned"
        out.append(NamedSlice(name, origin, rules[name], measured, _verdict(measured, effect)))
    return tuple(out)


def _verdict(measured: Compared, effect: float) -> str:
    if isinstance(measured.difference, Insufficient):
        return "INSUFFICIENT"
    if measured.difference.low > effect:
        return "worse"
    return "not worse" if measured.difference.high <= effect else "cannot tell"


def _losses(rows: ScoredRows, loss: str) -> npt.NDArray[np.float64]:
    outcome = rows.labelled.outcome
    if loss == "log_loss":
        return log_losses(outcome, rows.score)
    if loss == "brier":
        return brier_losses(outcome, rows.score)
    if loss == "error":
        return np.where(as_outcome(outcome) == rows.decision, 0.0, 1.0)
    if loss in ("too_low", "too_high"):
        return (1.0 if loss == "too_low" else -1.0) * (outcome - rows.score)
    raise InputError(f"the loss is {loss!r}", where="loss", expected="log_loss, brier, error, too_low or too_high")


def _clusters(model: Model, rows: LabelledRows, clusters: str) -> npt.NDArray[Any]:
    if clusters == DAY:
        return rows.day
    if clusters not in model.keys:
        raise InputError(f"the clusters are {clusters!r}", where="clusters", expected=f"day, {', '.join(model.keys)}")
    return rows.frame.get_column(clusters).to_numpy()
