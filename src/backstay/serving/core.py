"""The request core: a batch of parsed requests in, logged predictions out. It knows no transport and no loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from backstay.core.clock import Clock
from backstay.core.errors import IntegrityError
from backstay.core.identity import new_id
from backstay.definitions import Model
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.views import Status
from backstay.registry.versions import ModelVersion
from backstay.runtimes.scorer import Scorer
from backstay.storage.ports import PredictionLog
from backstay.storage.predictions import Prediction


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded version of a model: everything that a request needs, immutable."""

    model: Model
    version: ModelVersion
    scorer: Scorer
    lookup: OnlineLookup
    threshold: float


def honoured(model: Model, version: ModelVersion) -> None:
    """Refuse a version that was trained on other feature definitions than this server computes."""
    trained = version.manifest.feature_set.hash
    if trained != model.features.hash:
        raise IntegrityError(
            f"version {version.number} of model {model.name!r} was trained on feature set {trained[:12]}",
            where=f"feature set {model.features.name!r}",
            expected=f"the feature set defined here, {model.features.hash[:12]}",
            fix="restore the definitions it was trained with, or train a new version",
        )


class Core:
    """Predicts, and writes each prediction down before it is answered."""

    def __init__(self, log: PredictionLog, clock: Clock, *, replay: bool) -> None:
        self._log, self._clock, self._replay = log, clock, replay
        self._status_names = [status.name for status in Status]

    def predict(
        self, served: ServedModel, route: str, asked: Sequence[Asked]
    ) -> tuple[list[dict[str, Any]], Future[None] | None]:
        """Answers in the order asked, and what must be done before they are given (None: nothing, they are written)."""
        found = served.lookup.lookup(asked)
        scores = served.scorer.score(found.rows.vector()).tolist()
        values = found.rows.values()
        now = self._clock.now()
        names = [feature.name for feature in served.model.features]
        records, answers = [], []
        for one, row, status, score in zip(asked, values, found.rows.statuses, scores, strict=True):
            record = Prediction(
                id=new_id(),
                at=one.at,
                served_at=now,
                model=served.model.name,
                version=served.version.digest,
                route=route,
                propensity=1.0,
                feature_set=served.model.features.hash,
                keys=dict(one.keys),
                fields=dict(one.fields),
                watermark=found.watermark,
                values=row,
                statuses=status.tobytes(),
                score=score,
                decision=score >= served.threshold,
                replayed=self._replay,
            )
            records.append(record)
            answers.append(self._answer(record, served.version.number, names))
        return answers, self._log.submit(records)

    def _answer(self, record: Prediction, number: int, names: Sequence[str]) -> dict[str, Any]:
        statuses: Mapping[str, str] = {
            name: self._status_names[status] for name, status in zip(names, record.statuses, strict=True) if status
        }
        return {
            "prediction_id": record.id,
            "model": record.model,
            "version": number,
            "score": record.score,
            "decision": record.decision,
            "at": record.at,
            "statuses": statuses,
        }
