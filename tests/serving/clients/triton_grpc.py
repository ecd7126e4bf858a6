"""Triton's gRPC client against a server: address and token as arguments; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

ADDRESS, TOKEN = sys.argv[1:]
HEADERS = {"authorization": f"Bearer {TOKEN}"}
client = triton.InferenceServerClient(ADDRESS)
stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(ADDRESS))


def refused(call: Callable[[], Any]) -> dict[str, str]:
    """The status and message that a call is refused with."""
    try:
        call()
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    except grpc.RpcError as error:
        return {"status": str(error.code()), "message": error.details()}
    raise AssertionError("it was not refused")


def told(result: Any) -> dict[str, Any]:
    response = result.get_response()
    arrays = {one.name: result.as_numpy(one.name).tolist() for one in response.outputs}
    arrays = {k: [one.decode() if isinstance(one, bytes) else one for one in v] for k, v in arrays.items()}
    return {"model": response.model_name, "version": response.model_version, "id": response.id, **arrays}


def tensor(name: str, array: np.ndarray, datatype: str) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def infer(*inputs: triton.InferInput, model: str = "late", **more: Any) -> Any:
    return client.infer(model, list(inputs), headers=dict(HEADERS), **more)


def typed(datatype: str, field: str, values: list[Any], *, shape: list[int], raw: bytes | None = None) -> Any:
    """An inference with typed contents, as a client that is made from the protocol's file sends it."""
    request = service_pb2.ModelInferRequest(model_name="late", id="typed")
    one = request.inputs.add(name="features", datatype=datatype, shape=shape)
    getattr(one.contents, field).extend(values)
    if raw is not None:
        request.raw_input_contents.append(raw)
    return stub.ModelInfer(request, metadata=tuple(HEADERS.items()))


def outputs(response: Any) -> dict[str, Any]:
    fields = {"FP64": "fp64_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}
    out = {one.name: list(getattr(one.contents, fields[one.datatype])) for one in response.outputs}
    return {"score": out["score"], "decision": out["decision"], "raw": len(response.raw_output_contents)}


metadata = client.get_model_metadata("late", headers=HEADERS, as_json=True)
width = int(metadata["inputs"][0]["shape"][1])
matrix = np.arange(3 * width, dtype=np.float32).reshape(3, -1)
flat = matrix.ravel().tolist()
rows = tensor("features", matrix, "FP32")
shops = np.array([b"shop1", b"shop2", b"shop3"], dtype=np.object_)
out = {
    "live": client.is_server_live(headers=HEADERS),
    "ready": client.is_server_ready(headers=HEADERS),
    "model_ready": client.is_model_ready("late", headers=HEADERS),
    "version_ready": client.is_model_ready("late", "1", headers=HEADERS),
    "other_version_ready": client.is_model_ready("late", "7", headers=HEADERS),
    "unborn_ready": client.is_model_ready("unborn", headers=HEADERS),
    "server": client.get_server_metadata(headers=HEADERS, as_json=True),
    "metadata": metadata,
    "raw": told(infer(rows, request_id="one")),
    "chosen": told(infer(rows, model_version="1", outputs=[triton.InferRequestedOutput("score")])),
    "keys": told(infer(rows, tensor("shop", shops, "BYTES"))),
    "compressed": told(infer(rows, compression_algorithm="gzip")),
    "in_time": told(infer(rows, client_timeout=20, timeout=20_000_000)),
    "typed": outputs(typed("FP32", "fp32_contents", flat, shape=[3, width])),
    "integers": outputs(typed("INT64", "int64_contents", [int(one) for one in flat], shape=[3, width])),
    "refused": {
        "model": refused(lambda: infer(rows, model="nobody")),
        "unborn": refused(lambda: infer(rows, model="unborn")),
        "version": refused(lambda: infer(rows, model_version="9")),
        "shape": refused(lambda: infer(tensor("features", matrix[:, :-1].copy(), "FP32"))),
        "input": refused(lambda: infer(tensor("x", matrix, "FP32"))),
        "output": refused(lambda: infer(rows, outputs=[triton.InferRequestedOutput("label")])),
        "late": refused(lambda: infer(rows, timeout=1)),
        "token": refused(lambda: client.infer("late", [rows])),
        "short": refused(lambda: typed("FP32", "fp32_contents", flat[:-1], shape=[3, width])),
        "both": refused(lambda: typed("FP32", "fp32_contents", flat, shape=[3, width], raw=matrix.tobytes())),
        "large": refused(lambda: infer(tensor("features", np.zeros((50_000, width), np.float32), "FP32"))),
        "index": refused(lambda: client.get_model_repository_index(headers=HEADERS)),
        "unload": refused(lambda: client.unload_model("late", headers=HEADERS)),
        "stream": refused(lambda: client.get_inference_statistics(headers=HEADERS)),
    },
}
sys.stdout.write(json.dumps(out) + "\n")
