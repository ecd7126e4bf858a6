"""The API is as its OpenAPI document says: schemathesis sends what the document allows, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.serving.shop import Server

# 503 is a model without a champion, 504 a deadline that has passed: answers like others.
SETTINGS = """[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503, 504]
"""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"


@pytest.fixture(scope="module")
def document(administered: Server) -> dict[str, dict[str, Any]]:
    status, told = administered.ask("GET", "/openapi.json")
    assert status == 200
    return dict(told)


def test_every_model_feature_set_and_source_is_in_it(document: dict[str, dict[str, object]]) -> None:
    assert {
        "/v1/models/late/predict", "/v2/models/late/infer", "/v2/models/unborn", "/v1/features/order",
        "/v1/sources/orders/events", "/v2/health/ready", "/metrics",
    } <= document["paths"].keys()  # fmt: skip


def test_the_binary_form_and_a_versions_own_paths_are_in_it(document: dict[str, dict[str, Any]]) -> None:
    for path in ("/v2/models/late", "/v2/models/late/versions/{version}"):
        assert "get" in document["paths"][path]
        assert "get" in document["paths"][f"{path}/ready"]
        infer = document["paths"][f"{path}/infer"]["post"]
        assert "Inference-Header-Content-Length" in {one["name"] for one in infer["parameters"]}
        for content in (infer["requestBody"]["content"], infer["responses"]["200"]["content"]):
            assert content.keys() == {"application/json", "application/octet-stream"}
        schema = infer["requestBody"]["content"]["application/json"]["schema"]
        tensor, output = (schema["properties"][one]["items"] for one in ("inputs", "outputs"))
        assert "data" not in tensor["required"]
        assert {"binary_data_size", "binary_data"} == {
            name for one in (tensor, output) for name in one["properties"]["parameters"]["properties"]
        }


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
