"""What MLflow's own client makes of models: the scores of their flavour `python_function`, and what it sees of them.

Arguments: a .npy file of rows, the tracking URI, and the models' URIs or folders.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow.onnx
import mlflow.pyfunc
import numpy as np

rows, server, *models = sys.argv[1:]
mlflow.set_tracking_uri(server)
vector = np.load(rows, allow_pickle=False)


def told(uri: str) -> dict[str, Any]:
    loaded = mlflow.pyfunc.load_model(uri)
    answer = loaded.predict(vector)
    try:
        loaded.predict(vector[:, 1:])
        refused = ""
    except Exception as error:  # noqa: BLE001 - of which kind is MLflow's affair
        refused = type(error).__name__
    return {
        "outputs": {name: np.asarray(value).tolist() for name, value in answer.items()},
        "nodes": len(mlflow.onnx.load_model(uri).graph.node),
        "metadata": loaded.metadata.metadata,
        "width": loaded.metadata.get_input_schema().inputs[0].shape[-1],
        "refused": refused,
    }


sys.stdout.write(json.dumps([told(one) for one in models]) + "\n")
