"""Models as a team that uses MLflow logs and registers them, with MLflow's own client.

Arguments: the tracking URI, an ONNX file, a LightGBM file, and the names of their inputs in order, with commas.
"""

from __future__ import annotations

import os
import sys
import warnings

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
warnings.simplefilter("ignore")
import lightgbm  # noqa: E402
import mlflow.data  # noqa: E402
import mlflow.lightgbm  # noqa: E402
import mlflow.onnx  # noqa: E402
import mlflow.pyfunc  # noqa: E402
import mlflow.sklearn  # noqa: E402
import mlflow.xgboost  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import xgboost  # noqa: E402
from mlflow.models import ModelSignature  # noqa: E402
from mlflow.types.schema import ColSpec, Schema, TensorSpec  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

uri, onnx_file, text_file, joined = sys.argv[1:]
names = joined.split(",")
mlflow.set_tracking_uri(uri)
mlflow.set_experiment("theirs")
rng = np.random.default_rng(0)
rows = rng.normal(size=(200, len(names)))
yes = rows[:, 0] > 0


def columns(some: list[str]) -> ModelSignature:
    return ModelSignature(Schema([ColSpec("float", name) for name in some]))


def tensor(width: int) -> ModelSignature:
    return ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, width))]))


class Code(mlflow.pyfunc.PythonModel):
    def predict(self, context: object, model_input: object, params: object = None) -> object:
        return model_input


def deep(width: int) -> onnx.ModelProto:
    """A network whose tensors are large enough that MLflow puts them beside the model."""
    make = onnx.helper
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((width, 300), (300, 2))]
    nodes = [
        make.make_node("MatMul", ["x", "first"], ["a"]),
        make.make_node("Tanh", ["a"], ["b"]),
        make.make_node("MatMul", ["b", "second"], ["c"]),
        make.make_node("Softmax", ["c"], ["probabilities"], axis=1),
    ]
    graph = make.make_graph(
        nodes,
        "deep",
        [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, width])],
        [make.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, 2])],
        [onnx.numpy_helper.from_array(one, name) for one, name in zip(weights, ("first", "second"), strict=True)],
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)


graph, booster = onnx.load(onnx_file), lightgbm.Booster(model_file=text_file)
narrow = lightgbm.train({"verbose": -1, "objective": "binary"}, lightgbm.Dataset(rows[:, :3], yes), 2)
trees = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(rows, yes), 2)
pickled = LogisticRegression().fit(rows, yes)
more = {"name": "model", "pip_requirements": ["onnxruntime==1.20.0", "numpy"]}
with mlflow.start_run(tags={"mlflow.source.git.commit": "c0ffee"}):
    mlflow.log_params({"num_leaves": 7})
    mlflow.log_metric("auc", float("nan"))
    mlflow.log_input(mlflow.data.from_numpy(rows, targets=yes, name="orders"))
    mlflow.onnx.log_model(graph, signature=columns(names), registered_model_name="theirs_onnx", **more)
with mlflow.start_run():
    mlflow.onnx.log_model(graph, signature=columns(names[::-1]), registered_model_name="theirs_reversed", **more)
    mlflow.onnx.log_model(graph, signature=tensor(3), registered_model_name="theirs_tensor", **more)
    mlflow.lightgbm.log_model(booster, registered_model_name="theirs_booster", **more)
    mlflow.lightgbm.log_model(narrow, registered_model_name="theirs_narrow", **more)
    mlflow.sklearn.log_model(pickled, serialization_format="cloudpickle", registered_model_name="theirs_pickle", **more)
    mlflow.onnx.log_model(deep(len(names)), registered_model_name="theirs_deep", **more)
    mlflow.xgboost.log_model(trees, model_format="json", registered_model_name="theirs_trees", **more)
    mlflow.pyfunc.log_model(python_model=Code(), registered_model_name="theirs_code", **more)
mlflow.MlflowClient().set_registered_model_alias("theirs_onnx", "best", "1")
sys.stdout.write("null\n")
