"""KServe's REST client against a server: URL and token as arguments; prints what it got as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

URL, TOKEN = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


async def refused(call: Awaitable[Any]) -> dict[str, Any]:
    """The status and message that a call is refused with."""
    try:
        await call
    except httpx.HTTPStatusError as error:
        return {"status": error.response.status_code, "message": str(error)}
    raise AssertionError("it was not refused")


def request(array: np.ndarray, *, binary: bool, name: str = "features") -> InferRequest:
    made = InferInput(name=name, shape=list(array.shape), datatype="FP32")
    made.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model_name="late", infer_inputs=[made], request_id="kserve")


def told(response: Any) -> dict[str, Any]:
    arrays = {one.name: one.as_numpy().tolist() for one in response.outputs if one.name != "prediction_id"}
    return {"id": response.id, **arrays}


async def main() -> None:
    width = int(httpx.get(f"{URL}/v2/models/late", headers=HEADERS).json()["inputs"][0]["shape"][1])
    matrix = np.arange(3 * width, dtype=np.float32).reshape(3, -1)
    client = InferenceRESTClient(RESTConfig(protocol="v2"))

    def infer(data: Any, model: str = "late") -> Awaitable[Any]:
        return client.infer(URL, data, model_name=model, headers=dict(HEADERS))

    by_hand = {
        "inputs": [{"name": "features", "shape": [3, width], "datatype": "FP32", "data": matrix.ravel().tolist()}]
    }
    out = {
        "live": await client.is_server_live(URL, headers=HEADERS),
        "ready": await refused(client.is_server_ready(URL, headers=HEADERS)),  # one model has no champion
        "model_ready": await client.is_model_ready(URL, "late", headers=HEADERS),
        "unborn_ready": await client.is_model_ready(URL, "unborn", headers=HEADERS),
        "nobody_ready": await client.is_model_ready(URL, "nobody", headers=HEADERS),
        "json": told(await infer(request(matrix, binary=False))),
        "binary": told(await infer(request(matrix, binary=True))),
        "by_hand": told(await infer(by_hand)),
        "refused": {
            "model": await refused(infer(by_hand, "nobody")),
            "input": await refused(infer(request(matrix, binary=True, name="x"))),
            "shape": await refused(infer(request(matrix[:, 1:].copy(), binary=False))),
            "token": await refused(client.infer(URL, by_hand, model_name="late")),
        },
    }
    await client.close()
    sys.stdout.write(json.dumps(out) + "\n")


asyncio.run(main())
