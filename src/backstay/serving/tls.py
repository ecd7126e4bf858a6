"""TLS: the certificate and key of the data plane, read once at the start, and the rule that others need it."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate chain and of its key, PEM."""

    certificate: Path
    key: Path


def loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load(context: ssl.SSLContext, tls: Tls) -> None:
    """Load the chain and its key. `InputError` for one with a passphrase: OpenSSL would ask for it, and wait."""

    def asked() -> str:
        raise InputError(
            f"the key {tls.key} has a passphrase, and nobody is there to type it", where="serving.tls_key",
            expected="a key in PEM form, without a passphrase",
            fix=f"openssl pkey -in {tls.key.name} -out plain.key, readable by the server alone (chmod 600)",
        )  # fmt: skip

    context.load_cert_chain(tls.certificate, tls.key, password=asked)


def configured(settings: Mapping[str, Any], folder: Path, host: str) -> Tls | None:
    """The TLS of a project's settings; paths are relative to its folder.

    Raises `InputError` if the files cannot be used, or if others than this machine would send tokens in the clear and
    no setting says that a proxy in front of the server takes care of that.
    """
    certificate, key = settings["serving.tls_certificate"], settings["serving.tls_key"]
    if certificate is None and key is None:
        if not loopback(host) and not settings["serving.plaintext"]:
            raise InputError(
                f"tokens and data would be sent to {host} in the clear", where="serving.host",
                expected="loopback, or TLS",
                fix="set serving.tls_certificate and serving.tls_key; "
                "or serving.plaintext = true if a proxy in front terminates TLS",
            )  # fmt: skip
        return None
    if certificate is None or key is None:
        missing = "serving.tls_certificate" if certificate is None else "serving.tls_key"
        raise InputError("TLS needs a certificate and its key", where=missing, fix="set both, or none")
    tls = Tls(folder / certificate, folder / key)
    for name, path in (("serving.tls_certificate", tls.certificate), ("serving.tls_key", tls.key)):
        if not path.is_file():
            raise InputError(f"there is no file {path}", where=name, expected="a file in PEM form")
    try:
        load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), tls)
    except (ssl.SSLError, OSError) as error:
        raise InputError(
            f"the certificate and the key cannot be used: {error}", where="serving.tls_certificate",
            expected="a certificate chain in PEM form, and the key that belongs to it, without a passphrase",
        ) from None  # fmt: skip
    return tls
