"""A version's shadow, from the prediction log: each of its records beside the prediction that was answered.

The pair is made by the id that the shadow's record has (`of`). Only pairs of one comparison are compared: of the
champion and the rules that the newest pair has. Whatever else there is (another champion before, another rule, another
share's answers, a row that the champion answered because a share failed) is left out, and counted.

Labels are joined by the rule that joins them everywhere: mature ones count, and no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Model
from backstay.features.labels import join_labels
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import LabelledRows
from backstay.lifecycle.slices import Bools, pins, watched
from backstay.registry.routing import Routing
from backstay.registry.versions import ModelVersion
from backstay.rollout.pairs import UNKNOWN, Pairs, Side, Tries
from backstay.rollout.shadow import Asked, ShadowComparison, compare_shadow
from backstay.storage.predictions import SHADOW, Prediction

EVERYBODY = ("champion", "baseline")
"""The routes by which the champion answers for itself."""
NO_SCORE = "it has no score"

Pair = tuple[Prediction, Prediction]
"""What was answered, and what the shadow said."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The pairs of one comparison; those without a score of the shadow's are `failed`. left_out: counted by why."""

    pairs: list[Pair]
    failed: list[Pair]
    left_out: dict[str, int]

    @property
    def answered(self) -> Prediction | None:
        return next((one for one, _ in (*self.pairs, *self.failed)), None)


def shadow_comparison(
    records: Records,
    model: Model,
    version: int | ModelVersion,
    *,
    since: int | None = None,
    until: int | None = None,
    as_of: int | None = None,
) -> ShadowComparison:
    """What a version said as a shadow, beside what was answered, to requests with T in [since, until).

    as_of: what had been asked by then, and the labels known by then; None: now

    Without a record of the shadow the comparison is empty: it has no row, and its check is INSUFFICIENT.
    """
    found = records.registry.get(model.name, version) if isinstance(version, int) else version
    moment = records.clock.now() if as_of is None else as_of
    sorted_ = _sorted(_paired(records, model, found, since, until, moment), found)
    scored, answered = sorted_.pairs, sorted_.answered
    outcome, labels = _labels(records, model, [one for one, _ in scored], moment)
    slices = _slices(records, model, [one for one, _ in scored])
    said = next((two for _, two in (*scored, *sorted_.failed)), None)
    against = None if answered is None else records.registry.by_digest(answered.version)
    asked = Asked(
        model.name, found.number, None if against is None else against.number, model.gate.metric, model.gate.level,
        model.gate.minimum_days,
        rules=("", "") if answered is None or said is None else (answered.rule, said.rule),
        thresholds=_thresholds(records, against, found, answered, said),
        since=since, until=until, as_of=moment,
    )  # fmt: skip
    pairs = Pairs(
        np.array([one.at for one, _ in scored], np.int64), _side([one for one, _ in scored]),
        _side([two for _, two in scored]), _entities(records, model, scored), outcome,
    )  # fmt: skip
    reasons = [two.error or NO_SCORE for _, two in sorted_.failed]
    return compare_shadow(
        pairs, asked, errors=reasons, slices=slices, labels=labels, left_out=sorted_.left_out,
        tries=_tries(records, model, sorted_),
    )  # fmt: skip


def shadowed(records: Records, version: ModelVersion) -> bool:
    """Whether a version was a shadow since it was registered: whether its route says so, at some time."""
    entries = records.ledger.entries(kind="route", subject=version.model)
    return any(one["shadow"] and one["manifest"] == version.digest for entry in entries for one in entry.body["parts"])


def _paired(
    records: Records, model: Model, version: ModelVersion, since: int | None, until: int | None, as_of: int
) -> Iterable[tuple[Prediction | None, Prediction]]:
    """Each record of the shadow, with what was answered, if that is in the log."""
    log = records.predictions
    said = [
        one
        for one in log.scan(model=model.name, since=since, until=until)
        if one.version == version.digest and one.route == SHADOW and one.at <= as_of
    ]
    wanted = {one.of for one in said if one.of}
    # A shadow's T is that of what was answered: the same span holds both.
    found = log.scan(model=model.name, since=since, until=until, ids=wanted) if wanted else ()
    answered = {one.id: one for one in found if one.route != SHADOW}
    # In an order that does not depend on ids, which are drawn: equal replays look at the same rows first.
    said.sort(key=lambda one: (one.at, str(sorted(one.keys.items(), key=lambda item: item[0]))))
    return [(answered.get(one.of), one) for one in said]


def _sorted(found: Iterable[tuple[Prediction | None, Prediction]], version: ModelVersion) -> _Sorted:
    """Each record into the comparison, or out of it with the reason."""
    left: Counter[str] = Counter()
    seen: set[str] = set()
    whole: list[Pair] = []
    for answered, said in found:
        if answered is None:
            left["not paired: what was answered is not in the log"] += 1
        elif said.of in seen:
            left["said twice"] += 1
        elif answered.route == "fallback":
            left["answered for a share that failed"] += 1
        elif answered.version == version.digest:
            left["answered by itself"] += 1
        elif not np.isfinite(answered.score):
            left["answered without a score"] += 1
        else:
            whole.append((answered, said))
        seen.add(said.of)
    mine = max(
        (pair for pair in whole if pair[0].route in EVERYBODY), key=lambda pair: (pair[1].served_at, pair[1].id),
        default=None,
    )  # fmt: skip
    pairs: list[Pair] = []
    failed: list[Pair] = []
    for answered, said in whole:
        if mine is None or answered.version != mine[0].version:
            left["answered by another version than the champion"] += 1
        elif answered.rule != mine[0].rule or said.rule != mine[1].rule:
            left["under another calibration or threshold"] += 1
        else:
            (pairs if np.isfinite(said.score) else failed).append((answered, said))
    return _Sorted(pairs, failed, dict(left))


