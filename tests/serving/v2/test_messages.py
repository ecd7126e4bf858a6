"""The messages of gRPC: numbers are the standard's, shown by bytes written down by hand, and found by reflection."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from backstay.serving.v2.messages import ALL_METHODS, SERVICE, message, pool
from tests.serving.shop import Server


def test_bytes_are_those_of_the_standard() -> None:
    request = message("ModelInferRequest")(model_name="m", model_version="1", id="i")
    one = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    one.contents.fp32_contents.extend([1.0])
    request.parameters["timeout"].int64_param = 5
    request.raw_input_contents.append(b"ab")
    by_hand = (
        b"\x0a\x01m\x12\x01" + b"1\x1a\x01i"
        b"\x22\x0d\x0a\x07timeout\x12\x02\x10\x05"
        b"\x2a\x15\x0a\x01x\x12\x04FP32\x1a\x02\x01\x02\x2a\x06\x32\x04\0\0\x80\x3f"
        b"\x3a\x02ab"
    )
    assert request.SerializeToString() == by_hand
    assert message("ModelInferRequest").FromString(by_hand) == request


def test_they_stand_in_a_pool_of_their_own() -> None:
    service = pool().FindServiceByName(SERVICE)
    assert [method.name for method in service.methods] == list(ALL_METHODS)
    try:
        descriptor_pool.Default().FindServiceByName(SERVICE)
    except KeyError:
        return
    raise AssertionError("the default pool has the service, where a client's own would collide with it")


class Bearer(grpc.StreamStreamClientInterceptor):
    """Sends a token with each call, as tools do that are told to."""

    def __init__(self, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(details._replace(metadata=self._metadata), requests)


@pytest.mark.parametrize("more", [[], ["wrong"]])
def test_without_a_token_reflection_tells_nothing(administered: Server, more: list[str]) -> None:
    with grpc.insecure_channel(administered.told["grpc"]) as channel:
        asked = grpc.intercept_channel(channel, *(Bearer(one) for one in more))
        with pytest.raises(grpc.RpcError) as caught:
            ProtoReflectionDescriptorDatabase(asked).get_services()
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "Authorization: Bearer TOKEN" in caught.value.details()


def test_tools_find_the_service_by_reflection(administered: Server) -> None:
    with grpc.insecure_channel(administered.told["grpc"]) as channel:
        found = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(channel, Bearer(administered.token)))
        assert SERVICE in found.get_services()
        file: FileDescriptorProto = found.FindFileContainingSymbol(SERVICE)
    assert {"ModelInferRequest", "ModelInferResponse"} <= {one.name for one in file.message_type}
