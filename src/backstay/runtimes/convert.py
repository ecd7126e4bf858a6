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

Scikit-learn's histogram boosting has thresholds of 64 bits, too; they are floored as well. What else of scikit-learn is
converted otherwise than skl2onnx does, `converters` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backstay.core.errors import BackstayError
from backstay.core.packages import need
from backstay.runtimes.converters import UNKNOWN, registered
from backstay.runtimes.floors import float32_floor
from backstay.runtimes.refusing import refuse

_OPSET = 15
_OPSET_ML = 3
_ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold: what is not further from zero is zero


def _thresholds(values: list[float]) -> list[float]:
    """The float32 that asks of a float32 what LightGBM asks with each threshold: see the module's text."""
    exact = np.array(values, np.float64)
    zero = np.where(exact >= 0.0, _ZERO, np.nextafter(-_ZERO, np.float32(-np.inf)))
    told: list[float] = np.where(np.abs(exact) <= float(_ZERO), zero, float32_floor(exact)).tolist()
    return told


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
    """The ONNX file of a scikit-learn classifier or pipeline, where skl2onnx can write one; else its step is named."""
    try:
        converted = _converted(estimator, width, options={id(estimator): {"zipmap": False}})
        made = [name for node in converted.graph.node for name in node.output]
        refuse(converted, [name for name in made if name.startswith(UNKNOWN)])
        return _bytes(converted)
    except Exception as error:  # what it raises for a part that it does not know is not one type
        step, told = _cause(estimator, error)
        if "LGBM" in step or "XGB" in step:
            fix = "let it stand alone, as boosters need no scaling and take missing values; or"
        elif "FunctionTransformer" in step:
            fix = "compute it as a Derived feature of the feature set; or"
        else:
            fix = "leave the step out, or compute it as Derived features; or"
        raise _unsupported(
            f"{type(estimator).__qualname__}, because of {step}: {told}",
            "an LGBMClassifier, or a scikit-learn classifier or pipeline that skl2onnx converts",
            f"{fix} serve it as it is with runtime='sklearn-pickle' and trust_code=True, where pickles can be trusted",
        ) from error


def _converted(estimator: Any, width: int, **options: Any) -> Any:
    types = need("skl2onnx.common.data_types")
    return need("skl2onnx").convert_sklearn(
        estimator,
        name="model",
        initial_types=[("x", types.FloatTensorType([None, width]))],
        target_opset={"": _OPSET, "ai.onnx.ml": _OPSET_ML},
        **registered(),
        **options,
    )


def _cause(estimator: Any, error: Exception) -> tuple[str, str]:
    """The first step that can't be converted by itself, or else after those before it, by its place in the pipeline,
    and what is said of it."""
    for place, step in _steps(estimator):
        width = getattr(step, "n_features_in_", None)
        if width is None:
            continue
        try:
            _converted(step, int(width))
        except Exception as own:  # noqa: BLE001 - of any type: it is what is looked for
            return f"step {place} ({type(step).__qualname__})", _line(own)
    steps = getattr(estimator, "steps", None) or []
    for count in range(2, len(steps) + 1):
        try:
            _converted(estimator[:count], int(steps[0][1].n_features_in_))
        except Exception as own:  # noqa: BLE001 - as above
            name, step = steps[count - 1]
            return f"step {name} ({type(step).__qualname__}) after those before it", _line(own)
    return type(estimator).__qualname__, _line(error)


def _steps(estimator: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The fitted parts of a pipeline, of a column transformer or a union, each after its own parts."""
    parts = getattr(estimator, "steps", None) or getattr(estimator, "transformers_", None)
    parts = parts or getattr(estimator, "transformer_list", None)
    for name, part, *_ in parts or []:
        if hasattr(part, "get_params"):
            yield from _steps(part, f"{place}{name}.")
            yield f"{place}{name}", part


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


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
    splits = list(_splits(dump, places, parts["nodes_truenodeids"].ints, parts["nodes_falsenodeids"].ints))
    if any(split["decision_type"] != "<=" or split["missing_type"] == "Zero" for _, split in splits):
        raise _unsupported("a categorical split, or zero_as_missing", "numeric splits with NaN as missing")
    thresholds = _thresholds([split["threshold"] for _, split in splits])
    for (place, split), threshold in zip(splits, thresholds, strict=True):
        if modes[place] != b"BRANCH_LEQ" or features[place] != split["split_feature"]:
            raise BackstayError("the converted trees are not those that were trained", fix="report this as a bug")
        values[place] = threshold
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


def _unsupported(what: str, expected: str, fix: str = "") -> BackstayError:
    return BackstayError(
        f"no ONNX file can be written for {what}",
        where="estimator",
        expected=expected,
        fix=fix or "choose runtime='lightgbm', which serves LightGBM's own form",
    )
