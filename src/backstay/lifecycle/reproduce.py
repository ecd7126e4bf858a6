"""Making a version again from its manifest, and saying what is the same and what is not.

The training set is read from the events as they stood (`EventsUpto`), as known at the manifest's moment; the model is
fitted anew with the manifest's seed; and what comes of it is held against what was registered: digest by digest, and
score by score on the version's own sample of its training rows.

    exact       dataset and model have the digests that were recorded
    equivalent  the dataset has; the model's files differ, and its scores by no more than their tolerance
    different   anything else

What was made of other code, packages or parameters is told beside it: it is the first place to look, and no reason by
itself. A version that was trained on rows changed by hand (a drill's planted fault) cannot be made again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import BackstayError
from backstay.core.identity import digest_of, sha256
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.features.trainingset import TrainingSet, training_set
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE, REFERENCES, training_files
from backstay.registry.environment import Environment
from backstay.registry.manifest import DIFF, Manifest
from backstay.registry.versions import ModelVersion
from backstay.runtimes import load
from backstay.storage.digest import frame_digest
from backstay.storage.ports import Entry
from backstay.storage.upto import EventsUpto
from backstay.training.fit import TOLERANCE, Fitted, fit

REPRODUCTION = "reproduction"
"""The ledger's kind of entry for making a version again; its subject is `model/number`."""


class Outcome(StrEnum):
    EXACT = "exact"
    EQUIVALENT = "equivalent"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing, as it was recorded and as it came out now. Texts are short: digests by their first twelve digits."""

    name: str
    recorded: str
    found: str
    same: bool

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "recorded": self.recorded, "found": self.found, "same": self.same}


@dataclass(frozen=True, slots=True)
class Reproduction(Shown):
    """What came of making a version again.

    environment: what it was made with, and what is here; what differs may be why the rest does
    made:        the dataset and the model
    difference:  the largest of a score of the version's sample, from the recorded model's; None if it was not fitted
    why:         what kept it from being made again, if anything did
    """

    model: str
    number: int
    outcome: Outcome
    environment: tuple[Compared, ...]
    made: tuple[Compared, ...]
    difference: float | None
    rows: int
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "number": self.number, "outcome": self.outcome.value,
            "environment": [one.as_dict() for one in self.environment], "made": [one.as_dict() for one in self.made],
            "difference": self.difference, "rows": self.rows, "why": self.why,
        }  # fmt: skip


def reproduce(records: Records, model: Model, number: int, environment: Environment) -> Reproduction:
    """Make a version again, with the definitions and packages that are here. Nothing is registered."""
    version = records.registry.get(model.name, number)
    manifest = version.manifest
    around = [*_environment(manifest, environment), *_definitions(manifest, model)]
    if not all(one.same for one in around if one.name in ("feature set", "label")):
        why = "the definitions are not those it was made of: check out the commit of the version"
        return Reproduction(model.name, number, Outcome.DIFFERENT, tuple(around), (), None, 0, why)
    try:
        data = dataset_of(records, model, manifest)
        made = [*_dataset(manifest, data)]
        fitted = fit(model, data, manifest.seed, parameters=manifest.tuned)
    except BackstayError as error:
        return Reproduction(model.name, number, Outcome.DIFFERENT, tuple(around), (), None, 0, str(error))
    around += _parameters(manifest, fitted)
    made += _files(model, manifest, fitted, data)
    difference, rows = _scores(records, model, version, fitted)
    if all(one.same for one in made):
        outcome = Outcome.EXACT
    elif made[0].same and difference <= max(manifest.scorer.tolerance, TOLERANCE):
        outcome = Outcome.EQUIVALENT
    else:
        outcome = Outcome.DIFFERENT
    return Reproduction(model.name, number, outcome, tuple(around), tuple(made), difference, rows)


def dataset_of(records: Records, model: Model, manifest: Manifest) -> TrainingSet:
    """The training set of a version, made again from the events as they stood."""
    asked = manifest.dataset
    events = EventsUpto(records.events, asked.sources)
    data = training_set(model, events, as_of=asked.as_of, since=asked.since)
    return data.before(manifest.cutoff, model.label.maturity) if manifest.cutoff < asked.as_of else data


def record_reproduction(records: Records, version: ModelVersion, outcome: str, why: str) -> Entry:
    """Write down what came of making a version again."""
    body = {"manifest": version.digest, "outcome": outcome, "why": why}
    subject = f"{version.model}/{version.number}"
    return records.ledger.append(REPRODUCTION, subject, body, at=records.clock.now(), actor=records.actor)


def _environment(manifest: Manifest, environment: Environment) -> list[Compared]:
    then, now = manifest.code, environment.code
    out = [
        _compared("commit", then.commit, now.commit),
        _compared("uncommitted changes", then.dirty, now.dirty),
        _compared("lock file", then.lock, now.lock),
        _compared("interpreter", then.interpreter, now.interpreter, short=False),
    ]
    names = dict.fromkeys([*then.packages, *now.packages])
    return out + [_compared(name, then.packages.get(name), now.packages.get(name), short=False) for name in names]


def _definitions(manifest: Manifest, model: Model) -> list[Compared]:
    return [
        _compared("feature set", manifest.feature_set.hash, model.features.hash),
        _compared("label", digest_of(manifest.label), digest_of(model.label.canonical())),
    ]


def _dataset(manifest: Manifest, data: TrainingSet) -> list[Compared]:
    recorded = manifest.dataset
    return [
        _compared("dataset", recorded.digest, frame_digest(data.frame)),
        _compared("rows", f"{recorded.rows:,}", f"{data.rows:,}", short=False),
    ]


def _parameters(manifest: Manifest, fitted: Fitted) -> list[Compared]:
    then, now = manifest.parameters, fitted.parameters
    out = [_compared("estimator", manifest.estimator, fitted.estimator, short=False)]
    changed = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return out + [_compared(name, repr(then.get(name)), repr(now.get(name)), short=False) for name in changed]


def _files(model: Model, manifest: Manifest, fitted: Fitted, data: TrainingSet) -> list[Compared]:
    """The files that training writes; the diff of the code is the environment's."""
    found = {**fitted.files, **training_files(model, data)}
    known = {DIFF} if REFERENCES in manifest.files else {DIFF, REFERENCES}  # versions from before have none
    names = [name for name in dict.fromkeys([*manifest.files, *found]) if name not in known]
    return [_compared(name, manifest.files.get(name), sha256(found[name]) if name in found else None) for name in names]


def _scores(records: Records, model: Model, version: ModelVersion, fitted: Fitted) -> tuple[float, int]:
    """The largest difference of a score between the recorded model and the one made now, over the version's sample."""
    rows: npt.NDArray[np.float32] = np.load(io.BytesIO(records.registry.file(version, REFERENCE)), allow_pickle=False)
    recorded = records.scorer(model, version)
    made = load(model, model.runtime, fitted.files.__getitem__)
    difference = float(np.abs(recorded.score(rows) - made.score(rows)).max(initial=0.0))
    recorded.close()
    made.close()
    return difference, len(rows)


def _compared(name: str, recorded: str | None, found: str | None, *, short: bool = True) -> Compared:
    then, now = (("none" if one is None else one[:12] if short else one) for one in (recorded, found))
    return Compared(name, then, now, recorded == found)
