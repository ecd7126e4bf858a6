"""The API described as an OpenAPI 3.1 document, made from the project's definitions.

Every model, feature set and source stands in it by its name, each key and field with its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from backstay.core.version import VERSION
from backstay.definitions import EventSource, Feature, FeatureSet, Model
from backstay.serving.lookups import Lookups
from backstay.serving.push import Push
from backstay.serving.routes import Route
from backstay.serving.v2.contract import MATRIX, OUTPUTS
from backstay.serving.v2.tensors import BYTES, NUMBERS
from backstay.storage.predictions import STATUSES

_TEXT = "Predictions by key and by the Open Inference Protocol, features, and pushed events of one project."
_STATUSES = {"type": "object", "additionalProperties": {"enum": list(STATUSES)}}
_REASONS = {
    400: "what was asked is wrong",
    401: "the token is missing or wrong",
    403: "the principal lacks the role",
    404: "nothing of this name",
    413: "the body is too large",
    415: "the body's coding is not read",
    422: "the version that answers has no score for a row: error says why",
    429: "more is asked than can be answered in time: retry after the header Retry-After",
    500: "a defect",
    503: "no champion, or a store that fails",
    504: "the deadline has passed",
}
_WAIT = {
    "name": "x-request-timeout-ms", "in": "header", "required": False, "schema": {"type": "number", "minimum": 0},
    "description": "how long the client waits, in milliseconds; an answer that would come later is 504",
}  # fmt: skip

_VERSION = {
    "name": "version", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1},
    "description": "the one that serves; any other is 404",
}  # fmt: skip
_JSON_LENGTH: dict[str, Any] = {
    "name": "Inference-Header-Content-Length", "schema": {"type": "integer", "minimum": 0},
    "description": "how long the JSON is, where raw bytes of tensors follow it",
}  # fmt: skip
_BINARY: dict[str, Any] = {"application/octet-stream": {}}
"""The JSON, and behind it raw bytes of tensors."""


def document(routes: Mapping[str, Route], lookups: Mapping[str, Lookups], pushes: Mapping[str, Push]) -> dict[str, Any]:
    """The document, as plain data."""
    paths = _of_server()
    for name, route in routes.items():
        paths |= _of_model(name, route.model)
    for name, one in lookups.items():
        paths[f"/v1/features/{name}"] = {"post": _lookup(name, one.features)}
    for name, push in pushes.items():
        paths[f"/v1/sources/{name}/events"] = {"post": _push(name, push.source)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Backstay", "version": VERSION, "description": _TEXT},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _object({name: {"type": "string"} for name in ("error", "field", "expected", "fix")})},
        },
    }


def _of_server() -> dict[str, Any]:
    truth = {"type": "boolean"}
    health = {"summary": "Health", "security": [], "tags": ["server"]}
    text = {"200": {"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {
        "/v2/health/live": {"get": _answers({**health}, _object({"live": truth}))},
        "/v2/health/ready": {"get": _answers({**health}, _object({"ready": truth}), 503)},
        "/v2": {"get": _answers({"summary": "The server", "tags": ["server"]}, {"type": "object"}, 401)},
        "/metrics": {"get": {"summary": "Metrics", "tags": ["server"], "responses": text | _refusals(401)}},
        "/openapi.json": {"get": _answers({"summary": "This document", "tags": ["server"]}, {"type": "object"}, 401)},
    }


def _of_model(name: str, model: Model) -> dict[str, Any]:
    tags = {"tags": [f"model {name}"]}
    reads, anything = (401, 403, 404, 503), {"type": "object"}
    ready = _object({"name": {"const": name}, "ready": {"const": True}})
    paths: dict[str, Any] = {
        f"/v1/models/{name}": {"get": _answers({"summary": "Which version serves", **tags}, anything, *reads)},
        f"/v1/models/{name}/predict": {"post": _predict(model) | tags},
    }
    for place, more in (
        (f"/v2/models/{name}", {}),
        (f"/v2/models/{name}/versions/{{version}}", {"parameters": [_VERSION]}),
    ):
        paths[place] = more | {"get": _answers({"summary": "Metadata", **tags}, anything, *reads)}
        paths[f"{place}/ready"] = more | {"get": _answers({"summary": "Whether it is served", **tags}, ready, *reads)}
        paths[f"{place}/infer"] = more | {"post": _infer(model) | tags}
    return paths


def _predict(model: Model) -> dict[str, Any]:
    kinds = {model.label.key: model.ask.source.schema[model.label.key]} | _entity_keys(model.features)
    row = _row({name: kinds[name] for name in model.keys}, model.features.requests)
    told = {
        "prediction_id": {"type": "string"},
        "score": {"type": "number"},
        "decision": {"type": "boolean"},
        "statuses": _STATUSES,
    }
    shared = {"model": {"const": model.name}, "version": {"type": "integer"}, "at": {"type": "integer"}}
    # Where a route gave the rows to several versions, each row names its own.
    row_told = _object(told)
    row_told["properties"] = {**told, "version": {"type": "integer"}}
    version = {"version": {"type": ["integer", "null"]}}
    one, many = _object(shared | told), _object(shared | version | {"rows": {"type": "array", "items": row_told}})
    for answer in (one, many):
        answer["properties"] |= {"degraded": {"enum": ["last_known", "defaults"]}}
    return _post(
        "Predict from keys and fields, one row or many",
        {"oneOf": [row, _object({"rows": {"type": "array", "items": row}})]},
        {"oneOf": [one, many]},
    )


def _infer(model: Model) -> dict[str, Any]:
    size = {"type": "array", "items": {"type": "integer", "minimum": 0}}
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"enum": [MATRIX, *model.features.vector, *model.keys]},
            "shape": size,
            "datatype": {"enum": [*NUMBERS, BYTES]},
            "data": {"type": "array", "description": "flat, row behind row, or nested as the shape is"},
            "parameters": _parameters("binary_data_size", {"type": "integer", "minimum": 0}),
        },
        "anyOf": [
            {"required": ["data"]},
            {"required": ["parameters"], "properties": {"parameters": {"required": ["binary_data_size"]}}},
        ],
    }
    output = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"enum": list(OUTPUTS)},
            "parameters": _parameters("binary_data", {"type": "boolean"}),
        },
    }
    request = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": output},
            "parameters": _parameters("binary_data_output", {"type": "boolean"}),
        },
    }
    answer = {"type": "object", "required": ["model_name", "model_version", "outputs"]}
    told = _post("Predict from the model's inputs (Open Inference Protocol)", request, answer)
    told["parameters"].append({**_JSON_LENGTH, "in": "header"})
    told["requestBody"]["content"] |= _BINARY
    told["responses"]["200"]["content"] |= _BINARY
    told["responses"]["200"]["headers"] = {_JSON_LENGTH["name"]: {"schema": _JSON_LENGTH["schema"]}}
    return told


def _parameters(name: str, kind: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: kind}}


def _lookup(name: str, features: FeatureSet) -> dict[str, Any]:
    row = _row(_entity_keys(features), features.requests)
    answer = {"type": "object", "required": ["feature_set", "hash", "at", "rows"]}
    told = _post("Look features up", _object({"rows": {"type": "array", "items": row}}), answer)
    return told | {"tags": [f"feature set {name}"]}


def _push(name: str, source: EventSource) -> dict[str, Any]:
    event = _object({"event_time": _type(pl.Datetime())} | {k: _nullable(_type(v)) for k, v in source.schema.items()})
    answer = {"type": "object", "required": ["accepted", "sequence"]}
    told = _post("Push events", _object({"events": {"type": "array", "items": event}}), answer)
    hidden = answer | {"required": [*answer["required"], "visible", "why", "fix"]}
    later = "recorded, and visible online later: not to be sent again"
    told["responses"]["202"] = {"description": later, "content": {"application/json": {"schema": hidden}}}
    return told | {"tags": [f"source {name}"]}


def _entity_keys(features: FeatureSet) -> dict[str, pl.DataType]:
    kinds = {key: view.source.schema[key] for view in features.views for key in view.entity.keys}
    return {name: kinds[name] for name in features.keys}


def _row(keys: Mapping[str, pl.DataType], fields: Iterable[Feature]) -> dict[str, Any]:
    given = {one.name: _nullable(_type(one.dtype)) if one.optional else _type(one.dtype) for one in fields}
    return _object({"keys": _object({name: _nullable(_type(kind)) for name, kind in keys.items()}),
                    "fields": _object(given)})  # fmt: skip


def _type(kind: pl.DataType) -> dict[str, Any]:
    if isinstance(kind, pl.Datetime):
        return {"type": "string", "format": "date-time"}
    types: dict[str, dict[str, Any]] = {
        "Float64": {"type": "number", "minimum": -1e308, "maximum": 1e308},
        "Int64": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        "Boolean": {"type": "boolean"},
        "String": {"type": "string"},
    }
    return types[str(kind)]


def _nullable(kind: dict[str, Any]) -> dict[str, Any]:
    return {**kind, "type": [kind["type"], "null"]}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _post(summary: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": request}}}
    told = {"summary": summary, "parameters": [_WAIT], "requestBody": body}
    return _answers(told, answer, *_REASONS)


def _answers(operation: dict[str, Any], schema: dict[str, Any], *refusals: int) -> dict[str, Any]:
    fine = {"200": {"description": "answered", "content": {"application/json": {"schema": schema}}}}
    return operation | {"responses": fine | _refusals(*refusals)}


def _refusals(*statuses: int) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": _REASONS[status], "content": error} for status in statuses}
