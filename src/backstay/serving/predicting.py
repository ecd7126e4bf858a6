"""Predictions over HTTP in three steps, whatever brings the request: it is let in, begun, and told.

Each of them returns at once; what lies between the second and the third is the batcher's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from backstay.definitions import FeatureSet
from backstay.serving.desk import Desk
from backstay.serving.job import Asking
from backstay.serving.v2 import rest
from backstay.serving.wire import JSON, Answer, Request, encode
from backstay.storage.predictions import STATUSES

Tell = Callable[[], Answer]
_BINARY = (b"content-type", b"application/octet-stream")


class Predicting(ABC):
    """One endpoint of one model."""

    endpoint: str
    path: str
    """with names for what differs between requests"""

    def __init__(self, desk: Desk, model: str, version: str = "") -> None:
        self.desk, self.model, self.version = desk, model, version

    def admit(self, request: Request) -> None:
        """Let a request in, before its body is looked at. Raises `Refusal` or `AccessError` if it may not come in."""
        desk = self.desk
        request.endpoint, request.tally = self.endpoint, desk.metrics.tallies.get(self.model)
        if desk.traces is not None:
            request.trace = desk.traces.asked(request, self.path, model=self.model)
        route = desk.route(request.principal, self.model)
        if self.version:
            route.version(self.version)
        desk.limiter.admit()

    @abstractmethod
    def begin(self, request: Request, data: bytes) -> tuple[Asking, Tell]:
        """A job for the desk, and what tells its answer once it has one. Raises `InputError` for a wrong body."""

    def _parsed(self, request: Request, job: Asking) -> None:
        self.desk.metrics.observe("parse", job.begun - request.begun)


class ByKey(Predicting):
    """From entity keys and request fields, of one row or of many."""

    endpoint, path = "predict", "/v1/models/{model}/predict"

    def begin(self, request: Request, data: bytes) -> tuple[Asking, Tell]:
        job, many = self.desk.by_key(self.model, data, request.deadline, request.client)
        if request.trace is not None:
            request.trace.follow(job)
        return job, partial(self._told, request, job, many)

    def _told(self, request: Request, job: Asking, many: bool) -> Answer:
        self._parsed(request, job)
        return Answer(encode(_told(job, many)), [JSON])


class ByInputs(Predicting):
    """From the model's inputs, by the Open Inference Protocol; `version` is a version's number, or empty."""

    endpoint = "infer"

    def __init__(self, desk: Desk, model: str, version: str = "") -> None:
        super().__init__(desk, model, version)
        self.path = f"/v2/models/{{model}}{'/versions/{version}' if version else ''}/infer"

    def begin(self, request: Request, data: bytes) -> tuple[Asking, Tell]:
        desk, name = self.desk, self.model
        asked = rest.read(data, request.json_length(), desk.parts.contracts[name])
        deadline = request.deadline if asked.wait == inf else min(request.deadline, request.begun + asked.wait)
        job = desk.by_inputs(name, asked.given, deadline, request.client, version=self.version, request_id=asked.id)
        if request.trace is not None:
            request.trace.follow(job)
        return job, partial(self._told, request, job, asked)

    def _told(self, request: Request, job: Asking, asked: rest.Inference) -> Answer:
        self._parsed(request, job)
        assert job.answer is not None
        body, length = rest.written(self.model, job.version, asked, job.answer)
        if length is None:
            return Answer(body, [JSON])
        return Answer(body, [_BINARY, (b"inference-header-content-length", str(length).encode())])


def _told(job: Asking, many: bool) -> dict[str, Any]:
    """The answer to a request by key, for JSON."""
    served, answer = job.choice.served, job.answer
    model, version, features = served.model.name, job.version, served.model.features
    marked = {"degraded": answer.degraded} if answer is not None and answer.degraded else {}
    if not many:
        assert answer is not None
        return {
            "prediction_id": answer.ids[0], "model": model, "version": version, "score": answer.scores[0],
            "decision": answer.decisions[0], "at": job.at, "statuses": _statuses(features, answer.statuses[0]),
            **marked,
        }  # fmt: skip
    rows = (
        [] if answer is None else list(zip(answer.ids, answer.scores, answer.decisions, answer.statuses, strict=True))
    )
    told = [
        {"prediction_id": one, "score": score, "decision": decision, "statuses": _statuses(features, status)}
        for one, score, decision, status in rows
    ]
    if version is None and answer is not None:  # the rows fell to several versions: each names its own
        told = [{**one, "version": number} for one, number in zip(told, answer.versions, strict=True)]
    return {"model": model, "version": version, "at": job.at, "rows": told, **marked}


def _statuses(features: FeatureSet, codes: bytes) -> dict[str, str]:
    """The features that are not OK, by name."""
    if not any(codes):  # almost always
        return {}
    return {one.name: STATUSES[code] for one, code in zip(features, codes, strict=True) if code}
