"""Triton's HTTP client against a server: URL, admin URL and token as arguments; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

URL, ADMIN, TOKEN = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
client = triton.InferenceServerClient(URL.removeprefix("http://"))
admin = triton.InferenceServerClient(ADMIN.removeprefix("http://"))


def refused(call: Callable[[], Any]) -> dict[str, str]:
    """The status and message that a call is refused with."""
    try:
        call()
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    raise AssertionError("it was not refused")


def told(result: Any) -> dict[str, Any]:
    """The outputs, by name, and the response without them."""
    response = result.get_response()
    names = [output["name"] for output in response["outputs"]]
    arrays = {name: result.as_numpy(name) for name in names}
    arrays = {k: [one.decode() if isinstance(one, bytes) else one for one in v.tolist()] for k, v in arrays.items()}
    return {"model": response["model_name"], "version": response["model_version"], "id": response.get("id"), **arrays}


def tensor(name: str, array: np.ndarray, datatype: str, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def infer(*inputs: triton.InferInput, model: str = "late", **more: Any) -> Any:
    # A copy: the client writes headers of its own into what it is given.
    return client.infer(model, list(inputs), headers=dict(HEADERS), **more)


metadata = client.get_model_metadata("late", headers=HEADERS)
features = metadata["parameters"]["features"]
matrix = np.arange(3 * len(features), dtype=np.float32).reshape(3, -1)
rows = tensor("features", matrix, "FP32")
columns = [tensor(name, matrix[:, [place]].astype(np.float64), "FP64") for place, name in enumerate(features)]
shops = np.array([b"shop1", b"shop2", b"shop3"], dtype=np.object_)
out = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready("late", headers=HEADERS),
    "version_ready": client.is_model_ready("late", "1", headers=HEADERS),
    "other_version_ready": client.is_model_ready("late", "7", headers=HEADERS),
    "unborn_ready": client.is_model_ready("unborn", headers=HEADERS),
    "server": client.get_server_metadata(headers=HEADERS),
    "metadata": metadata,
    "binary": told(infer(rows, request_id="one")),
    "json": told(
        infer(
            tensor("features", matrix, "FP32", binary=False),
            outputs=[triton.InferRequestedOutput(n, binary_data=False) for n in ("decision", "score")],
        )
    ),
    "mixed": told(
        infer(
            rows,
            model_version="1",
            outputs=[
                triton.InferRequestedOutput("score", binary_data=True),
                triton.InferRequestedOutput("prediction_id", binary_data=False),
            ],
        )
    ),
    "columns": told(infer(*columns)),
    "keys": told(
        infer(
            rows,
            tensor("shop", shops, "BYTES"),
            tensor("counter", np.array([1, 2, 3], np.int64), "INT64", binary=False),
        )
    ),
    "compressed": [
        told(infer(rows, request_compression_algorithm=way, response_compression_algorithm=way))
        for way in ("gzip", "deflate")
    ],
    "many": len(
        told(
            infer(
                tensor("features", np.tile(matrix, (100, 1)), "FP32"),
                request_compression_algorithm="gzip",
                response_compression_algorithm="gzip",
            )
        )["score"]
    ),
    "in_time": told(infer(rows, timeout=20_000_000)),
    "refused": {
        "model": refused(lambda: infer(rows, model="nobody")),
        "unborn": refused(lambda: infer(rows, model="unborn")),
        "version": refused(lambda: infer(rows, model_version="9")),
        "shape": refused(lambda: infer(tensor("features", matrix[:, :-1].copy(), "FP32"))),
        "input": refused(lambda: infer(tensor("x", matrix, "FP32"))),
        "datatype": refused(lambda: infer(tensor("features", shops.reshape(3, 1), "BYTES"))),
        "missing": refused(lambda: infer(*columns[1:])),
        "output": refused(lambda: infer(rows, outputs=[triton.InferRequestedOutput("label")])),
        "classes": refused(lambda: infer(rows, outputs=[triton.InferRequestedOutput("score", class_count=2)])),
        "late": refused(lambda: infer(rows, timeout=1)),
        "token": refused(lambda: client.infer("late", [rows])),
        "index": refused(lambda: client.get_model_repository_index(headers=HEADERS)),
        "unload": refused(lambda: client.unload_model("late", headers=HEADERS)),
        "memory": refused(lambda: client.get_system_shared_memory_status(headers=HEADERS)),
        "load": refused(lambda: admin.load_model("unborn", headers=HEADERS)),
        "admin_token": refused(admin.get_model_repository_index),
        "config": refused(lambda: admin.load_model("late", headers=HEADERS, config="{}")),
    },
    "index": admin.get_model_repository_index(headers=HEADERS),
}
admin.unload_model("late", headers=HEADERS)
out["unloaded"] = {
    "index": admin.get_model_repository_index(headers=HEADERS),
    "ready": client.is_model_ready("late", headers=HEADERS),
    "infer": refused(lambda: infer(rows)),
}
admin.load_model("late", headers=HEADERS)
out["loaded"] = {"ready": client.is_model_ready("late", headers=HEADERS), "infer": told(infer(rows))}
sys.stdout.write(json.dumps(out) + "\n")
