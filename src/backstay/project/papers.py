"""What a version goes out with: its model card, its bill of materials, and its exports to other registries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backstay.core.errors import InputError
from backstay.core.identity import sha256
from backstay.lifecycle.about import About, about
from backstay.lifecycle.bom import bom
from backstay.lifecycle.bundle import Bundle, bundle, kept_bundle
from backstay.lifecycle.card import Card, card
from backstay.lifecycle.exports import REQUESTS, Exported, digests, export
from backstay.lifecycle.exports.openlineage import EVENTS
from backstay.lifecycle.exports.parts import Given
from backstay.lifecycle.records import Records
from backstay.project.bridge import Bridge
from backstay.project.loading import Definitions
from backstay.project.permits import Permits
from backstay.registry.locks import Locked, locked


class Papers:
    """The papers of versions, from the record. `lock`: the project's lock file, if it names one.

    mlflow: the bridge to MLflow: mirror, bring
    """

    def __init__(
        self, project: str, records: Records, definitions: Definitions, permits: Permits, lock: Path | None,
        bridge: Bridge,
    ) -> None:  # fmt: skip
        self._project, self._records, self._definitions = project, records, definitions
        self._permits, self._lock = permits, lock
        self.mlflow = bridge

    def card(self, number: int, model: str | None = None) -> Card:
        """The model card of a version."""
        return card(self._about(number, model, "look at versions of"))

    def bundle(self, number: int, model: str | None = None, *, kept: bool = False) -> Bundle:
        """The evidence about a version, for whoever approves or rejects it: as it is now, or as it was `kept` last."""
        chosen = self._definitions.model(model)
        self._permits.review(chosen, "see the evidence about versions of")
        return kept_bundle(self._records, chosen, number) if kept else bundle(self._records, chosen, number)

    def bom(self, number: int, model: str | None = None) -> dict[str, Any]:
        """The bill of materials of a version: CycloneDX 1.6 as plain data."""
        told = self._about(number, model, "look at versions of")
        return bom(told, self._locked(told))

    def export(
        self,
        number: int,
        to: str,
        out: str | Path,
        model: str | None = None,
        *,
        image: str | None = None,
        store: str | None = None,
    ) -> Exported:
        """Write a version as another registry takes it. Nothing is sent anywhere.

        to:    "mlflow", "sagemaker", "vertex": into the folder `out`, which is new or empty; "openlineage": into the
               file `out`
        image: the container that serves the files, for the requests to SageMaker and Vertex AI
        store: where the files will lie, as a URI; without them, names in capitals are left to fill in
        """
        told = self._about(number, model, "export versions of")
        given = {"image": image, "store": store}
        if to not in REQUESTS and (named := [name for name, value in given.items() if value is not None]):
            raise InputError(
                f"an export to {to} names no {named[0]}", where=f"--{named[0]}",
                expected=f"it with {' or '.join(REQUESTS)} alone", fix="leave it out",
            )  # fmt: skip
        found = export(self._records, told, to, Given(image, store))
        place = Path(out)
        if to == "openlineage":
            _write(place, found[EVENTS])
            found = {place.name: found[EVENTS]}
        else:
            _empty(place)
            for path, data in found.items():
                _write(place / path, data)
        missing = [name for name, value in given.items() if value is None and to in REQUESTS]
        return Exported(told.version.model, number, to, str(place), digests(found), missing)

    def _about(self, number: int, model: str | None, what: str) -> About:
        chosen = self._definitions.model(model)
        self._permits.model(chosen, what, "read_offline")
        return about(self._records, self._project, chosen, number)

    def _locked(self, told: About) -> list[Locked]:
        """The packages of the lock file, if it is the one that the manifest names."""
        if self._lock is None or told.manifest.code.lock is None or not self._lock.is_file():
            return []
        data = self._lock.read_bytes()
        return locked(data) if sha256(data) == told.manifest.code.lock else []


def _empty(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            "there is something already", where=str(folder), expected="a folder that is new or empty",
            fix="name another, or remove what is there",
        )  # fmt: skip


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InputError(
            f"it cannot be written: {error.strerror}", where=str(path), fix="name a place where you may write"
        ) from None
