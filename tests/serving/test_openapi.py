"""The API is as its OpenAPI document says: schemathesis sends what the document allows, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.shop import Server

# 503 is a model without a champion, 504 a deadline that has passed: answers like others.
SETTINGS = """[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503, 504]
"""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"


@pytest.fixture(scope="module")
def document(administered: Server) -> dict[str, dict[str, object]]:
    status, told = administered.ask("GET", "/openapi.json")
    assert status == 200
    return dict(told)


def test_every_model_feature_set_and_source_is_in_it(document: dict[str, dict[str, object]]) -> None:
    assert {
        "/v1/models/late/predict", "/v2/models/late/infer", "/v2/models/unborn", "/v1/features/order",
        "/v1/sources/orders/events", "/v2/health/ready", "/metrics",
    } <= document["paths"].keys()  # fmt: skip


def test_schemathesis_finds_nothing(administered: Server, tmp_path: Path) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", settings, "run",
        f"{administered.told['url']}/openapi.json", "--header", f"Authorization: Bearer {administered.token}",
        "--checks", CHECKS, "--max-examples", "30", "--phases", "examples,coverage,fuzzing", "--no-color",
        "--seed", "7", "--generation-database", "none", "--suppress-health-check", "all",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-9_000:] + done.stderr[-2_000:]
