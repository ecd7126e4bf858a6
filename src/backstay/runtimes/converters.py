"""Converters of ours that stand before those of skl2onnx, where its files score otherwise than the estimator.

histogram boosting   thresholds of 64 bits are floored, as `convert` says; flags are integers, as onnx refuses booleans
forests and trees    a missing value takes the branch that scikit-learn sends it: skl2onnx sends each to the right
one-hot encoding     a value is a category if it equals it: skl2onnx cuts 2.5 down to 2 first
scaling              divided, and rounded as scikit-learn rounds: skl2onnx multiplies by one over it, and the last bit
                     decides at a split of a tree behind it, which lies between two neighbouring values
pipelines            the width of what a step makes is told, as a column transformer behind it asks for it

A value that an encoder refuses (`handle_unknown="error"`) gives its row no score: `UNKNOWN` names what says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.packages import need
from backstay.runtimes.floors import float32_floor

UNKNOWN = "unknown_category"
"""How the names of those tensors begin that are NaN where a row has a category that its encoder refuses, else 0."""

_CONVERTERS = "skl2onnx.operator_converters."
_SHAPES = "skl2onnx.common.shape_calculator"
_MISSING = "nodes_missing_value_tracks_true"
_FLOAT, _INT64, _DOUBLE = 1, 7, 11  # onnx.TensorProto's numbers of types


def registered() -> dict[str, dict[Any, Any]]:
    """What `convert_sklearn` is told of them."""
    ensembles, trees = need("sklearn.ensemble"), need("sklearn.tree")
    classifiers: dict[Any, Any] = {
        ensembles.HistGradientBoostingClassifier: _histogram_boosting,
        ensembles.RandomForestClassifier: _forest,
        ensembles.ExtraTreesClassifier: _forest,
        trees.DecisionTreeClassifier: _tree,
        trees.ExtraTreeClassifier: _tree,
    }
    preparing = need("sklearn.preprocessing")
    encoder, scalers = (
        preparing.OneHotEncoder,
        (preparing.StandardScaler, preparing.RobustScaler, preparing.MaxAbsScaler),
    )
    shapes = dict.fromkeys(classifiers, need(_SHAPES).calculate_linear_classifier_output_shapes)
    return {
        "custom_conversion_functions": {**classifiers, encoder: _one_hot, **dict.fromkeys(scalers, _scaler)},
        "custom_shape_calculators": {**shapes, encoder: _one_hot_shapes, **dict.fromkeys(scalers, _scaler_shapes)},
        "custom_parsers": {need("sklearn.pipeline").Pipeline: _pipeline},
    }


class _Amended:
    """A container of skl2onnx into which trees go otherwise than they came."""

    def __init__(self, container: Any, amend: Callable[[dict[str, Any]], None]) -> None:
        self._container, self._amend = container, amend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, **attributes: Any) -> Any:
        if _MISSING in attributes:
            self._amend(attributes)
        return self._container.add_node(*arguments, **attributes)


def _histogram_boosting(scope: Any, operator: Any, container: Any) -> None:
    trees = [tree.nodes for trees in operator.raw_operator._predictors for tree in trees]
    thresholds = np.concatenate([np.where(nodes["is_leaf"], 0.0, nodes["num_threshold"]) for nodes in trees])
    if any(nodes["is_categorical"].any() for nodes in trees):
        raise ValueError("splits by category cannot be said")

    def amend(attributes: dict[str, Any]) -> None:
        assert len(attributes["nodes_values"]) == len(thresholds)
        attributes["nodes_values"] = float32_floor(thresholds)
        attributes[_MISSING] = [int(flag) for flag in attributes[_MISSING]]

    converter = need(_CONVERTERS + "random_forest").convert_sklearn_random_forest_classifier
    converter(scope, operator, _Amended(container, amend))


def _forest(scope: Any, operator: Any, container: Any) -> None:
    amend = _missing_branches([one.tree_ for one in operator.raw_operator.estimators_])
    converter = need(_CONVERTERS + "random_forest").convert_sklearn_random_forest_classifier
    converter(scope, operator, _Amended(container, amend))


def _tree(scope: Any, operator: Any, container: Any) -> None:
    amend = _missing_branches([operator.raw_operator.tree_])
    converter = need(_CONVERTERS + "decision_tree").convert_sklearn_decision_tree_classifier
    converter(scope, operator, _Amended(container, amend))


def _missing_branches(trees: list[Any]) -> Callable[[dict[str, Any]], None]:
    """Which splits send a missing value to the left; where training had none, the larger child has it."""
    flags = np.concatenate([np.where(tree.children_left < 0, 0, tree.missing_go_to_left) for tree in trees])

    def amend(attributes: dict[str, Any]) -> None:
        assert len(attributes[_MISSING]) == len(flags)
        attributes[_MISSING] = flags.astype(int).tolist()

    return amend


def _one_hot_shapes(operator: Any) -> None:
    types, encoder = need("skl2onnx.common.data_types"), operator.raw_operator
    kind = types.Int64TensorType if np.issubdtype(encoder.dtype, np.signedinteger) else types.FloatTensorType
    width = len(encoder.get_feature_names_out())
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), width])


def _one_hot(scope: Any, operator: Any, container: Any) -> None:
    """A column of ones and zeros for each category that is kept, by equality of floats."""
    encoder, graph = operator.raw_operator, _Graph(scope, container)
    names = [one.full_name for one in operator.inputs]
    rows = graph.node("Concat", *names, axis=1) if len(names) > 1 else names[0]
    rows = graph.node("Cast", rows, to=_FLOAT)
    parts = [_columns(graph, encoder, place, rows) for place in range(len(encoder.categories_))]
    whole = graph.node("Concat", *(part for part in parts if part), axis=1)
    to = _INT64 if np.issubdtype(encoder.dtype, np.signedinteger) else _FLOAT
    container.add_node("Cast", whole, operator.outputs[0].full_name, name=scope.get_unique_operator_name("Cast"), to=to)


def _scaler_shapes(operator: Any) -> None:
    rows, width = operator.inputs[0].get_first_dimension(), int(operator.raw_operator.n_features_in_)
    operator.outputs[0].type = need("skl2onnx.common.data_types").FloatTensorType([rows, width])


def _scaler(scope: Any, operator: Any, container: Any) -> None:
    """Less the centre, divided by the scale; each in 64 bits and then rounded, which gives the bits of 32, too."""
    scaler, graph = operator.raw_operator, _Graph(scope, container)
    if getattr(scaler, "clip", False):
        raise ValueError("clip=True cannot be said")
    names, width = [one.full_name for one in operator.inputs], [one.get_second_dimension() for one in operator.inputs]
    if None not in width and sum(width) != scaler.n_features_in_:
        raise ValueError(f"the step before makes {sum(width)} columns here, and {scaler.n_features_in_} in training")
    rows = graph.node("Concat", *names, axis=1) if len(names) > 1 else names[0]
    centre, scale = _centre_and_scale(scaler)
    for kind, values in (("Sub", centre), ("Div", scale)):
        if values is not None:
            exact = graph.node(kind, graph.node("Cast", rows, to=_DOUBLE), graph.constant(values))
            rows = graph.node("Cast", exact, to=_FLOAT)
    name = scope.get_unique_operator_name("Cast")
    container.add_node("Cast", rows, operator.outputs[0].full_name, name=name, to=_FLOAT)


def _centre_and_scale(scaler: Any) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64] | None]:
    """What rows are moved and divided by; None where nothing is. Releases that round both to 32 bits first say so."""
    by_mean = getattr(scaler, "mean_", None) if getattr(scaler, "with_mean", False) else None
    by_median = getattr(scaler, "center_", None) if getattr(scaler, "with_centering", False) else None
    found = [by_mean if by_mean is not None else by_median, getattr(scaler, "scale_", None)]
    exact = [None if one is None else np.asarray(one, np.float64) for one in found]
    rounded = [None if one is None else one.astype(np.float32).astype(np.float64) for one in exact]
    drawn = np.random.default_rng(0).normal(size=(64, int(scaler.n_features_in_)))
    rows = (drawn * (1.0 if exact[1] is None else exact[1]) + (0.0 if exact[0] is None else exact[0])).astype(
        np.float32
    )
    told = scaler.transform(rows)
    for centre, scale in (exact, rounded):
        moved = rows if centre is None else (rows - centre).astype(np.float32)
        if np.array_equal(moved if scale is None else (moved / scale).astype(np.float32), told):
            return centre, scale
    return exact[0], exact[1]


def _columns(graph: _Graph, encoder: Any, place: int, rows: str) -> str | None:
    """The columns of one input; None if it has none, as its one category is dropped."""
    categories = np.asarray(encoder.categories_[place], np.float64)
    if (categories.astype(np.float32) != categories)[~np.isnan(categories)].any():
        raise ValueError("categories that float32 cannot hold cannot be said")
    rare = getattr(encoder, "infrequent_categories_", [None] * (place + 1))[place]
    dropped = None if encoder.drop_idx_ is None else encoder.drop_idx_[place]
    if rare is not None and dropped is not None:
        raise ValueError("infrequent categories together with drop cannot be said")
    column = graph.node("Gather", rows, graph.constant([place]), axis=1)
    equal = graph.node("Cast", graph.node("Equal", column, graph.constant(categories.astype(np.float32))), to=_FLOAT)
    if np.isnan(categories).any():
        missing = graph.node("Cast", graph.node("IsNaN", column), to=_FLOAT)
        flags = graph.constant(np.isnan(categories).astype(np.float32))
        equal = graph.node("Add", equal, graph.node("Mul", missing, flags))
    known = graph.node("ReduceSum", equal, graph.constant([1]), keepdims=1)
    if encoder.handle_unknown == "error":  # 0 / 1 is 0, 0 / 0 is NaN
        graph.node("Div", graph.constant(np.zeros(1, np.float32)), known, called=UNKNOWN)
    if rare is not None:
        few = np.isin(categories, np.asarray(rare, np.float64), assume_unique=True)
        few |= np.isnan(categories) & np.isnan(np.asarray(rare, np.float64)).any()
        return _with_rare(graph, encoder, equal, known, few)
    kept = [one for one in range(len(categories)) if dropped is None or one != dropped]
    return graph.node("Gather", equal, graph.constant(kept), axis=1) if kept else None


def _with_rare(graph: _Graph, encoder: Any, equal: str, known: str, rare: npt.NDArray[np.bool_]) -> str:
    """The frequent categories, and one column for the rest: what is unknown, too, if it is to be taken for rare."""
    frequent = graph.node("Gather", equal, graph.constant(np.flatnonzero(~rare).tolist()), axis=1)
    common = graph.node("ReduceSum", frequent, graph.constant([1]), keepdims=1)
    every = known
    if encoder.handle_unknown in ("infrequent_if_exist", "warn"):
        every = graph.constant(np.ones(1, np.float32))
    return graph.node("Concat", frequent, graph.node("Sub", every, common), axis=1)


class _Graph:
    """Writes nodes, each of which makes one tensor."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def constant(self, values: list[int] | npt.NDArray[np.float32] | npt.NDArray[np.float64]) -> str:
        name = str(self._scope.get_unique_variable_name("constant"))
        kind = _INT64 if isinstance(values, list) else _DOUBLE if values.dtype == np.float64 else _FLOAT
        self._container.add_initializer(name, kind, [len(values)], list(values))
        return name

    def node(self, kind: str, *inputs: str, called: str = "", **attributes: Any) -> str:
        made = str(self._scope.get_unique_variable_name(called or kind.lower()))
        self._container.add_node(
            kind, list(inputs), made, name=self._scope.get_unique_operator_name(kind), **attributes
        )
        return made


def _pipeline(scope: Any, pipeline: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """As skl2onnx reads a pipeline, but what a step makes has the width that the next one was fitted on."""
    parse = need("skl2onnx._parse")
    for (_, step), (_, following) in zip(pipeline.steps, [*pipeline.steps[1:], ("", None)], strict=True):
        told = scope.options is not None and (id(step) in scope.options or type(step) in scope.options)
        if not told and need("sklearn.base").is_classifier(step):
            scope.add_options(id(step), scope.get_options(pipeline, {"zipmap": True}))
        inputs = parse._parse_sklearn(scope, step, inputs, custom_parsers=custom_parsers)
        width = getattr(following, "n_features_in_", None)
        if width is not None and len(inputs) == 1 and (not inputs[0].type.shape or inputs[0].type.shape[-1] is None):
            inputs[0].set_type(type(inputs[0].type)([None, int(width)]))
    return inputs
