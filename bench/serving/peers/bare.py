"""The limit: a bare ASGI application that decodes a V2 request, scores one matrix and answers. It checks nothing."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort


class Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Request(msgspec.Struct):
    inputs: list[Tensor]


_options = ort.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_session = ort.InferenceSession(os.environ["BENCH_MODEL"], _options, providers=["CPUExecutionProvider"])
_output = _session.get_outputs()[-1].name
_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    tensor = _decode(body).inputs[0]
    vector = np.array(tensor.data, np.float32).reshape(tensor.shape)
    scores = _session.run([_output], {"x": vector})[0][:, 1].tolist()
    data = _encode(
        {
            "model_name": "high",
            "outputs": [{"name": "score", "shape": [len(scores)], "datatype": "FP32", "data": scores}],
        }
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})
