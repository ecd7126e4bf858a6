"""The registry: versions and aliases of models, kept in the ledger, their files in the artifacts.

A version is a ledger entry of kind "version" whose body names the manifest's digest; the manifest is an artifact, and
names the digest of each file. A move of an alias is an entry of kind "alias". So everything is verified from the ledger
down, and the registry itself keeps nothing.

    version = registry.register(manifest, files, at=now, actor="training")
    model = registry.file(version, "model.onnx")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from backstay.core.errors import ConflictError, InputError, IntegrityError, NotFoundError
from backstay.core.identity import sha256
from backstay.core.show import Shown
from backstay.definitions.names import check_name
from backstay.registry.manifest import Manifest, missing_lineage, read_manifest
from backstay.storage.chain import check_entry
from backstay.storage.ports import Artifacts, Entry, Ledger

_VERSION, _ALIAS, RETIRED = "version", "alias", "retired"
_ATTEMPTS = 100  # each attempt lost means that somebody else's version was registered


@dataclass(frozen=True, slots=True)
class ModelVersion(Shown):
    """A registered version: `number` counts from 1 within its model, `digest` is the manifest's.

    author: who made it: registered it here, or in the project that it came from
    origin: of one that came from another project, which, and by what; see `lifecycle.environments`
    machine: what it was trained on: CPU, cores, memory, system, Python; None if it was not told
    """

    model: str
    number: int
    digest: str
    manifest: Manifest
    at: int
    entry_id: int
    author: str
    origin: Mapping[str, Any] | None = None
    machine: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "number": self.number,
            "digest": self.digest,
            "at": self.at,
            "entry_id": self.entry_id,
            "author": self.author,
            "origin": self.origin,
            "machine": self.machine,
            "manifest": msgspec.to_builtins(self.manifest),
        }


@dataclass(frozen=True, slots=True)
class AliasMove(Shown):
    """One move of an alias: to version `to` (`previous` before it, None at first), who, when, on what evidence.

    `digest` is the manifest's digest of the version moved to. `entry_id` is what the next move must have seen.
    """

    model: str
    name: str
    to: int
    digest: str
    previous: int | None
    evidence: Mapping[str, Any]
    at: int
    actor: str
    entry_id: int


class Verifying(Protocol):
    """What decides whether a version may be loaded; see `registry.signing`."""

    def check(self, registry: Registry, version: ModelVersion) -> None: ...


class Registry:
    """Versions and aliases over a ledger and artifacts; any number of processes may use the same ones."""

    def __init__(self, ledger: Ledger, artifacts: Artifacts, verifier: Verifying | None = None) -> None:
        self._ledger, self._artifacts, self._verifier = ledger, artifacts, verifier

    def register(
        self,
        manifest: Manifest,
        files: Mapping[str, bytes],
        *,
        at: int,
        actor: str,
        strict: bool = False,
        trust_code: bool = False,
        origin: Mapping[str, Any] | None = None,
        machine: Mapping[str, Any] | None = None,
    ) -> ModelVersion:
        """Store the files and the manifest and give the version the next number of its model.

        Registering the same manifest again returns the version that exists. `origin` says where it came from, if not
        from a training of this project; `machine` what it was trained on, which the manifest leaves out. With `strict`,
        a manifest with incomplete lineage is refused, naming every part that is missing. One whose files are code is
        refused without `trust_code`.
        """
        check_name(manifest.model, "model")
        document = manifest.canonical()
        _check_files(manifest, files)
        if strict and (missing := missing_lineage(manifest)):
            raise InputError(
                f"the lineage is incomplete: {', '.join(missing)} missing",
                where=f"manifest of model {manifest.model!r}",
                expected="every part, as the project is strict",
                fix="commit the project to git, name its lock file and train again",
            )
        if manifest.scorer.code and not trust_code:
            raise InputError(
                f"its files are code ({manifest.scorer.format}), which runs when they are loaded",
                where=f"manifest of model {manifest.model!r}",
                expected="files that are data, as those of runtime='onnx'",
                fix="if you trust who wrote them, say Model(..., trust_code=True)",
            )
        for data in files.values():
            self._artifacts.put(data)
        more = {name: dict(one) for name, one in (("origin", origin), ("machine", machine)) if one is not None}
        return self._numbered(manifest, self._artifacts.put(document), at, actor, more)

    def keep(self, data: bytes) -> str:
        """Store a document that an entry of the ledger names; its SHA-256."""
        return self._artifacts.put(data)

    def kept(self, digest: str) -> bytes:
        """A document that an entry of the ledger names, verified."""
        return self._content(digest, f"document {digest[:12]}")

    def _numbered(self, manifest: Manifest, digest: str, at: int, actor: str, more: Mapping[str, Any]) -> ModelVersion:
        for _ in range(_ATTEMPTS):
            entries = self._entries(manifest.model)
            for entry in entries:
                if entry.body["manifest"] == digest:
                    return self._version(entry)
            number = len(entries) + 1
            body = {"number": number, "manifest": digest, **more}
            expect = entries[-1].id if entries else 0
            try:
                entry = self._ledger.append(_VERSION, manifest.model, body, at=at, actor=actor, expect=expect)
            except ConflictError:
                continue
            return self._made(entry, manifest)
        raise ConflictError(
            f"{_ATTEMPTS} other versions of {manifest.model!r} were registered first",
            where=f"model {manifest.model!r}",
            fix="retry",
        )

    def get(self, model: str, number: int) -> ModelVersion:
        """The version with this number; `NotFoundError` names those that exist."""
        entries = self._entries(model)
        if not 1 <= number <= len(entries):
            have = f"versions 1 to {len(entries)}" if entries else "no versions"
            raise NotFoundError(
                f"model {model!r} has {have}, none with number {number}",
                where=f"{model}/{number}",
                fix="" if entries else "train and register one first",
            )
        return self._version(entries[number - 1])

    def models(self) -> list[str]:
        """The models that have versions, in the order of their first ones."""
        return list(dict.fromkeys(entry.subject for entry in self._ledger.entries(kind=_VERSION)))

    def versions(self, model: str) -> list[ModelVersion]:
        """Every version of a model, by number."""
        return [self._version(entry) for entry in self._entries(model)]

    def by_digest(self, digest: str) -> ModelVersion:
        """The version, of any model, whose manifest has this digest."""
        for entry in self._ledger.entries(kind=_VERSION):
            if entry.body.get("manifest") == digest:
                return self._version(_checked(entry))
        raise NotFoundError(f"no version has the manifest {digest!r}", expected="the 64 digits of a manifest's digest")

    def file(self, version: ModelVersion, name: str) -> bytes:
        """The content of one of a version's files, verified against its manifest."""
        if name not in version.manifest.files:
            raise NotFoundError(
                f"{version.model}/{version.number} has no file {name!r}",
                where=f"{version.model}/{version.number}",
                expected=f"one of {sorted(version.manifest.files)}",
            )
        try:
            return self._content(version.manifest.files[name], f"{version.model}/{version.number}/{name}")
        except IntegrityError:
            if (entry := self.retired(version.model, version.number)) is None:
                raise
            raise NotFoundError(
                f"{version.model}/{version.number} was retired by {entry.actor}, and its files were removed",
                where=f"ledger entry {entry.id}",
                expected="a version that is not retired",
            ) from None

    def reader(self, version: ModelVersion) -> Callable[[str], bytes]:
        """What a runtime reads a version's files by. Signed versions only, where the registry has a verifier."""
        if self._verifier is not None:
            self._verifier.check(self, version)
        return partial(self.file, version)

    def retired(self, model: str, number: int) -> Entry | None:
        """The entry by which a version was retired; None if it was not."""
        return self._ledger.last(RETIRED, f"{model}/{number}")

    def alias(self, model: str, name: str, *, as_of: int | None = None) -> AliasMove | None:
        """Where an alias points, now or at a moment; None if it had not been set."""
        entry = self._ledger.last(_ALIAS, _alias(model, name), as_of=as_of)
        return None if entry is None else _move(model, name, _checked(entry))

    def move_alias(
        self, model: str, name: str, to: int, *, evidence: Mapping[str, Any], at: int, actor: str, expect: int | None
    ) -> AliasMove:
        """Point an alias at version `to`, if its last move is still the one seen.

        `expect` is the `entry_id` of the move that was seen, None if there was none; if another came between, this is
        a `ConflictError` and the alias stays. `evidence` says why, and is never empty.
        """
        subject = _alias(model, name)
        if not evidence:
            raise InputError(
                f"{subject} would move without evidence",
                where="evidence",
                expected="why: a gate's result, or a person's reason",
                fix='for example {"reason": "the first version"}',
            )
        version = self.get(model, to)
        before = self.alias(model, name)
        body = {
            "to": to,
            "manifest": version.digest,
            "previous": None if before is None else before.to,
            "evidence": dict(evidence),
        }
        entry = self._ledger.append(_ALIAS, subject, body, at=at, actor=actor, expect=expect or 0)
        return _move(model, name, entry)

    def aliases(self, model: str) -> dict[str, AliasMove]:
        """Where each alias of a model points, by its name."""
        subjects = {entry.subject for entry in self._ledger.entries(kind=_ALIAS)}
        names = sorted(subject.removeprefix(f"{model}/") for subject in subjects if subject.startswith(f"{model}/"))
        moves = {name: self.alias(model, name) for name in names}
        return {name: move for name, move in moves.items() if move is not None}

    def history(self, model: str, name: str) -> list[AliasMove]:
        """Every move of an alias, the first one first."""
        entries = self._ledger.entries(kind=_ALIAS, subject=_alias(model, name))
        return [_move(model, name, _checked(entry)) for entry in entries]

    def _entries(self, model: str) -> list[Entry]:
        """The version entries of a model, each verified, numbered 1, 2, 3, ..."""
        entries = [_checked(entry) for entry in self._ledger.entries(kind=_VERSION, subject=model)]
        for number, entry in enumerate(entries, 1):
            if entry.body.get("number") != number:
                raise IntegrityError(
                    f"version {number} of {model!r} is recorded as {entry.body.get('number')}",
                    where=f"ledger entry {entry.id}",
                    fix="restore the ledger from a backup",
                )
        return entries

    def _version(self, entry: Entry) -> ModelVersion:
        number, digest = entry.body["number"], entry.body["manifest"]
        where = f"{entry.subject}/{number}"
        manifest = read_manifest(self._content(digest, f"{where}/manifest"), where=where)
        if manifest.model != entry.subject:
            raise IntegrityError(f"the manifest is one of model {manifest.model!r}", where=where)
        return self._made(entry, manifest)

    @staticmethod
    def _made(entry: Entry, manifest: Manifest) -> ModelVersion:
        origin = entry.body.get("origin")
        author = entry.actor if origin is None else origin["author"]
        number, digest = entry.body["number"], entry.body["manifest"]
        machine = entry.body.get("machine")
        return ModelVersion(entry.subject, number, digest, manifest, entry.at, entry.id, author, origin, machine)

    def _content(self, digest: str, where: str) -> bytes:
        try:
            data = self._artifacts.get(digest)
        except NotFoundError as error:
            raise IntegrityError(
                f"a file that is referenced is gone: {digest[:12]}", where=where, fix="restore it from a backup"
            ) from error
        if (found := sha256(data)) != digest:
            raise IntegrityError(
                f"the content has the digest {found[:12]}",
                where=where,
                expected=f"{digest[:12]}, as recorded",
                fix="restore it from a backup; do not serve it",
            )
        return data


def _check_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    found = {name: sha256(data) for name, data in files.items()}
    if found != manifest.files:
        named = manifest.files
        names = sorted(name for name in found.keys() | named.keys() if found.get(name) != named.get(name))
        raise InputError(
            f"{', '.join(names)}: not the files that the manifest names",
            where=f"manifest of model {manifest.model!r}",
            expected="the same names with the same SHA-256",
        )


def _alias(model: str, name: str) -> str:
    return f"{check_name(model, 'model')}/{check_name(name, 'alias')}"


def _checked(entry: Entry) -> Entry:
    """The entry, proven by its own digest. That none is missing is for the ledger's `verify`, which walks them all."""
    check_entry(entry, (entry.id - 1, entry.previous))
    return entry


def _move(model: str, name: str, entry: Entry) -> AliasMove:
    body = entry.body
    return AliasMove(
        model, name, body["to"], body["manifest"], body["previous"], body["evidence"], entry.at, entry.actor, entry.id
    )
