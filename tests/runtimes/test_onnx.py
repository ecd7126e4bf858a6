import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from backstay.core.errors import BackstayError, InputError
from backstay.runtimes import OnnxScorer, Scorer
from backstay.runtimes.trying import SAMPLE
from backstay.training import fit
from tests.training.synthetic import make_data, make_model, make_vector


@pytest.fixture(scope="module")
def file() -> bytes:
    return fit(make_model(), make_data(3_000)).files["model.onnx"]


@pytest.fixture
def scorer(file) -> Scorer:
    return OnnxScorer(file, 4)


def bits(scores):
    return scores.view(np.int64)


def test_a_score_has_the_same_bits_in_every_batch(scorer):
    vector = make_vector(2_000, seed=5, missing=0.1)
    whole = scorer.score(vector)
    assert whole.dtype == np.float64
    assert len(np.unique(whole)) > 1_000
    for size in (1, 2, 3, 7, 16, 31, 32, 33, 64, 128, 1_000, 1_999):
        parts = np.concatenate([scorer.score(vector[i : i + size]) for i in range(0, len(vector), size)])
        assert np.array_equal(bits(parts), bits(whole)), size
    order = np.random.default_rng(0).permutation(len(vector))
    assert np.array_equal(bits(scorer.score(vector[order])), bits(whole[order]))


def test_scores_are_float32_widened(scorer):
    scores = scorer.score(make_vector(100))
    assert np.array_equal(scores.astype(np.float32).astype(np.float64), scores)
    assert ((scores > 0) & (scores < 1)).all()


def test_the_layout_in_memory_does_not_matter(scorer):
    vector = make_vector(200)
    expected = scorer.score(vector)
    assert np.array_equal(scorer.score(np.asfortranarray(vector)), expected)
    assert np.array_equal(scorer.score(np.repeat(vector, 2, axis=0)[::2]), expected)


def test_no_rows_give_no_scores(scorer):
    scores = scorer.score(np.empty((0, 4), dtype=np.float32))
    assert scores.shape == (0,)
    assert scores.dtype == np.float64


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros((1, 4)),
        np.zeros((1, 3), dtype=np.float32),
        np.zeros((1, 5), dtype=np.float32),
        np.zeros(4, dtype=np.float32),
        np.zeros((0, 3), dtype=np.float32),
        np.zeros((1, 4), dtype=">f4"),
    ],
    ids=lambda v: f"{v.dtype.str}{v.shape}",
)
def test_another_type_or_width_is_refused(scorer, vector):
    with pytest.raises(InputError, match=r"float32 of shape \(rows, 4\)"):
        scorer.score(vector)


def test_a_model_of_another_width_is_refused(file):
    with pytest.raises(InputError, match=r"one float32 input of shape \(rows, 5\)"):
        OnnxScorer(file, 5)


@pytest.mark.parametrize("cut", [0, 10, 2_000])
def test_a_damaged_model_is_refused_in_silence(file, cut, capfd):
    with pytest.raises(InputError, match=r"cannot load the model|the model takes"):
        OnnxScorer(file[:cut], 4)
    assert capfd.readouterr() == ("", "")


def test_a_model_that_makes_no_probabilities_is_refused():
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "model", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    with pytest.raises(InputError, match=r"probabilities of shape \(rows, 2\)"):
        OnnxScorer(model.SerializeToString(), 4)


def test_a_closed_scorer_says_so(scorer):
    scorer.close()
    scorer.close()
    with pytest.raises(BackstayError, match="closed"):
        scorer.score(make_vector(1))


def test_several_threads_may_score_at_once(scorer):
    vector = make_vector(500)
    expected = scorer.score(vector)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(lambda _: scorer.score(vector), range(40)):
            assert np.array_equal(scores, expected)


def test_onnxruntime_is_imported_only_for_a_scorer():
    code = "import sys, backstay.runtimes; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("rows", [1, 16])
def test_a_model_of_a_fixed_number_of_rows_is_refused(rows):
    with pytest.raises(InputError, match=r"a fixed number of rows.*any number.*dynamic first dimension"):
        OnnxScorer(_model(rows, reshaped=False), 4)


def test_a_model_that_only_says_that_it_takes_any_number_of_rows_is_refused():
    with pytest.raises(InputError, match=r"cannot score 2 rows.*dynamic first dimension, through and through"):
        OnnxScorer(_model(None, reshaped=True), 4)


@pytest.fixture(scope="module")
def choosy() -> bytes:
    """Scores 7 alone: an encoder of one category, which refuses zeros and missing values."""
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1])
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("OneHotEncoder", ["whole"], ["known"], domain="ai.onnx.ml", cats_int64s=[7], zeros=0),
        helper.make_node("Reshape", ["known", "shape"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["y"], axis=1),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [shape])
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def sample_of(*rows):
    out = io.BytesIO()
    np.save(out, np.array(rows, np.float32))
    return {SAMPLE: out.getvalue()}.__getitem__


def test_a_model_that_refuses_zeros_is_tried_with_rows_it_was_trained_on(choosy):
    scorer = OnnxScorer(choosy, 1, sample_of([7.0], [7.0]))
    assert scorer.score(np.full((2, 1), 7, np.float32)).tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match=r"cannot score 1 rows: .*Unknown Category"):
        OnnxScorer(choosy, 1, sample_of([8.0]))


def test_a_model_that_refuses_zeros_is_not_said_to_take_a_fixed_number_of_rows(choosy):
    with pytest.raises(InputError, match=r"scores neither zeros nor missing values: .*Unknown Category.*sample="):
        OnnxScorer(choosy, 1)


def _model(rows, *, reshaped):
    """Two columns of the input, through a shape that is fixed if `reshaped`."""
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None if reshaped else rows, 2])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 4] if reshaped else [-1, 4])
    pick = helper.make_tensor("pick", TensorProto.INT64, [2], [0, 1])
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["z"]),
        helper.make_node("Gather", ["z", "pick"], ["y"], axis=1),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [shape, pick])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return model.SerializeToString()


def test_a_damaged_sample_is_told():
    from backstay.core.errors import IntegrityError
    from backstay.runtimes.trying import rows_to_try

    def read(name):
        raise IntegrityError("changed", where=name)

    rows = rows_to_try(read, 2)
    assert [must for _, must in (next(rows), next(rows))] == [False, False]
    with pytest.raises(IntegrityError, match="changed"):
        next(rows)
