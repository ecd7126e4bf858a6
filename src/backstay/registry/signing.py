"""Signatures of versions, in the form of OpenSSF model signing, with a key pair of one's own.

A digest says that a version is what was registered; a signature says by whom, to anybody who has the public key. What
is signed is a folder: the manifest as `manifest.json`, and every file that it names. The signature is a Sigstore bundle
among the artifacts, named by an entry of the ledger of kind "signature"; `backstay export` and OpenSSF's own tool
(`model_signing verify key`) can check it, too.

Where a project names a public key (`registry.public_key`), no version is loaded whose signature it does not verify.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from backstay.core.errors import InputError, IntegrityError
from backstay.core.packages import need
from backstay.registry.versions import ModelVersion, Registry
from backstay.storage.ports import Entry, Ledger

SIGNATURE = "signature"
"""The ledger's kind of entry for a signature; its subject is `model/number`."""
MANIFEST = "manifest.json"


def sign(
    ledger: Ledger, registry: Registry, version: ModelVersion, private_key: Path, *, password: str | None, at: int,
    actor: str,
) -> Entry:  # fmt: skip
    """Sign a version with an elliptic-curve key in PEM; the entry names the bundle and the key's fingerprint."""
    signing = need("model_signing.signing", "sign")
    where = f"{version.model}/{version.number}"
    with tempfile.TemporaryDirectory(prefix="backstay-sign-") as scratch:
        folder, bundle = _folder(registry, version, Path(scratch)), Path(scratch) / "bundle.json"
        try:
            signer = signing.Config().use_elliptic_key_signer(private_key=private_key, password=password)
            _hashed(signer).sign(folder, bundle)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"the key cannot sign: {error}", where=str(private_key),
                expected="an elliptic-curve private key in PEM, and its password if it has one",
                fix="openssl ecparam -name prime256v1 -genkey -noout -out private.pem",
            ) from error  # fmt: skip
        digest = registry.keep(bundle.read_bytes())
    body = {"manifest": version.digest, "bundle": digest, "form": "openssf-model-signing"}
    return ledger.append(SIGNATURE, where, body, at=at, actor=actor)


class Verifier:
    """Verifies the signatures of versions by a public key in PEM; each version once in a process."""

    def __init__(self, ledger: Ledger, public_key: Path) -> None:
        self._ledger, self._key = ledger, public_key
        self._known: set[str] = set()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key's file."""
        return hashlib.sha256(self._read()).hexdigest()

    def check(self, registry: Registry, version: ModelVersion) -> None:
        """Raise `IntegrityError` unless the version was signed with the private key of this public one."""
        if version.digest in self._known:
            return
        self._read()
        where = f"{version.model}/{version.number}"
        entries = [one for one in self._ledger.entries(kind=SIGNATURE, subject=where)
                   if one.body["manifest"] == version.digest]  # fmt: skip
        if not entries:
            raise IntegrityError(
                "it is not signed, and this project loads signed versions only", where=where,
                expected=f"a signature that {self._key} verifies",
                fix=f"backstay sign {version.number} --model {version.model} --key private.pem",
            )  # fmt: skip
        reasons = [reason for one in entries if (reason := self._wrong(registry, version, one))]
        if len(reasons) == len(entries):
            raise IntegrityError(
                f"its signature does not hold: {reasons[-1]}", where=where,
                expected=f"one that {self._key} verifies", fix="do not load it; find out who changed it, or the key",
            )  # fmt: skip
        self._known.add(version.digest)

    def _wrong(self, registry: Registry, version: ModelVersion, entry: Entry) -> str:
        """What is wrong with one signature; "" if nothing is."""
        verifying = need("model_signing.verifying", "sign")
        with tempfile.TemporaryDirectory(prefix="backstay-verify-") as scratch:
            folder, bundle = _folder(registry, version, Path(scratch)), Path(scratch) / "bundle.json"
            bundle.write_bytes(registry.kept(entry.body["bundle"]))
            try:
                verifier = verifying.Config().use_elliptic_key_verifier(public_key=self._key)
                _hashed(verifier).verify(folder, bundle)
            except Exception as error:  # noqa: BLE001 - whatever the library raises, the signature was not verified
                return str(error) or type(error).__name__
        return ""

    def _read(self) -> bytes:
        try:
            return self._key.read_bytes()
        except OSError as error:
            raise InputError(
                f"the public key cannot be read: {error.strerror}", where=str(self._key), expected="a PEM file",
                fix="set registry.public_key to one that is there",
            ) from error  # fmt: skip


def _folder(registry: Registry, version: ModelVersion, scratch: Path) -> Path:
    """What is signed, on the disk."""
    folder = scratch / "version"
    folder.mkdir()
    (folder / MANIFEST).write_bytes(version.manifest.canonical())
    for name in version.manifest.files:
        (folder / name).write_bytes(registry.file(version, name))
    return folder


def _hashed(config: Any) -> Any:
    """The hashing of both sides: each file by its SHA-256, with one thread, and nothing left out."""
    hashing = need("model_signing.hashing", "sign")
    return config.set_hashing_config(hashing.Config().use_file_serialization(hashing_algorithm="sha256", max_workers=1))
