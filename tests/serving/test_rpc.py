"""gRPC against the real server: what is wrong with a call is told as it is over REST, and nothing of it is left out."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from backstay.serving.v2.messages import SERVICE, message
from tests.serving import shop
from tests.serving.shop import Server

Infer = Callable[[Any], tuple[str, Any]]


@pytest.fixture(scope="module")
def infer(administered: Server) -> Iterator[Infer]:
    """Sends a message, or bytes: the status, and the answer or what was told."""
    with grpc.insecure_channel(administered.told["grpc"]) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda one: one if isinstance(one, bytes) else one.SerializeToString(),
            response_deserializer=message("ModelInferResponse").FromString,
        )

        def send(request: Any) -> tuple[str, Any]:
            try:
                return "OK", call(request, metadata=(("authorization", f"Bearer {administered.token}"),), timeout=20)
            except grpc.RpcError as error:
                return error.code().name, error.details()

        yield send


def asked(server: Server, datatype: str = "FP32", **contents: float) -> Any:
    """A request of one row, each field of its contents filled with one value."""
    width = len(server.ask("GET", "/v2/models/late")[1]["parameters"]["features"])
    request = message("ModelInferRequest")(model_name="late")
    one = request.inputs.add(name="features", datatype=datatype, shape=[1, width])
    for field, value in contents.items():
        getattr(one.contents, field).extend([value] * width)
    return request


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"])
def test_a_message_that_cannot_be_read_is_its_senders_mistake(administered: Server, infer: Infer, data: bytes) -> None:
    log = Path(administered.log.name)
    before = log.stat().st_size
    status, told = infer(data)
    assert (status, "the message is not as the protocol has it" in told) == ("INVALID_ARGUMENT", True), told
    assert "Traceback" not in log.read_text()[before:]
    assert infer(asked(administered, fp32_contents=1.0))[0] == "OK"


@pytest.mark.parametrize(
    ("datatype", "contents", "told"),
    [
        ("FP32", {"fp32_contents": 1.0, "fp64_contents": 7.0}, "'features' is FP32, and has fp64_contents"),
        ("FP32", {"fp64_contents": 7.0}, "expected fp32_contents only"),
        ("INT8", {"int64_contents": 7}, "expected int_contents only"),
        ("FP16", {"fp32_contents": 1.0}, "expected raw contents: no typed ones hold it"),
        ("BF16", {"fp32_contents": 1.0}, "the datatype of 'features' is 'BF16'"),
        ("FP32", {"fp32_contents": float("inf")}, "is infinite, or too large"),
        ("FP64", {"fp64_contents": 1e300}, "is infinite, or too large"),
    ],
)
def test_contents_that_would_be_left_out_or_infinite_are_refused(
    administered: Server, infer: Infer, datatype: str, contents: dict[str, float], told: str
) -> None:
    status, said = infer(asked(administered, datatype, **contents))
    assert (status, told in said) == ("INVALID_ARGUMENT", True), said


def test_nan_is_a_missing_value(administered: Server, infer: Infer) -> None:
    assert infer(asked(administered, fp32_contents=float("nan")))[0] == "OK"


def test_classes_are_refused(administered: Server, infer: Infer) -> None:
    request = asked(administered, fp32_contents=1.0)
    wanted = request.outputs.add(name="score")
    wanted.parameters["classification"].int64_param = 0
    assert infer(request)[0] == "OK"
    wanted.parameters["classification"].int64_param = 2
    status, told = infer(request)
    assert (status, "classification of 'score' is asked for" in told) == ("INVALID_ARGUMENT", True), told


def test_a_call_that_has_come_when_it_stops_is_answered(path: Path) -> None:
    """Of calls that gRPC had read and we had not, each ended as CANCELLED: one a connection, at every stop."""
    (path / "backstay.toml").write_text(shop.ADMIN)
    told: list[str] = []

    def ask(server: Server, request: Any) -> None:
        with grpc.insecure_channel(server.told["grpc"], [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            while told.count("UNAVAILABLE") < 12:
                try:
                    call(request, metadata=(("authorization", f"Bearer {server.token}"),), timeout=20)
                    told.append("OK")
                except grpc.RpcError as error:
                    told.append(error.code().name)

    with Server(path) as server:
        data = asked(server, fp32_contents=1.0).SerializeToString()
        clients = [threading.Thread(target=ask, args=(server, data)) for _ in range(12)]
        for one in clients:
            one.start()
        time.sleep(1)
        assert server.stop(signal.SIGTERM) == 0
        for one in clients:
            one.join()
    assert set(told) == {"OK", "UNAVAILABLE"}
    assert len(shop.logged(path)) == told.count("OK")
