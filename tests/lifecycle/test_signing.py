"""Signatures with real keys: what is signed is loaded, what is not, or was changed since, is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError, IntegrityError
from backstay.core.times import instant
from backstay.project import Project
from tests.serving import shop


def keys(folder: Path, name: str) -> Path:
    """A private key in `name`.pem, its public one in `name`.pub.pem."""
    private = folder / f"{name}.pem"
    for words in (
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)],
        ["ec", "-in", str(private), "-pubout", "-out", str(folder / f"{name}.pub.pem")],
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    return private


@pytest.fixture
def signed(path: Path) -> Path:
    """A project that loads signed versions only; version 1, its champion, is signed."""
    private = keys(path, "ann")
    opened(path).archive.sign(1, private, "late")
    (path / "backstay.toml").write_text(shop.TOML + '\n[registry]\npublic_key = "ann.pub.pem"\n')
    return path


def opened(path: Path) -> Project:
    return Project(path, clock=ReplayClock(instant(shop.SECOND)), actor="ann")


def load(path: Path, number: int) -> None:
    project = opened(path)
    project.records.scorer(project.model("late"), project.records.registry.get("late", number)).close()


def test_what_is_signed_is_loaded_and_what_is_not_is_not(signed: Path) -> None:
    load(signed, 1)
    with pytest.raises(IntegrityError, match=r"it is not signed.*backstay sign 2 --model late"):
        load(signed, 2)
    entry = opened(signed).entries("signature")[-1]
    assert (entry.subject, entry.actor, entry.body["form"]) == ("late/1", "ann", "openssf-model-signing")
    assert opened(signed).archive.audit().sound


def test_a_server_serves_a_signed_champion_and_does_not_start_on_another(signed: Path) -> None:
    with shop.Server(signed, "--replay") as server:
        assert server.ask("POST", "/v1/models/late/predict", json.dumps(shop.request()).encode())[0] == 200
    shop.move_champion(opened(signed), 2)
    done = subprocess.run(
        shop.command(signed, "--replay"),
        capture_output=True,
        text=True,
        env=shop.environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "it is not signed" in done.stdout + done.stderr


def test_a_signature_of_another_key_does_not_hold(signed: Path) -> None:
    opened(signed).archive.sign(2, keys(signed, "eve"), "late")
    with pytest.raises(IntegrityError, match="its signature does not hold"):
        load(signed, 2)
    opened(signed).archive.sign(2, signed / "ann.pem", "late")
    load(signed, 2)


def test_a_signature_of_another_version_does_not_hold(signed: Path) -> None:
    """The bundle of version 1, said to be of version 2."""
    project = opened(signed)
    first = project.entries("signature")[-1]
    version = project.records.registry.get("late", 2)
    body = {**first.body, "manifest": version.digest}
    project.services.ledger.append("signature", "late/2", body, at=1, actor="eve")
    with pytest.raises(IntegrityError, match="its signature does not hold"):
        load(signed, 2)


def test_openssfs_own_tool_verifies_it(signed: Path, tmp_path: Path) -> None:
    project = opened(signed)
    registry, version = project.records.registry, project.records.registry.get("late", 1)
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(version.manifest.canonical())
    for name in version.manifest.files:
        (folder / name).write_bytes(registry.file(version, name))
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(registry.kept(project.entries("signature")[-1].body["bundle"]))
    words = [sys.executable, "-m", "model_signing", "verify", "key", str(folder), "--signature", str(bundle)]
    done = subprocess.run(
        [*words, "--public_key", str(signed / "ann.pub.pem")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "model.onnx").write_bytes(b"another")
    done = subprocess.run(
        [*words, "--public_key", str(signed / "ann.pub.pem")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


def test_keys_that_are_none(path: Path) -> None:
    (path / "no.pem").write_text("hello")
    for key in ("no.pem", "gone.pem"):
        with pytest.raises(InputError, match="the key cannot sign"):
            opened(path).archive.sign(1, path / key, "late")
    (path / "backstay.toml").write_text(shop.TOML + '\n[registry]\npublic_key = "gone.pem"\n')
    with pytest.raises(InputError, match=r"the public key cannot be read.*registry\.public_key"):
        load(path, 1)


def test_on_the_command_line(signed: Path) -> None:
    words = [sys.executable, "-m", "backstay", "sign", "2", "--key", str(signed / "ann.pem"), "--model", "late"]
    done = subprocess.run(
        [*words, "--project", str(signed)], capture_output=True, text=True, env=shop.environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert ["signed", "late/2"] in [line.split() for line in done.stdout.splitlines()]
    load(signed, 2)
