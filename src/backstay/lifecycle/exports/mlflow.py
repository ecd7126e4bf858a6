"""To MLflow: a folder in its model format, with the flavours `onnx` and `python_function`.

It scores as Backstay does: ONNX Runtime on one thread, one float32 matrix in, the columns in the vector's order. The
signature is that of the ONNX file, so that what does not fit is refused before it is scored. A calibration that is in
force is no part of the files: it is named in the metadata, and what comes out is the raw score.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from backstay.core.errors import InputError
from backstay.core.times import instant_datetime
from backstay.lifecycle.about import About
from backstay.lifecycle.exports.parts import deciding, served
from backstay.lifecycle.records import Records
from backstay.runtimes.onnx import FILE, Tensor, tensors

_NEEDED = ("numpy", "onnx", "onnxruntime")


def files(records: Records, told: About) -> dict[str, bytes]:
    """The folder's files by path."""
    version, scoring = told.version, told.manifest.scorer
    if scoring.format != "onnx":
        raise InputError(
            f"its files are of the runtime {scoring.format!r}",
            where=f"{version.model}/{version.number}",
            expected="a version of the runtime 'onnx'",
            fix="train a version with runtime='onnx', or export it to sagemaker or vertex, with an image that reads it",
        )
    found = served(records, told)
    python = (told.manifest.code.interpreter.split()[1:] or [""])[0]
    needed = [f"{name}=={told.manifest.code.packages[name]}" for name in _NEEDED if name in told.manifest.code.packages]
    requirements = ["mlflow", *needed]
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}" if python else "python", "pip", {"pip": requirements}],
    }
    environment: dict[str, Any] = {"build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    if python:  # of a version that was imported, it may not be known
        environment = {"python": python, **environment}
    return {
        **found,
        "MLmodel": yaml(_described(told, found[FILE], python)),
        "conda.yaml": yaml(conda),
        "python_env.yaml": yaml(environment),
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
    }


def _described(told: About, model: bytes, python: str) -> dict[str, Any]:
    version = told.version
    inputs, outputs = tensors(model)
    return {
        "flavors": {
            "onnx": {
                "data": FILE,
                "onnx_version": told.manifest.code.packages.get("onnx", ""),
                "providers": ["CPUExecutionProvider"],
                "onnx_session_options": {
                    "intra_op_num_threads": 1, "inter_op_num_threads": 1, "execution_mode": "sequential",
                },
                "code": None,
            },
            "python_function": {
                "data": FILE,
                "loader_module": "mlflow.onnx",
                "python_version": python,
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            },
        },
        "metadata": {
            "backstay": {
                "project": told.project, "model": version.model, "version": version.number,
                "manifest": version.digest, "columns": list(told.manifest.feature_set.vector),
                **deciding(told),
            }
        },
        "model_uuid": version.digest[:32],
        "signature": {"inputs": _specs(inputs), "outputs": _specs(outputs), "params": None},
        "utc_time_created": instant_datetime(version.at).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }  # fmt: skip


def _specs(found: list[Tensor]) -> str:
    """Tensors as MLflow's signature has them: JSON inside the YAML. A lone one needs no name: an array will do.

    The first dimension is that of the rows, also where a converter wrote 1 (onnxmltools does, for the label).
    """
    specs: list[dict[str, Any]] = []
    for one in found:
        spec = {"type": "tensor", "tensor-spec": {"dtype": one.dtype, "shape": [-1, *one.shape[1:]]}}
        specs.append(spec if len(found) == 1 else {"name": one.name, **spec})
    return json.dumps(specs)


def yaml(value: Mapping[str, Any]) -> bytes:
    """Plain data as YAML in block form; scalars are written as JSON has them, which YAML reads.

    >>> print(yaml({"a": {"b": [1, {"c": "x: y"}]}, "d": []}).decode(), end="")
    a:
      b:
        - 1
        -
          c: "x: y"
    d: []
    """
    return "".join(f"{line}\n" for line in _lines(value, "")).encode()


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        pairs = [(f"{name}:", one) for name, one in value.items()]
    else:
        pairs = [("-", one) for one in value]
    for head, one in pairs:
        if isinstance(one, Mapping | list) and one:
            yield f"{indent}{head}"
            yield from _lines(one, indent + "  ")
        else:
            yield f"{indent}{head} {json.dumps(one, ensure_ascii=False)}"
