"""From a trained estimator to an ONNX file that gives the same scores.

LightGBM compares a feature to a 64-bit threshold, ONNX to a 32-bit one. Rounding the threshold to the nearest sends a
row whose value lies between the two down the other branch, and its score may move by anything. Rounding it *down* does
not: for a 32-bit x, `x <= threshold` and `x <= floor32(threshold)` are the same question.

    ok      0.1 -> 0.099999994     the largest float32 that is not above
    not ok  0.1 -> 0.100000001     the nearest float32: a feature of just that value changes sides

Two more habits of LightGBM are written into the file. A feature that was never missing in training reads a missing
value as 0.0; and any value within 1e-35 of zero is read as zero, which matters where a threshold lies that close.

What is left is rounding in the sum over trees: less than 1e-6. What the converter gets wrong altogether (random
forests, linear trees) is not looked for here: `fit` compares the scores, and refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import BackstayError
from backstay.training.packages import need

_OPSET = 15
_OPSET_ML = 3
_ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold: what is not further from zero is zero


def float32_floor(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each value.

    >>> float(float32_floor([0.1])[0]) <= 0.1 < float(np.float32(0.1))
    True
    """
    exact = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > exact, below, nearest).astype(np.float32)


def _threshold(value: float) -> float:
    """The float32 that asks of a float32 what LightGBM asks with this threshold: see the module's text."""
    if abs(value) <= float(_ZERO):
        return float(_ZERO if value >= 0.0 else np.nextafter(-_ZERO, np.float32(-np.inf)))
    return float(float32_floor(value))


def lightgbm_to_onnx(text: str, width: int) -> bytes:
    """The ONNX file of a binary LightGBM model in its text form; the same text gives the same bytes."""
    types = need("onnxmltools.convert.common.data_types")
    booster = need("lightgbm").Booster(model_str=text)
    dump = booster.dump_model()
    if not str(dump.get("objective", "")).startswith("binary"):
        raise _unsupported(f"the LightGBM objective {dump.get('objective')!r}", "the objective 'binary'")
    converted = need("onnxmltools").convert_lightgbm(
        booster,
        name="model",
        initial_types=[("x", types.FloatTensorType([None, width]))],
        target_opset=_OPSET,
        zipmap=False,
    )
    _mend_trees(converted, dump)
    return _bytes(converted)


def sklearn_to_onnx(estimator: Any, width: int) -> bytes:
    """The ONNX file of a scikit-learn classifier or pipeline, where skl2onnx can write one."""
    skl2onnx = need("skl2onnx")
    types = need("skl2onnx.common.data_types")
    try:
        converted = skl2onnx.convert_sklearn(
            estimator,
            name="model",
            initial_types=[("x", types.FloatTensorType([None, width]))],
            options={id(estimator): {"zipmap": False}},
            target_opset={"": _OPSET, "ai.onnx.ml": _OPSET_ML},
        )
    except Exception as error:  # what it raises for a part that it does not know is not one type
        kind = type(estimator).__qualname__
        raise _unsupported(
            f"{kind}: {(str(error).splitlines() or [''])[0][:200]}",
            "LGBMClassifier, or a scikit-learn classifier or pipeline that skl2onnx converts",
        ) from error
    return _bytes(converted)


def _bytes(converted: Any) -> bytes:
    """The file, the same for the same model: the converters write the operator sets in the order of a hash."""
    ordered = sorted(converted.opset_import, key=lambda one: str(one.domain))
    del converted.opset_import[:]
    converted.opset_import.extend(ordered)
    return bytes(converted.SerializeToString(deterministic=True))


def _mend_trees(converted: Any, dump: dict[str, Any]) -> None:
    """Write the floored thresholds and the branches of missing values into the graph, in place."""
    (trees,) = (node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier")
    parts = {attribute.name: attribute for attribute in trees.attribute}
    nodes = zip(parts["nodes_treeids"].ints, parts["nodes_nodeids"].ints, strict=True)
    places = {node: place for place, node in enumerate(nodes)}
    values, tracks = parts["nodes_values"].floats, parts["nodes_missing_value_tracks_true"].ints
    features, modes = parts["nodes_featureids"].ints, parts["nodes_modes"].strings
    for place, split in _splits(dump, places, parts["nodes_truenodeids"].ints, parts["nodes_falsenodeids"].ints):
        if split["decision_type"] != "<=" or split["missing_type"] == "Zero":
            raise _unsupported("a categorical split, or zero_as_missing", "numeric splits with NaN as missing")
        if modes[place] != b"BRANCH_LEQ" or features[place] != split["split_feature"]:
            raise BackstayError("the converted trees are not those that were trained", fix="report this as a bug")
        values[place] = _threshold(split["threshold"])
        left_if_missing = split["default_left"] if split["missing_type"] == "NaN" else split["threshold"] >= 0.0
        tracks[place] = int(left_if_missing)


def _splits(
    dump: dict[str, Any], places: dict[tuple[int, int], int], left: Any, right: Any
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each split of the trained trees, with its place in the arrays of the graph."""
    for tree, info in enumerate(dump["tree_info"]):
        todo = [(info["tree_structure"], 0)]
        while todo:
            split, node = todo.pop()
            if "split_feature" in split:
                place = places[tree, node]
                todo += [(split["left_child"], left[place]), (split["right_child"], right[place])]
                yield place, split


def _unsupported(what: str, expected: str) -> BackstayError:
    return BackstayError(
        f"no ONNX file can be written for {what}",
        where="estimator",
        expected=expected,
        fix="choose another estimator; move what a pipeline computes into Derived features",
    )
