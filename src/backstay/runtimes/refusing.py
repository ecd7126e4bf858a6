"""A row that the estimator refuses has no score: the ONNX file gives it NaN, and scores the rows beside it.

An estimator that takes no missing values raises on one; trees in a file would take some branch, and say nothing. What
is added to the probabilities is 0 for every other row, and changes no bit.

    x * 0       NaN where an input is missing (or infinite), else 0
    0 / known   NaN where a category is unknown, else 0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstay.core.packages import need

_SCORES = "scores_of_rows_that_are_taken"


def refuse_missing(model: bytes, inputs: Sequence[int]) -> bytes:
    """The file, with no score where one of these inputs (by place) is missing."""
    onnx = need("onnx")
    loaded = onnx.load_from_string(model)
    graph, helper = loaded.graph, onnx.helper
    number = len(graph.node)

    def node(kind: str, *given: str, **attributes: Any) -> str:
        made = f"refused_{kind.lower()}_{number}"
        graph.node.append(helper.make_node(kind, list(given), [made], name=made, **attributes))
        return made

    def constant(name: str, kind: int, values: Sequence[float]) -> str:
        graph.initializer.append(helper.make_tensor(f"{name}_{number}", kind, [len(values)], list(values)))
        return f"{name}_{number}"

    places = constant("refused_places", onnx.TensorProto.INT64, list(inputs))
    zero = constant("refused_zero", onnx.TensorProto.FLOAT, [0.0])
    nothing = node("Mul", node("Gather", graph.input[0].name, places, axis=1), zero)
    refuse(loaded, [node("ReduceMean", nothing, axes=[1], keepdims=1)])
    return bytes(loaded.SerializeToString(deterministic=True))


def refuse(model: Any, tensors: Sequence[str]) -> None:
    """Add these, of shape (rows, 1), to the probabilities that the graph makes, in place."""
    helper, graph = need("onnx").helper, model.graph
    output = next(one for one in graph.output if len(one.type.tensor_type.shape.dim) == 2)
    for tensor in tensors:
        made = f"{_SCORES}_{len(graph.node)}"
        graph.node.append(helper.make_node("Add", [output.name, tensor], [made], name=made))
        output.name = made
