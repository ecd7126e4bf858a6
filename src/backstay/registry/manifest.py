"""The manifest: everything that made a model version, as one document with one digest.

Nothing in it depends on when or where the training ran: no wall-clock time, no path, no host name. The same data, code,
parameters and seed give the same manifest, and so the same digest.

A field added later has a default and is left out while it has it, so that the digests of older manifests stay.
"""

from __future__ import annotations

from typing import Any

import msgspec

from backstay.core.errors import InputError, IntegrityError
from backstay.core.identity import canonical_json, sha256

DIFF = "code.diff"
"""The name, among a version's files, of what the working tree had that its commit had not."""
ORIGIN = "mlflow/origin.json"
"""The name of what MLflow said of a version that was imported from there, and of what was claimed of it."""


class Dataset(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The training set. `digest` covers its content, `sources` the table versions it was read from, and `seals` every
    byte of those.

    `asked` = `rows` + `void` + `immature` + `unlabelled`: what was left out is counted. Rows asked in [since, until).
    """

    digest: str
    rows: int
    asked: int
    void: int
    immature: int
    unlabelled: int
    as_of: int
    since: int | None
    until: int | None
    sources: dict[str, int]
    seals: dict[str, str] = {}


class Features(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The feature set: `vector` names the model's inputs in order, `hash` is the digest of `definition`.

    tags:     what the version inherits from its features, such as "pii", in order
    untagged: by feature and tag that was removed from it, the reason
    """

    name: str
    hash: str
    vector: list[str]
    definition: Any
    tags: list[str] = []
    untagged: dict[str, dict[str, str]] = {}

    @property
    def features(self) -> list[str]:
        """The names of all features of the set, in its order: what the values of a prediction are of."""
        return [feature[0] for feature in self.definition["features"]]


class Code(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The code that ran: see `backstay.registry.environment`.

    commit: of the project's git repository; None outside one
    dirty:  the digest of the file `code.diff`; None if the working tree was the commit
    lock:   the digest of the lock file; None if there is none
    """

    commit: str | None
    dirty: str | None
    lock: str | None
    interpreter: str
    packages: dict[str, str]


class Scoring(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the files are scored, and how that compares with the trained estimator.

    format:          the runtime that wrote the files, and loads them
    max_difference:  from the estimator's scores, the largest over `rows` rows; `tolerance` would have been too much
    batch_difference: the largest of a row's score alone and in batches of several sizes, over `batch_rows` rows; 0.0:
                     it has the same bits. `batch_tolerance` would have been too much, and is what parity allows
    code:            loading the files may run what is in them
    unlike_difference: the largest over `unlike_rows` rows unlike those of training: values missing, or never seen
    """

    format: str
    max_difference: float
    rows: int
    tolerance: float = 0.0
    batch_rows: int = 0
    batch_difference: float = 0.0
    batch_tolerance: float = 0.0
    code: bool = False
    unlike_rows: int = 0
    unlike_difference: float = 0.0


class Signature(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What goes in and what comes out, with types: of a request, of the model's files, and of an answer.

    keys, fields: what a request has, by name
    vector:       the inputs of the files, in order, all of type `dtype`
    outputs:      what an answer has, by name
    """

    keys: dict[str, str]
    fields: dict[str, str]
    vector: list[str]
    dtype: str
    outputs: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What made a model version.

    files:  name to SHA-256
    tuned:  those of `parameters` that were set otherwise than the model's definition has them
    cutoff: microseconds; the last moment at which anything in the training set became known. Rows that judge the
            model are asked after it.
    """

    model: str
    files: dict[str, str]
    dataset: Dataset
    cutoff: int
    feature_set: Features
    label: dict[str, Any]
    estimator: str
    parameters: dict[str, Any]
    seed: int
    code: Code
    metrics: dict[str, Any]
    scorer: Scoring
    base_rate: float
    threshold: float
    note: str = ""
    signature: Signature | None = None
    tuned: dict[str, Any] = {}

    def canonical(self) -> bytes:
        """The manifest's canonical JSON: what is stored, and what the digest is of."""
        try:
            # Through the declared types and back, so that 1 and 1.0 for a float are one manifest.
            checked = msgspec.convert(msgspec.to_builtins(self, order="deterministic"), Manifest)
            return canonical_json(msgspec.to_builtins(checked, order="deterministic"))
        except (TypeError, ValueError, msgspec.ValidationError) as error:
            raise InputError(
                f"the manifest is not JSON: {error}",
                where=f"manifest of model {self.model!r}",
                expected="texts, finite numbers, booleans, nulls, lists and mappings",
                fix="convert numpy values with .item(), and leave out what is not known instead of writing NaN",
            ) from None

    @property
    def digest(self) -> str:
        return sha256(self.canonical())


def read_manifest(data: bytes, *, where: str = "") -> Manifest:
    """The manifest in these bytes; `IntegrityError` if they are not one."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise IntegrityError(
            f"the manifest cannot be read: {error}",
            where=where,
            fix="read it with the version of backstay that wrote it, or a later one",
        ) from None


def missing_lineage(manifest: Manifest) -> list[str]:
    """The fields without which nobody can tell what made this version, each by its path; empty if it is complete."""
    code, data, features = manifest.code, manifest.dataset, manifest.feature_set
    parts = {
        "model": manifest.model,
        "files": manifest.files,
        "dataset.digest": data.digest,
        "dataset.rows": data.rows,
        "dataset.sources": data.sources,
        "feature_set.hash": features.hash,
        "feature_set.vector": features.vector,
        "feature_set.definition": features.definition,
        "label": manifest.label,
        "estimator": manifest.estimator,
        "parameters": manifest.parameters,
        "code.commit": code.commit,
        "code.dirty": code.dirty is None or manifest.files.get(DIFF) == code.dirty,
        "code.lock": code.lock,
        "code.interpreter": code.interpreter,
        "code.packages": code.packages,
        "scorer.rows": manifest.scorer.rows,
        "signature": manifest.signature,
    }
    return [path for path, value in parts.items() if not value]
