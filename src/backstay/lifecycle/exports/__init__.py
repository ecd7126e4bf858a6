"""Exports: a version as the files and requests that other registries take. Nothing is sent anywhere.

Each module has one `files`, from a version to its files by path: the same record gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import InputError
from backstay.core.identity import sha256
from backstay.core.show import Shown
from backstay.lifecycle.about import About
from backstay.lifecycle.exports import mlflow, openlineage, sagemaker, vertex
from backstay.lifecycle.exports.parts import Given
from backstay.lifecycle.records import Records

TARGETS = ("mlflow", "sagemaker", "vertex", "openlineage")
REQUESTS = ("sagemaker", "vertex")
"""Those that name the container and the place of the files."""


@dataclass(frozen=True, slots=True)
class Exported(Shown):
    """What was written: each file's path below `out`, and its SHA-256.

    missing: the options that were not given; names in capitals stand in their place
    """

    model: str
    number: int
    to: str
    out: str
    files: Mapping[str, str]
    missing: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "number": self.number, "to": self.to, "out": self.out, "files": dict(self.files),
            "missing": list(self.missing),
        }  # fmt: skip


def export(records: Records, told: About, to: str, given: Given) -> dict[str, bytes]:
    """The files of an export by path; each of the version's is verified as it is read."""
    match to:
        case "mlflow":
            return mlflow.files(records, told)
        case "sagemaker":
            return sagemaker.files(records, told, given)
        case "vertex":
            return vertex.files(records, told, given)
        case "openlineage":
            return openlineage.files(told)
    raise InputError(f"there is no export to {to!r}", where="--to", expected=f"one of {', '.join(TARGETS)}")


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each file."""
    return {path: sha256(data) for path, data in sorted(files.items())}
