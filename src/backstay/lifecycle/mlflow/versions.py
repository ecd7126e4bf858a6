"""Versions and aliases, mirrored: a registered model `PROJECT.MODEL`, whose versions bear our number and digest.

MLflow numbers its versions itself; ours are found by the tag. A version there is made when its files are, with all its
tags in one call, so that there are no halves: what an interrupted mirror left is files of a run, which are written
again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backstay.core.errors import ConflictError, IntegrityError
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.lifecycle.about import about
from backstay.lifecycle.exports import export
from backstay.lifecycle.exports.parts import MANIFEST, Given, sentence, served
from backstay.lifecycle.mlflow import words
from backstay.lifecycle.mlflow.runs import RunMirror
from backstay.lifecycle.mlflow.server import Server
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion
from backstay.storage.runs import RunRecord

_FOLDER = "model"


class VersionMirror:
    """A model's versions as they stand in MLflow. Making one writes nothing, and refuses what was changed there."""

    def __init__(self, server: Server, records: Records, project: str, model: Model) -> None:
        self._server, self._records, self._project, self._model = server, records, project, model
        self.name = f"{project}.{model.name}"
        self.versions = records.registry.versions(model.name)
        self._registered = server.find("get_registered_model", self.name)
        self._there: dict[int, Any] = {}
        if self._registered is not None:
            self._check_owner(self._registered.tags)
            self._check_versions()

    def write(self, version: ModelVersion, runs: RunMirror, made_by: RunRecord | None) -> tuple[str, str]:
        """Write a version that is not there: its name in MLflow, and "new", "updated" or "as it was"."""
        retired = self._records.registry.retired(version.model, version.number)
        found = self._there.get(version.number)
        if found is not None:
            if retired is None or words.RETIRED in found.tags:
                return f"{self.name}/{found.version}", "as it was"
            told = instant_text(retired.at)
            self._server.ask("set_model_version_tag", self.name, found.version, words.RETIRED, told)
            return f"{self.name}/{found.version}", "updated"
        if self._registered is None:
            tags = {words.PROJECT: self._project, words.MODEL: self._model.name}
            self._registered = self._server.ask(
                "create_registered_model", self.name, tags, self._model.description or None
            )
        run = runs.carrier(version.number, version.at) if made_by is None else runs.found(made_by.id)
        text, files = self._files(version, gone=retired is not None)
        with tempfile.TemporaryDirectory() as folder:
            for path, data in files.items():
                place = Path(folder, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            self._server.ask("log_artifacts", run.info.run_id, folder, _FOLDER)
        tags = self._tags(version) | ({} if retired is None else {words.RETIRED: instant_text(retired.at)})
        source = f"{run.info.artifact_uri}/{_FOLDER}"
        made = self._server.ask("create_model_version", self.name, source, run.info.run_id, tags, None, text)
        self._there[version.number] = made
        return f"{self.name}/{made.version}", "new"

    def aliases(self) -> Iterator[tuple[str, str, str]]:
        """Point the aliases there where ours point: name, where to, what was done. Those set there by others stay.

        One that points at a version that was registered since this mirror began stays as it is: next time.
        """
        if self._registered is None:
            return
        now = self._server.ask("get_registered_model", self.name)
        moves = self._records.registry.aliases(self._model.name)
        wanted = {name: str(self._there[move.to].version) for name, move in moves.items() if move.to in self._there}
        had = {name: str(version) for name, version in now.aliases.items()}
        ours = {name for name in now.tags.get(words.ALIASES, "").split(",") if name}
        gone = sorted(name for name in ours - moves.keys() if name in had)
        self._remember(now, ours | wanted.keys())  # before they are set, so that an interruption forgets none
        for name in gone:
            self._server.ask("delete_registered_model_alias", self.name, name)
            yield name, "", "removed"
        for name, version in wanted.items():
            done = "as it was" if had.get(name) == version else "moved" if name in had else "new"
            if done != "as it was":
                self._server.ask("set_registered_model_alias", self.name, name, version)
            yield name, f"{self.name}/{version}", done
        if gone:
            self._remember(now, wanted.keys() | (ours & moves.keys()))

    def _remember(self, now: Any, names: set[str]) -> None:
        told = ",".join(sorted(names))
        if told != now.tags.get(words.ALIASES, ""):
            self._server.ask("set_registered_model_tag", self.name, words.ALIASES, told)

    def _check_owner(self, tags: dict[str, str]) -> None:
        if (tags.get(words.PROJECT), tags.get(words.MODEL)) != (self._project, self._model.name):
            raise ConflictError(
                f"MLflow has a registered model {self.name!r} that this mirror did not make",
                where=self._server.uri,
                expected=f"the tags {words.PROJECT} = {self._project} and {words.MODEL} = {self._model.name}",
                fix="rename it there, or mirror to another server",
            )

    def _check_versions(self) -> None:
        """Find ours; `IntegrityError` names one whose number is ours and whose manifest is not."""
        digests = {version.number: version.digest for version in self.versions}
        found = self._server.pages("search_model_versions", f"name = '{self.name}'")
        for there in sorted(found, key=_number):
            number = there.tags.get(words.VERSION, "")
            if not number.isdecimal():
                continue  # somebody registered it there
            said, here = there.tags.get(words.MANIFEST, ""), digests.get(int(number), "")
            if said != here:
                has = f"is the manifest {here[:12]} here" if here else "does not exist here"
                raise IntegrityError(
                    f"{self.name}/{there.version} in MLflow says that it is version {number} with the manifest "
                    f"{said[:12] or 'none'}; version {number} {has}",
                    where=f"{self._server.uri}, {self.name}/{there.version}",
                    expected=f"{words.MANIFEST} = {here or 'that of a version of this project'}",
                    fix="it was edited there, or is another project's of this name: mend its tags, or delete it there",
                )
            self._there.setdefault(int(number), there)

    def _files(self, version: ModelVersion, *, gone: bool) -> tuple[str, dict[str, bytes]]:
        """What is said of a version there, and its files: where MLflow can load it, in the form in which it does."""
        told = about(self._records, self._project, self._model, version.number)
        text = sentence(told)
        if gone:
            return f"{text} It was retired: its files are gone.", {MANIFEST: version.manifest.canonical()}
        if version.manifest.scorer.format == "onnx":
            return text, export(self._records, told, "mlflow", Given())
        return f"{text} Its files are of the runtime {version.manifest.scorer.format}.", served(self._records, told)

    def _tags(self, version: ModelVersion) -> dict[str, str]:
        manifest = version.manifest
        known = {
            words.PROJECT: self._project, words.VERSION: str(version.number), words.MANIFEST: version.digest,
            "backstay.dataset": manifest.dataset.digest, "backstay.features": manifest.feature_set.hash,
            "backstay.commit": manifest.code.commit or "", "backstay.author": version.author,
            "backstay.registered": instant_text(version.at), "backstay.runtime": manifest.scorer.format,
        }  # fmt: skip
        return {name: value for name, value in known.items() if value}


def _number(there: Any) -> int:
    return int(there.version)
