"""The protocol in JSON and raw bytes against the real server: what is refused, and that nothing is a 500."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.shop import Server

INFER = "/v2/models/late/infer"
Sent = tuple[int, Any, dict[str, str]]


@pytest.fixture(scope="module")
def features(administered: Server) -> list[str]:
    return list(administered.ask("GET", "/v2/models/late")[1]["parameters"]["features"])


def send(server: Server, body: bytes, headers: dict[str, str] | None = None, path: str = INFER) -> Sent:
    """Status, JSON (or the bytes, if it is none) and headers of an answer."""
    connection = server.connection()
    try:
        connection.request("POST", path, body, server.headers() | (headers or {}))
        answer = connection.getresponse()
        data = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(data) if told["content-type"] == "application/json" else data, told
    finally:
        connection.close()


def matrix(width: int, rows: int = 1, **changes: Any) -> dict[str, Any]:
    tensor = {"name": "features", "shape": [rows, width], "datatype": "FP32", "data": [1.5] * rows * width}
    return {"inputs": [tensor | changes]}


def score(answer: Any) -> list[float]:
    (data,) = (one["data"] for one in answer["outputs"] if one["name"] == "score")
    return list(data)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT64"])
def test_every_numeric_datatype_is_taken(administered: Server, features: list[str], datatype: str) -> None:
    width = len(features)
    ones = matrix(width, data=[1.0] * width)
    same = matrix(width, datatype=datatype, data=[[1] * width])
    (status, first, _), (other, second, _) = (send(administered, json.dumps(one).encode()) for one in (ones, same))
    assert (status, other) == (200, 200)
    assert score(first) == score(second)


def test_booleans_are_taken(administered: Server, features: list[str]) -> None:
    body = json.dumps(matrix(len(features), datatype="BOOL", data=[True] * len(features))).encode()
    assert send(administered, body)[0] == 200


def test_null_nan_and_nothing_are_missing(administered: Server, features: list[str]) -> None:
    width = len(features)
    null = json.dumps(matrix(width, data=[None] * width)).encode()
    raw = struct.pack("<f", float("nan")) * width
    head = {"name": "features", "shape": [1, width], "datatype": "FP32"}
    text = json.dumps({"inputs": [head | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    length = {"Inference-Header-Content-Length": str(len(text))}
    first, second = send(administered, null), send(administered, text + raw, length)
    assert first[0] == second[0] == 200
    assert score(first[1]) == score(second[1])


@pytest.mark.parametrize(("datatype", "value"), [("FP16", 1e5), ("FP32", 1e39), ("FP32", -1e39), ("FP64", 1e300)])
@pytest.mark.parametrize("nested", [False, True])
def test_what_becomes_infinite_is_refused(
    administered: Server, features: list[str], datatype: str, value: float, nested: bool
) -> None:
    width = len(features)
    data = [1.0] * width + [value] + [1.0] * (width - 1)
    changes = {"datatype": datatype, "data": [data[:width], data[width:]] if nested else data}
    status, answer, _ = send(administered, json.dumps(matrix(width, 2, **changes)).encode())
    assert (status, answer["field"]) == (400, f"inputs.features.data[{width}]"), answer
    assert answer["error"].startswith(f"the value of {features[0]!r} in row 1 is infinite, or too large")


@pytest.mark.parametrize("infinite", ["inf", "-inf"])
def test_what_is_infinite_is_refused_in_raw_bytes_and_by_name(
    administered: Server, features: list[str], infinite: str
) -> None:
    raw = struct.pack("<f", float(infinite))
    tensors = [{"name": name, "shape": [1], "datatype": "FP32", "data": [1.0]} for name in features[1:]]
    tensors.append({"name": features[0], "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}})
    text = json.dumps({"inputs": tensors}).encode()
    status, answer, _ = send(administered, text + raw, {"Inference-Header-Content-Length": str(len(text))})
    assert (status, answer["field"]) == (400, f"inputs.{features[0]}.data[0]"), answer


def test_features_may_come_in_any_order_by_name(administered: Server, features: list[str]) -> None:
    values = {name: float(place) for place, name in enumerate(features)}
    tensors = [{"name": n, "shape": [1], "datatype": "FP64", "data": [v]} for n, v in reversed(values.items())]
    whole = matrix(len(features), data=list(values.values()))
    bodies = [{"inputs": tensors}, whole]
    scores = [score(send(administered, json.dumps(body).encode())[1]) for body in bodies]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "X-GZip", "deflate", "raw deflate"])
def test_bodies_may_be_compressed(administered: Server, features: list[str], coding: str) -> None:
    body = json.dumps(matrix(len(features), 60)).encode()
    machine = zlib.compressobj(wbits=-15)
    coded = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "raw deflate": machine.compress(body) + machine.flush(),
    }
    status, answer, _ = send(
        administered, coded[coding.lower().removeprefix("x-")], {"Content-Encoding": coding.split()[-1]}
    )
    assert status == 200, answer
    assert len(score(answer)) == 60


@pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("br, deflate", "deflate"), ("gzip;q=0", None)])
def test_answers_are_compressed_if_that_is_accepted(
    administered: Server, features: list[str], accepted: str, coding: str | None
) -> None:
    body = json.dumps(matrix(len(features), 60)).encode()
    connection = administered.connection()
    connection.request("POST", INFER, body, administered.headers() | {"Accept-Encoding": accepted})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert answer.getheader("content-encoding") == coding
    plain = gzip.decompress(data) if coding == "gzip" else zlib.decompress(data) if coding else data
    assert len(score(json.loads(plain))) == 60


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (gzip.compress(b" " * 5_000_000, mtime=0), "gzip", 413),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", 400),
        (gzip.compress(b"{}", mtime=0) + b"x", "gzip", 400),
        (b"{}", "gzip", 400),
        (b"{}", "deflate", 400),
        (b"", "deflate", 400),
        (b"{}", "br", 415),
        (b"{}", "gzip, gzip", 415),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(
    administered: Server, body: bytes, coding: str, status: int
) -> None:
    assert send(administered, body, {"Content-Encoding": coding})[0] == status


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999", "9" * 30, ""])
def test_a_length_of_the_json_that_is_none_is_refused(administered: Server, features: list[str], length: str) -> None:
    body = json.dumps(matrix(len(features))).encode()
    status, answer, _ = send(administered, body, {"Inference-Header-Content-Length": length})
    assert (status, answer["field"]) == (400, "inference-header-content-length")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"shape": [1, 2]}, "inputs.features.data"),
        ({"shape": [30]}, "inputs.features.data"),
        ({"shape": ["1"]}, "inputs[0].shape[0]"),
        ({"shape": 3}, "inputs[0].shape"),
        ({"name": 7}, "inputs[0].name"),
        ({"datatype": "FP32 "}, "inputs.features.datatype"),
        ({"data": "1"}, "inputs.features.data"),
        ({"data": None}, "inputs.features.data"),
        ({"parameters": {"binary_data_size": 8}}, "inputs.features.parameters.binary_data_size"),
        ({"parameters": {"binary_data_size": "8"}}, "inputs.features.parameters.binary_data_size"),
        ({"parameters": 3}, "inputs[0].parameters"),
    ],
)
def test_a_bad_tensor_names_the_place(
    administered: Server, features: list[str], changes: dict[str, Any], field: str
) -> None:
    status, answer, _ = send(administered, json.dumps(matrix(len(features), **changes)).encode())
    assert (status, answer["field"]) == (400, field), answer


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [{"name": "features", "shape": [1, 3], "datatype": "FP32"}]}, "inputs.features"),
        ({"inputs": [], "id": 5}, "id"),
        ({"inputs": [], "outputs": [{}]}, "outputs[0]"),
        ({"inputs": [], "parameters": []}, "parameters"),
    ],
)
def test_a_bad_request_names_the_place(administered: Server, body: Any, field: str) -> None:
    status, answer, _ = send(administered, json.dumps(body).encode())
    assert (status, answer["field"]) == (400, field), answer


@pytest.mark.parametrize(
    ("find", "put", "field"),
    [
        (b"1.5", b"1e999", "inputs.features.data[0]"),
        (b"1.5, 1.5", b"null, " + b"1" * 5_000, "inputs.features.data[1]"),
        (b"1.5", b'"\xff"', "inputs.features.data"),
        (b"FP32", b"\xff", "body"),
        (b"shape", b'parameters": {"binary_data_size": 1e999}, "shape', "inputs[0].parameters.binary_data_size"),
        (b'{"inputs"', b'{"parameters": {"timeout": 1' + b"0" * 400 + b'}, "inputs"', "parameters.timeout"),
        (b'{"inputs"', b'{"parameters": {"timeout": 1' + b"0" * 5_000 + b'}, "inputs"', "parameters.timeout"),
        (b"[1, ", b"[" + b"9" * 4_000 + b", ", "inputs.features.shape"),
    ],
)
def test_what_no_number_and_no_text_can_be_names_the_place(
    administered: Server, features: list[str], find: bytes, put: bytes, field: str
) -> None:
    body = json.dumps(matrix(len(features))).encode()
    assert find in body
    status, answer, _ = send(administered, body.replace(find, put, 1))
    assert (status, answer["field"]) == (400, field), answer


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT64", "BYTES"])
def test_a_number_out_of_range_names_its_place_in_every_datatype(
    administered: Server, features: list[str], datatype: str
) -> None:
    body = json.dumps(matrix(len(features), datatype=datatype, data=[[1] * len(features)])).encode()
    status, answer, _ = send(administered, body.replace(b"[[1, 1,", b"[[1, 1e999,"))
    assert (status, answer["field"]) == (400, "inputs.features.data[0][1]"), answer


@pytest.mark.parametrize("rows", [0, 1_025])
def test_a_request_has_some_rows_and_not_too_many(administered: Server, features: list[str], rows: int) -> None:
    raw = b"\0" * 4 * rows * len(features)
    tensor = {"name": "features", "shape": [rows, len(features)], "datatype": "FP32"}
    text = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    status, answer, _ = send(administered, text + raw, {"Inference-Header-Content-Length": str(len(text))})
    assert (status, answer["expected"]) == (400, "1 to 1024 rows")
    assert ("several requests" in answer["fix"]) == (rows > 0), "nothing is not too much"


def test_many_rows_are_what_each_alone_is(administered: Server, features: list[str]) -> None:
    width, rows = len(features), 1_024
    data = [float((n * 7_919) % 1_000) for n in range(rows * width)]
    raw = struct.pack(f"<{rows * width}f", *data)
    tensor = {"name": "features", "shape": [rows, width], "datatype": "FP32"}
    text = json.dumps(
        {
            "inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}],
            "outputs": [{"name": "score", "parameters": {"binary_data": True}}],
        }
    ).encode()
    status, answer, headers = send(administered, text + raw, {"Inference-Header-Content-Length": str(len(text))})
    assert status == 200
    scores = struct.unpack(f"<{rows}d", answer[int(headers["inference-header-content-length"]) :])
    for place in (0, 511, rows - 1):
        alone = send(administered, json.dumps(matrix(width, data=data[place * width : (place + 1) * width])).encode())
        assert score(alone[1]) == [scores[place]]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
_TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["features", "shop", "counter"]) | _ANY,
        "shape": st.lists(st.integers(-2, 2**40), max_size=3) | _ANY,
        "datatype": st.sampled_from(["FP32", "FP64", "INT64", "BOOL", "BYTES"]) | _ANY,
        "data": _ANY,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-2, 99) | _ANY}) | _ANY,
    },
)
_REQUEST = st.fixed_dictionaries(
    {},
    optional={"inputs": st.lists(_TENSOR | _ANY, max_size=3) | _ANY, "outputs": _ANY, "id": _ANY, "parameters": _ANY},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=_REQUEST, tail=st.binary(max_size=64), length=st.none() | st.integers(-5, 400))
def test_whatever_is_sent_is_answered_or_refused(
    administered: Server, request: Any, tail: bytes, length: int | None
) -> None:
    body = json.dumps(request).encode()
    headers = {"Inference-Header-Content-Length": str(len(body) if length is None else length)} if tail else {}
    assert send(administered, body + tail, headers)[0] in (200, 400)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), coding=st.sampled_from(["", "gzip", "deflate"]), keyed=st.booleans())
def test_whatever_bytes_are_sent_are_refused(administered: Server, body: bytes, coding: str, keyed: bool) -> None:
    path = "/v1/models/late/predict" if keyed else INFER
    assert send(administered, body, {"Content-Encoding": coding} if coding else {}, path)[0] == 400
