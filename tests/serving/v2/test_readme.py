"""The README's calls by the Open Inference Protocol, as they stand there but for address, model and width."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format

from backstay.serving.v2.messages import SERVICE, message
from tests.serving import environments
from tests.serving.shop import ROOT, Server

WIDTH = 12


@pytest.fixture(scope="module")
def calls(administered: Server) -> list[str]:
    """Of the three: what stands in its fence."""
    section = (ROOT / "README.md").read_text().partition("A client of the Open Inference Protocol")[2]
    found = re.findall(r"```(?:sh|python)\n(.*?)```", section, re.DOTALL)[:3]
    assert len(administered.ask("GET", "/v2/models/late")[1]["parameters"]["features"]) == WIDTH
    for old, new in (  # the port last: it may have any of the others in it
        ("late30", "late"), ("39", str(WIDTH)), ("40", str(WIDTH + 1)), (".backstay/token", administered.told["token"]),
        ("127.0.0.1:8000", f"127.0.0.1:{administered.port}"),
    ):  # fmt: skip
        found = [one.replace(old, new) for one in found]
    return found


@pytest.fixture(scope="module")
def score(administered: Server) -> float:
    tensor = {"name": "features", "shape": [1, WIDTH], "datatype": "FP32", "data": list(range(1, WIDTH + 1))}
    return float(administered.infer({"inputs": [tensor]})[1]["outputs"][0]["data"][0])


def test_curl(calls: list[str], score: float) -> None:
    done = subprocess.run(["bash", "-ec", calls[0]], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["outputs"][0]["data"] == [score]


def test_tritons_client(calls: list[str], score: float, tmp_path: Path) -> None:
    script = tmp_path / "call.py"
    script.write_text(calls[1])
    command = [environments.python("tritonclient"), script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environments.compiling())
    assert float(done.stdout.strip("[] \n")) == pytest.approx(score)


def test_grpcurl(calls: list[str], score: float, administered: Server) -> None:
    """What it is told to send, sent as it does: it makes the message from JSON."""
    assert calls[2].startswith('grpcurl -plaintext -H "authorization: Bearer $token" -d ')
    assert f" 127.0.0.1:8001 {SERVICE}/ModelInfer" in calls[2]
    row = ",".join(map(str, range(1, WIDTH + 1)))
    (text,) = re.findall(r"-d '(.*)' \\\n", calls[2].replace("'\"$row\"'", row), re.DOTALL)
    request = json_format.Parse(text, message("ModelInferRequest")())
    with grpc.insecure_channel(administered.told["grpc"]) as channel:
        infer = channel.unary_unary(
            f"/{SERVICE}/ModelInfer", request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message("ModelInferResponse").FromString,
        )  # fmt: skip
        answer = infer(request, metadata=(("authorization", f"Bearer {administered.token}"),))
    assert list(answer.outputs[0].contents.fp64_contents) == [score]
