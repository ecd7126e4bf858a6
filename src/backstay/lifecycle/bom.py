"""The bill of materials of a version: CycloneDX 1.6, as JSON (ECMA-424, with its model card for machine learning).

The subject is the model; its files are inside it, each with its SHA-256. The training set, the tables that it was read
from, the interpreter and the packages are components beside it, and the graph says what rests on what.

One record gives one document, byte for byte: its serial number is made of the manifest's digest, its version counts
what the ledger says about the model's version, and its time is that of the last such entry. Packages are those that the
manifest names, and with the lock file at hand all that it holds, with the digests that it allows.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from backstay.core.identity import canonical_json
from backstay.core.times import instant_text
from backstay.core.version import VERSION
from backstay.lifecycle.about import About
from backstay.lifecycle.card import answer, features, rival, sources
from backstay.registry.locks import Locked

SPEC = "1.6"
_DATASET = "data:training-set"


def bom(told: About, packages: Sequence[Locked] = ()) -> dict[str, Any]:
    """The document. `packages`: those of the lock file that the manifest names, where it is at hand."""
    version = told.version
    subject, libraries = _model(told), list(_libraries(told, packages))
    tables = [_table(one) for one in sources(told)]
    platform = _platform(told.manifest.code.interpreter)
    used = [_DATASET, platform["bom-ref"], *(one["bom-ref"] for one in libraries)]
    tool = {"type": "application", "name": "backstay", "version": VERSION}
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"backstay:manifest:{version.digest}").urn,
        "version": told.entries,
        "metadata": {
            "timestamp": instant_text(told.last),
            "tools": {"components": [tool]},
            "component": subject,
        },
        "components": [_dataset(told), *tables, platform, *libraries],
        "dependencies": [
            {"ref": subject["bom-ref"], "dependsOn": used},
            {"ref": _DATASET, "dependsOn": [one["bom-ref"] for one in tables]},
            *({"ref": one["bom-ref"]} for one in (*tables, platform, *libraries)),
        ],
        # Without the lock there are more packages than are named here; with it, what needs what is not known.
        "compositions": [
            {"aggregate": "unknown" if packages else "incomplete", "dependencies": [subject["bom-ref"]]},
        ],
    }


def _model(told: About) -> dict[str, Any]:
    version, manifest = told.version, told.manifest
    files = [
        {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": [_sha256(digest)]}
        for name, digest in sorted(manifest.files.items())
    ]
    made: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{version.model}/{version.number}",
        "group": told.project,
        "name": version.model,
        "version": str(version.number),
        "authors": [{"name": version.author}],
    }
    if told.model.description:
        made["description"] = told.model.description
    return {**made, "components": files, "modelCard": _card(told), "properties": list(_recorded(told))}


def _card(told: About) -> dict[str, Any]:
    manifest = told.manifest
    label = manifest.label["name"]
    kinds = {one["feature"]: one for one in features(told)}
    inputs = [{"format": f"{name}: float32, of {kinds[name]['type']}"} for name in manifest.feature_set.vector]
    considerations: dict[str, Any] = {"technicalLimitations": told.limits}
    if told.model.description:
        considerations["useCases"] = [told.model.description]
    if risks := list(_risks(told)):
        considerations["ethicalConsiderations"] = risks
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "binary classification",
            "modelArchitecture": manifest.estimator,
            "datasets": [{"ref": _DATASET}],
            "inputs": inputs,
            "outputs": [{"format": f"probability of {label}: float64; {answer(told)}"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(told))},
        "considerations": considerations,
    }


def _metrics(told: About) -> Iterator[dict[str, Any]]:
    """What each gate measured: the gain with its interval, and the metric on its own."""
    for gate in told.gates:
        where = f"rows asked from {gate['start'][:10]} to {gate['end'][:10]}, ledger entry {gate['entry']}"
        if gate["project"] is not None:
            where += f" of {gate['project']}"
        for one in gate["compared"]:
            gain = one["gain"]
            yield {
                "type": f"{one['metric']} gain over {rival(gate)} ({gain['level']:.0%} interval)",
                "value": repr(gain["estimate"]),
                "slice": where,
                "confidenceInterval": {"lowerBound": repr(gain["low"]), "upperBound": repr(gain["high"])},
            }
            yield {"type": one["metric"], "value": repr(one["candidate"]), "slice": where}
    for name, value in sorted(told.manifest.metrics.items()):
        yield {"type": name, "value": _value(value), "slice": "recorded when it was trained"}


def _risks(told: About) -> Iterator[dict[str, Any]]:
    made = told.manifest.feature_set
    for tag in made.tags:
        yield {"name": f"made of data with the tag {tag}"}
    for feature, reasons in made.untagged.items():
        for tag, why in reasons.items():
            yield {"name": f"feature {feature} is made of data with the tag {tag}", "mitigationStrategy": why}


def _recorded(told: About) -> Iterator[dict[str, str]]:
    """What the standard has no field for, in names of our own."""
    manifest, version = told.manifest, told.version
    code, scoring = manifest.code, manifest.scorer
    values: dict[str, Any] = {
        "manifest": version.digest, "registered": instant_text(version.at), "cutoff": instant_text(manifest.cutoff),
        "seed": told.seed, "base_rate": told.base_rate, "threshold": told.rule.threshold,
        "rule": told.rule.name or None,
        "feature_set": manifest.feature_set.hash, "label": manifest.label["name"], "note": manifest.note or None,
        "runtime": scoring.format, "runtime.rows": scoring.rows,
        "runtime.max_difference": scoring.max_difference if scoring.rows else None,
        "runtime.can_hold_code": scoring.code, "code.commit": code.commit, "code.dirty": code.dirty,
        "code.lock": code.lock, "stakes": told.model.stakes, "champion": told.champion,
        "gate": told.gates[-1]["verdict"] if told.gates else None,
        "origin": None if version.origin is None else f"{version.origin['project']}/{version.origin['number']}",
        **{f"parameter.{name}": value for name, value in sorted(manifest.parameters.items())},
    }  # fmt: skip
    for one in told.approvals:
        yield _property("approval", f"{one['decision']} by {one['by']} at {one['at']}: {one['why']}")
    for name, value in values.items():
        if value is not None:
            yield _property(name, value)


def _dataset(told: About) -> dict[str, Any]:
    data, made = told.manifest.dataset, told.manifest.feature_set
    name = f"training set of {told.version.model}/{told.version.number}"
    counts = {"rows": data.rows, "asked": data.asked, "void": data.void, "immature": data.immature,
              "unlabelled": data.unlabelled, "as_of": instant_text(data.as_of)}  # fmt: skip
    held: dict[str, Any] = {"type": "dataset", "name": name}
    if made.tags:
        held |= {"classification": ", ".join(made.tags), "sensitiveData": made.tags}
    made_of: dict[str, Any] = {"type": "data", "bom-ref": _DATASET, "name": name, "data": [held]}
    if not data.asked:  # of a version that was imported, it is not known
        return made_of
    # The digest covers content, schema and order; it is no hash of a file, and so no `hashes`.
    properties = [_property("digest", data.digest), *(_property(key, value) for key, value in counts.items())]
    return {**made_of, "version": data.digest[:12], "properties": properties}


def _table(one: dict[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = {"type": "dataset", "name": one["source"]}
    if one["tags"]:
        held |= {"classification": ", ".join(one["tags"]), "sensitiveData": one["tags"]}
    if one["owner"]:
        held["governance"] = {"owners": [{"organization": {"name": one["owner"]}}]}
    out = {
        "type": "data", "bom-ref": f"data:events/{one['source']}", "name": f"events/{one['source']}",
        "version": str(one["version"]), "data": [held],
    }  # fmt: skip
    if one["description"]:
        out["description"] = one["description"]
    if one["seal"]:
        out["properties"] = [_property("seal", one["seal"])]
    return out


def _platform(interpreter: str) -> dict[str, Any]:
    name, _, rest = interpreter.partition(" ")
    number, _, built = rest.partition(" ")
    properties = [_property("built_for", built.strip("()"))] if built else []
    return {
        "type": "platform", "bom-ref": f"platform:{name}", "name": name, "version": number, "properties": properties,
    }  # fmt: skip


def _libraries(told: About, packages: Sequence[Locked]) -> Iterator[dict[str, Any]]:
    """The packages that ran, and those that the lock holds beside them: it may hold more than was installed."""
    ran = {_plain(name): number for name, number in told.manifest.code.packages.items()}
    found: dict[str, dict[str, Any]] = {}
    for name, number in sorted(ran.items()):
        found[_purl(name, number)] = {"scope": "required"}
    for one in packages:
        name = _plain(one.name)
        entry = found.setdefault(_purl(name, one.version), {})
        if one.hashes:
            # A lock allows any of these files, and does not say which was installed: they are no `hashes` of it.
            allowed = {"type": "distribution", "url": _purl(name, one.version), "comment": "the lock allows these"}
            entry["externalReferences"] = [{**allowed, "hashes": [_sha256(digest) for digest in one.hashes]}]
        if one.marker:
            entry.setdefault("properties", []).append(_property("lock.marker", one.marker))
    for purl, entry in sorted(found.items()):
        name, number = purl.removeprefix("pkg:pypi/").split("@")
        yield {
            "type": "library", "bom-ref": purl, "name": name, "version": number.replace("%2B", "+"), "purl": purl,
            **entry,
        }  # fmt: skip


def _plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{quote(version, safe='')}"


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _property(name: str, value: Any) -> dict[str, str]:
    return {"name": f"backstay:{name}", "value": _value(value)}


def _value(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode()
