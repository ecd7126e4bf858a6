"""To OpenLineage: the training of a version as run events, a line of JSON each (specification 2-0-2).

The run reads the source tables at their versions, and writes the training set and the model. Which column of the
training set is made of which columns of the tables is told where the definitions are still those it was made of.
When a training began is not recorded: both of its events bear the time at which the version was registered.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from backstay.core.identity import canonical_json
from backstay.core.times import instant_text
from backstay.core.version import VERSION
from backstay.definitions.feature import Feature
from backstay.definitions.lineage import lineage
from backstay.lifecycle.about import About
from backstay.lifecycle.card import sources

EVENTS = "events.ndjson"
_LABEL = "label"
"""The label's column in every training set: a name that no feature can have."""
_PRODUCER = f"urn:backstay:{VERSION}"
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs"


def files(told: About) -> dict[str, bytes]:
    """The events as one file."""
    return {EVENTS: b"".join(canonical_json(event) + b"\n" for event in events(told))}


def events(told: About) -> list[dict[str, Any]]:
    """The start and the end of the training; what it read and wrote stands in both."""
    version = told.version
    identity = f"backstay:run:{told.project}/{version.model}/{version.number}:{version.digest}"
    run = {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, identity)), "facets": _run(told)}
    job_type = {"processingType": "BATCH", "integration": "BACKSTAY", "jobType": "TRAINING"}
    job = {
        "namespace": _namespace(told),
        "name": f"train/{version.model}",
        "facets": {"jobType": _facet("2-0-4/JobTypeJobFacet", **job_type)},
    }
    common = {
        "eventTime": instant_text(version.at), "producer": _PRODUCER, "schemaURL": f"{_EVENT}/RunEvent", "run": run,
        "job": job, "inputs": list(_inputs(told)), "outputs": [_training_set(told), _model(told)],
    }  # fmt: skip
    return [{**common, "eventType": kind} for kind in ("START", "COMPLETE")]


def _namespace(told: About) -> str:
    return f"backstay://{quote(told.project)}"


def _run(told: About) -> dict[str, Any]:
    """What the standard has no facet for, in one of our own."""
    manifest, version = told.manifest, told.version
    recorded = {
        "manifest": version.digest, "estimator": manifest.estimator, "parameters": manifest.parameters,
        "seed": told.seed, "featureSet": manifest.feature_set.hash, "commit": manifest.code.commit,
        "dirty": manifest.code.dirty, "lock": manifest.code.lock, "interpreter": manifest.code.interpreter,
        "packages": manifest.code.packages, "author": version.author,
    }  # fmt: skip
    return {"backstay_manifest": {"_producer": _PRODUCER, "_schemaURL": f"{_EVENT}/RunFacet", **recorded}}


def _inputs(told: About) -> Iterator[dict[str, Any]]:
    manifest = told.manifest
    read = [view["source"] for view in manifest.feature_set.definition["views"]] + [manifest.label["source"]]
    schemas = {source["name"]: source["schema"] for source in read}
    for one in sources(told):
        facets: dict[str, Any] = {}
        if one["version"] >= 0:
            facets["version"] = _version(str(one["version"]))
        if one["source"] in schemas:
            fields = [{"name": name, "type": kind} for name, kind in schemas[one["source"]].items()]
            facets["schema"] = _facet("1-2-0/SchemaDatasetFacet", fields=fields)
        if one["owner"]:
            owners = [{"name": one["owner"], "type": "OWNER"}]
            facets["ownership"] = _facet("1-0-1/OwnershipDatasetFacet", owners=owners)
        if one["description"]:
            facets["documentation"] = _facet("1-1-0/DocumentationDatasetFacet", description=one["description"])
        if one["seal"]:
            base = {"_producer": _PRODUCER, "_schemaURL": f"{_EVENT}/DatasetFacet"}
            facets["backstay_seal"] = {**base, "sha256": one["seal"]}
        yield {"namespace": _namespace(told), "name": f"events/{one['source']}", "facets": facets}


def _training_set(told: About) -> dict[str, Any]:
    manifest = told.manifest
    kinds = {name: dtype for name, _, dtype, *_ in manifest.feature_set.definition["features"]}
    fields = [{"name": name, "type": kinds[name]} for name in manifest.feature_set.vector]
    fields.append({"name": _LABEL, "type": "Boolean"})
    facets = {
        "schema": _facet("1-2-0/SchemaDatasetFacet", fields=fields),
        "version": _version(manifest.dataset.digest),
    }
    out: dict[str, Any] = {}
    if manifest.dataset.asked:  # of a version that was imported, it is not known
        out["outputStatistics"] = _facet("1-0-2/OutputStatisticsOutputDatasetFacet", rowCount=manifest.dataset.rows)
    if columns := _columns(told):
        facets["columnLineage"] = _facet("1-2-0/ColumnLineageDatasetFacet", fields=columns)
    return {
        "namespace": _namespace(told),
        "name": f"training_sets/{told.version.model}",
        "facets": facets,
        "outputFacets": out,
    }


def _model(told: About) -> dict[str, Any]:
    facets = {"version": _version(str(told.version.number))}
    if told.model.description:
        facets["documentation"] = _facet("1-1-0/DocumentationDatasetFacet", description=told.model.description)
    return {"namespace": _namespace(told), "name": f"models/{told.version.model}", "facets": facets}


def _columns(told: About) -> dict[str, Any]:
    """By column, the columns of tables that it is made of; those that only choose the rows are indirect."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    views, made = told.model.features.views, {one.name: one for one in told.model.features}

    def reached(feature: Feature) -> Iterator[tuple[str, str, str]]:
        keys = views[feature.view].entity.keys if feature.view >= 0 else ()
        for name, source in lineage(views, feature):
            if source is None:
                yield from reached(made[name])
            else:
                yield source.name, name, "INDIRECT" if name in keys else "DIRECT"

    if told.same_features:
        found = {name: list(dict.fromkeys(reached(made[name]))) for name in told.manifest.feature_set.vector}
    if told.same_label:
        label = told.model.label
        found[_LABEL] = [(label.source.name, label.key, "INDIRECT")]
        found[_LABEL] += [(label.source.name, name, "DIRECT") for name in dict.fromkeys(label.value.meta.root_names())]
    return {name: {"inputFields": [_field(told, *one) for one in read]} for name, read in found.items() if read}


def _field(told: About, source: str, column: str, kind: str) -> dict[str, Any]:
    return {
        "namespace": _namespace(told), "name": f"events/{source}", "field": column, "transformations": [{"type": kind}],
    }  # fmt: skip


def _version(name: str) -> dict[str, Any]:
    return _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=name)


def _facet(form: str, **values: Any) -> dict[str, Any]:
    """A facet of the standard: `form` is its version and name."""
    name = form.partition("/")[2]
    return {"_producer": _PRODUCER, "_schemaURL": f"{_SPEC}/facets/{form}.json#/$defs/{name}", **values}
