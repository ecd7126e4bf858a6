"""When a certificate ends, by the standard library alone: a handshake in memory, of which the client sees the dates."""

from __future__ import annotations

import ssl
from pathlib import Path

from backstay.core.errors import InputError
from backstay.serving.tls import Tls, load


def expiry(certificate: Path, key: Path) -> float:
    """When it ends, in Unix seconds. Raises `InputError` if it is not valid now."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(server_side, Tls(certificate, key))
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it is trusted here whoever issued it
    client_side.load_verify_locations(certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = client_side.wrap_bio(back, there), server_side.wrap_bio(there, back, server_side=True)
    try:
        for _ in range(4):
            for one in (client, server):
                try:
                    one.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        raise InputError(
            f"the certificate is not valid: {error.verify_message}", where=str(certificate), fix="renew it"
        ) from None
    found = client.getpeercert()
    assert found is not None
    return ssl.cert_time_to_seconds(str(found["notAfter"]))
