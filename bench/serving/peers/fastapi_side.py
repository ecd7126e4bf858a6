"""What a team writes by hand: FastAPI, pydantic and `Booster.predict`, under uvicorn with uvloop and httptools."""

from __future__ import annotations

import os

import lightgbm
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

booster = lightgbm.Booster(model_file=os.environ["BENCH_MODEL_TEXT"])
app = FastAPI()


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(BaseModel):
    inputs: list[Tensor]


class Output(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferResponse(BaseModel):
    model_name: str
    outputs: list[Output]


@app.get("/v2/health/ready")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post("/v2/models/high/infer")
async def infer(request: InferRequest) -> InferResponse:
    tensor = request.inputs[0]
    matrix = np.array(tensor.data, np.float32).reshape(tensor.shape)
    scores = booster.predict(matrix, num_threads=1).tolist()
    output = Output(name="score", shape=[len(scores)], datatype="FP64", data=scores)
    return InferResponse(model_name="high", outputs=[output])