def _side(some: list[Prediction]) -> Side:
    return Side(
        np.array([one.score for one in some], np.float64),
        np.array([one.decision != (one.chance < 0.5) for one in some], np.bool_),  # as it was before the lot turned it
        np.array([one.took for one in some], np.int64), np.array([one.served_at for one in some], np.int64),
    )  # fmt: skip


def _moment(shown: Prediction) -> int:
    """When the batch of a shadow's row was; a replay has no batches of its own but those of its questions."""
    return shown.at if shown.replayed else shown.served_at


def _tries(records: Records, model: Model, found: _Sorted) -> Tries:
    """All rows that it was shown, as it was shown them."""
    rows = sorted((*found.pairs, *found.failed), key=lambda pair: (_moment(pair[1]), str(pair[1].keys)))
    return Tries(
        np.array([not np.isfinite(two.score) for _, two in rows], np.bool_),
        np.array([_moment(two) for _, two in rows], np.int64), _entities(records, model, rows),
    )  # fmt: skip


def _entities(records: Records, model: Model, pairs: list[Pair]) -> npt.NDArray[np.int64] | None:
    """A number for each row's entity, by the keys that the route tells entities apart by; None where rows have none."""
    route = Routing(records.ledger, records.registry).get(model.name)
    names = model.keys if route is None else route.key
    numbers: dict[tuple[object, ...], int] = {}
    out = np.empty(len(pairs), np.int64)
    for place, (one, _) in enumerate(pairs):
        entity = tuple(one.keys.get(name) for name in names)
        # Rows without a key are nobody's: each stands for itself.
        entity = (None, place) if all(value is None for value in entity) else entity
        out[place] = numbers.setdefault(entity, len(numbers))
    return out if len(numbers) < len(pairs) else None


def _labels(
    records: Records, model: Model, answered: list[Prediction], as_of: int
) -> tuple[npt.NDArray[np.int8], dict[str, int]]:
    """The outcome of each row as of a moment, and how many have none, by why."""
    outcome = np.full(len(answered), UNKNOWN, np.int8)
    key = model.label.key
    places = [place for place, one in enumerate(answered) if one.keys.get(key) is not None]
    left = {"without the label's key": len(answered) - len(places)}
    if not places:
        return outcome, {name: count for name, count in left.items() if count}
    asked = pl.DataFrame(
        {
            "at": pl.Series([answered[place].at for place in places], dtype=pl.Int64),
            key: pl.Series([answered[place].keys[key] for place in places], dtype=model.label.source.schema[key]),
        }
    )
    joined = join_labels(asked, model.label, records.events, as_of=as_of)
    void, mature = joined.get_column("void").to_numpy(), joined.get_column("mature").to_numpy()
    label = joined.get_column("label")
    usable = mature & label.is_not_null().to_numpy()
    outcome[np.array(places)[usable]] = label.cast(pl.Int8).filter(pl.Series(usable)).to_numpy()
    left |= {
        "not mature": int((~mature & ~void).sum()), "void": int(void.sum()),
        "without an outcome": int((mature & ~void & ~usable).sum()),
    }  # fmt: skip
    return outcome, {name: count for name, count in left.items() if count}


def _slices(records: Records, model: Model, answered: list[Prediction]) -> Mapping[str, Bools | str]:
    """Which rows are in the declared and pinned slices, by the features that were served."""
    if not answered:
        return {}
    if any(one.feature_set != model.features.hash for one in answered):
        why = "some rows were served from another definition of the features"
        return dict.fromkeys([*(one.name for one in model.slices), *pins(records, model)], why)
    columns: dict[str, pl.Series] = {}
    for place, feature in enumerate(model.features):
        # Whoever brought the inputs itself brought numbers, also where a feature is true or false.
        values = pl.Series(feature.name, [one.values[place] for one in answered], strict=False)
        columns[feature.name] = values.cast(feature.dtype, strict=False)
    for name in model.features.keys:
        columns.setdefault(name, pl.Series([one.keys.get(name) for one in answered], strict=False))
    rows = LabelledRows(pl.DataFrame(columns), np.zeros((0, 0), np.float32), np.zeros(0, np.int8), len(answered), 0, 0)
    return watched(records, model, rows)


def _thresholds(
    records: Records, against: ModelVersion | None, version: ModelVersion, answered: Prediction | None,
    said: Prediction | None,
) -> tuple[float, float] | None:  # fmt: skip
    """From which score on both decide `true`, by the rules that they answered by."""
    if against is None or answered is None or said is None:
        return None
    return records.rule(against, answered.rule).threshold, records.rule(version, said.rule).threshold
