"""TLS on both shells, with a certificate made here; without it nobody but this machine is served."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest

from backstay.serving.v2.messages import message
from tests.serving import shop
from tests.serving.shop import Server, event, live


def certified(path: Path, more: str = "") -> Path:
    """A project with a self-signed certificate of localhost."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", path / "server.key", "-out", path / "server.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    settings = 'tls_certificate = "server.pem"\ntls_key = "server.key"\n'
    (path / "backstay.toml").write_text(f"{shop.TOML}{settings}{more}")
    return path


@pytest.mark.parametrize("workers", ["1", "2"])
def test_rest_and_grpc_are_served_with_the_certificate(path: Path, workers: str) -> None:
    certified(path, "grpc = true\ngrpc_port = 0\n")
    trusted = ssl.create_default_context(cafile=str(path / "server.pem"))
    with Server(path, "--workers", workers) as server:
        url = server.told["url"]
        assert url.startswith("https://127.0.0.1:")
        asked = urllib.request.Request(
            f"{url}/v1/models/late/predict", json.dumps(live()).encode(), server.headers(), method="POST"
        )
        with urllib.request.urlopen(asked, context=trusted, timeout=20) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(asked, timeout=20)
        plain = urllib.request.Request(f"{url.replace('https', 'http')}/v2/health/live")
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(plain, timeout=20)
        credentials = grpc.ssl_channel_credentials((path / "server.pem").read_bytes())
        with grpc.secure_channel(server.told["grpc"], credentials) as channel:
            ready = channel.unary_unary(
                "/inference.GRPCInferenceService/ServerLive",
                request_serializer=lambda one: one.SerializeToString(),
                response_deserializer=message("ServerLiveResponse").FromString,
            )
            assert ready(message("ServerLiveRequest")(), timeout=20).live


def test_large_bodies_come_in_reads_of_any_size(path: Path) -> None:
    """What came while the server was busy is brought as one read, however much it is."""
    settings = certified(path) / "backstay.toml"
    settings.write_text(settings.read_text().replace(f"push_limit = {shop.PUSH_LIMIT}", f"push_limit = {16 << 20}"))
    trusted = ssl.create_default_context(cafile=str(path / "server.pem"))
    with Server(path) as server:
        events = [event(shop="s" * 200, event_time="2024-03-01T10:00:00Z") for _ in range(30_000)]
        body = json.dumps({"events": events}).encode()
        assert len(body) > 8 << 20
        for _ in range(3):
            asked = urllib.request.Request(
                f"{server.told['url']}/v1/sources/orders/events", body, server.headers(), method="POST"
            )
            with urllib.request.urlopen(asked, context=trusted, timeout=60) as answer:
                assert json.load(answer)["accepted"] == len(events)


def test_clients_that_shake_no_hands_and_say_no_goodbye_hold_up_nothing(path: Path) -> None:
    certified(path)
    trusted = ssl.create_default_context(cafile=str(path / "server.pem"))
    with Server(path) as server:
        port = int(server.told["url"].rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as silent,
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            trusted.wrap_socket(plain, server_hostname="localhost") as idle,
        ):
            assert silent.recv(1) == b""  # closed in good time
            idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert idle.recv(999).startswith(b"HTTP/1.1 200")
            begin = time.monotonic()
            assert server.stop(signal.SIGTERM) == 0
            assert time.monotonic() - begin < 9  # and not after 10 s, which are for answers
    assert "graceful shutdown exceeded" not in (path.parent / "server.log").read_text()


def refused(path: Path, *words: str) -> dict[str, str]:
    done = subprocess.run(
        shop.command(path, *words), capture_output=True, text=True, env=shop.environment(), timeout=60
    )
    assert done.returncode == 2, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("verb", [["serve", "--port", "0"], ["doctor"]])
def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(path: Path, verb: list[str]) -> None:
    """On a terminal, where OpenSSL would ask and wait."""
    certified(path)
    locked = ["openssl", "pkey", "-aes128", "-passout", "pass:abc", "-in", "server.key", "-out", "locked.key"]
    subprocess.run(locked, cwd=path, check=True, capture_output=True)
    (path / "locked.key").replace(path / "server.key")
    leader, follower = pty.openpty()
    words = [sys.executable, "-m", "backstay", *verb, "--project", str(path), "--json"]
    process = subprocess.Popen(
        words, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=shop.environment(), preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    try:
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        os.close(follower)
        os.close(leader)
    assert process.returncode != 0
    assert "server.key has a passphrase" in told
    assert "openssl pkey -in server.key" in told


def test_without_tls_nobody_but_this_machine_is_served(path: Path) -> None:
    told = refused(path, "--host", "0.0.0.0")
    assert "in the clear" in told["error"]
    assert "serving.plaintext" in told["fix"]
    (path / "backstay.toml").write_text(f"{shop.TOML}plaintext = true\n")
    with Server(path, "--host", "0.0.0.0") as server:
        assert server.predict(live())[0] == 200


def test_what_is_wrong_with_the_files_is_told(path: Path) -> None:
    certified(path)
    (path / "server.key").write_text("no key")
    assert "cannot be used" in refused(path)["error"]
    (path / "server.key").unlink()
    assert refused(path)["where"] == "serving.tls_key"
    (path / "backstay.toml").write_text(f'{shop.TOML}tls_key = "server.key"\n')
    assert "a certificate and its key" in refused(path)["error"]
