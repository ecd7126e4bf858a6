"""Clients that nobody here wrote, unmodified, in environments of their own: Triton's and KServe's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving import environments, shop
from tests.serving.shop import Server


@pytest.fixture(scope="module")
def triton(administered: Server) -> Any:
    told = administered.told
    return environments.run("tritonclient", "triton_http.py", told["url"], told["admin_url"], administered.token)


@pytest.fixture(scope="module")
def kserve(administered: Server) -> Any:
    return environments.run("kserve", "kserve_rest.py", administered.told["url"], administered.token)


def _by_hand(server: Server, rows: int = 3) -> Any:
    """What the same matrix gets over plain JSON."""
    width = _width(server)
    tensor = {
        "name": "features", "shape": [rows, width], "datatype": "FP32", "data": list(map(float, range(rows * width))),
    }  # fmt: skip
    status, answer = server.infer({"inputs": [tensor]})
    assert status == 200, answer
    return {one["name"]: one["data"] for one in answer["outputs"]}


def _width(server: Server) -> int:
    return int(server.ask("GET", "/v2/models/late")[1]["inputs"][0]["shape"][1])


def test_triton_sees_what_is_served(triton: Any, administered: Server) -> None:
    assert (triton["live"], triton["ready"]) == (True, False)  # the model `unborn` has no champion
    assert (triton["model_ready"], triton["version_ready"]) == (True, True)
    assert (triton["other_version_ready"], triton["unborn_ready"]) == (False, False)
    assert triton["server"]["name"] == "backstay"
    assert triton["server"]["extensions"] == ["binary_tensor_data"]
    assert triton["metadata"]["versions"] == ["1"]
    assert triton["metadata"]["inputs"] == [
        {"name": "features", "datatype": "FP32", "shape": [-1, _width(administered)]}
    ]


@pytest.mark.parametrize("form", ["binary", "json", "mixed", "columns", "keys", "in_time"])
def test_triton_gets_the_same_in_every_form(triton: Any, administered: Server, form: str) -> None:
    expected, came = _by_hand(administered), triton[form]
    assert (came["model"], came["version"]) == ("late", "1")
    assert came["score"] == expected["score"]
    assert len(set(expected["score"])) > 1
    if form != "mixed":
        assert came["decision"] == expected["decision"]


def test_triton_gets_the_outputs_it_asks_for(triton: Any) -> None:
    assert list(triton["json"]) == ["model", "version", "id", "decision", "score"]
    assert triton["binary"]["id"] == "one"
    assert {"score", "decision", "prediction_id"} <= triton["binary"].keys()


def test_triton_may_compress(triton: Any, administered: Server) -> None:
    expected = _by_hand(administered)["score"]
    assert [one["score"] for one in triton["compressed"]] == [expected] * 2
    assert triton["many"] == 300


def test_what_triton_sends_is_written_down(triton: Any, administered: Server) -> None:
    logged = {one.id: one for one in shop.logged(administered.path)}
    plain = [logged[one] for one in triton["binary"]["prediction_id"]]
    assert all(one.given and not one.keys and one.route == "champion" for one in plain)
    assert [one.score for one in plain] == triton["binary"]["score"]
    keyed = [logged[one] for one in triton["keys"]["prediction_id"]]
    assert [one.keys for one in keyed] == [{"shop": f"shop{n}", "counter": n} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("what", "status", "says"),
    [
        ("model", "404", "there is no model 'nobody'"),
        ("unborn", "503", "has no champion"),
        ("version", "404", "version '9'"),
        ("shape", "400", "expected [rows, "),
        ("input", "400", "there is no input 'x'"),
        ("datatype", "400", "expected [rows, "),
        ("missing", "400", "there is no tensor"),
        ("output", "400", "there is no output 'label'"),
        ("classes", "400", "classification"),
        ("late", "504", "the deadline had passed"),
        ("token", "401", "the token is missing or wrong"),
        ("index", "404", "/v2/repository/index"),
        ("unload", "404", "/v2/repository/models/late/unload"),
        ("memory", "404", "/v2/systemsharedmemory"),
        ("load", "400", "has no champion"),
        ("admin_token", "401", "the token is missing or wrong"),
        ("config", "400", "as it is registered"),
    ],
)
def test_triton_is_told_what_is_wrong(triton: Any, what: str, status: str, says: str) -> None:
    assert triton["refused"][what]["status"] == status
    assert says in triton["refused"][what]["message"]


def test_triton_takes_a_model_out_of_service_and_back(triton: Any) -> None:
    rows = {one["name"]: one for one in triton["index"]}
    assert (rows["late"]["state"], rows["late"]["version"]) == ("READY", "1")
    assert (rows["unborn"]["state"], rows["unborn"]["reason"]) == ("UNAVAILABLE", "model 'unborn' has no champion")
    rows = {one["name"]: one for one in triton["unloaded"]["index"]}
    assert (rows["late"]["state"], rows["late"]["reason"]) == ("UNAVAILABLE", "model 'late' was unloaded")
    assert not triton["unloaded"]["ready"]
    assert triton["unloaded"]["infer"]["status"] == "503"
    assert triton["loaded"]["ready"]
    assert triton["loaded"]["infer"]["score"] == triton["binary"]["score"]


def test_kserve_gets_the_same(kserve: Any, administered: Server) -> None:
    expected = _by_hand(administered)
    assert (kserve["live"], kserve["model_ready"]) == (True, True)
    assert kserve["ready"]["status"] == 503
    assert (kserve["unborn_ready"], kserve["nobody_ready"]) == (False, False)
    for form in ("json", "binary", "by_hand"):
        assert kserve[form]["score"] == expected["score"]
        assert kserve[form]["decision"] == expected["decision"]
    assert kserve["json"]["id"] == kserve["binary"]["id"] == "kserve"


@pytest.mark.parametrize(
    ("what", "status", "says"),
    [
        ("model", 404, "there is no model 'nobody'"),
        ("input", 400, "there is no input 'x'"),
        ("shape", 400, "expected [rows, "),
        ("token", 401, "the token is missing or wrong"),
    ],
)
def test_kserve_is_told_what_is_wrong(kserve: Any, what: str, status: int, says: str) -> None:
    assert kserve["refused"][what]["status"] == status
    assert says in kserve["refused"][what]["message"]


@pytest.fixture(scope="module")
def over_grpc(administered: Server) -> Any:
    return environments.run("tritonclient", "triton_grpc.py", administered.told["grpc"], administered.token)


def test_triton_sees_the_same_over_grpc(over_grpc: Any, administered: Server) -> None:
    assert (over_grpc["live"], over_grpc["ready"]) == (True, False)
    assert (over_grpc["model_ready"], over_grpc["version_ready"]) == (True, True)
    assert (over_grpc["other_version_ready"], over_grpc["unborn_ready"]) == (False, False)
    assert over_grpc["server"]["name"] == "backstay"
    shape = ["-1", str(_width(administered))]
    assert over_grpc["metadata"]["inputs"] == [{"name": "features", "datatype": "FP32", "shape": shape}]
    assert [one["name"] for one in over_grpc["metadata"]["outputs"]] == ["score", "decision", "prediction_id"]


@pytest.mark.parametrize("form", ["raw", "chosen", "keys", "compressed", "in_time", "typed", "integers"])
def test_triton_gets_the_same_over_grpc(over_grpc: Any, administered: Server, form: str) -> None:
    expected, came = _by_hand(administered), over_grpc[form]
    assert came["score"] == expected["score"]
    if form != "chosen":
        assert came["decision"] == expected["decision"]


def test_an_answer_over_grpc_has_the_form_of_its_request(over_grpc: Any) -> None:
    assert over_grpc["typed"]["raw"] == 0
    assert over_grpc["raw"]["id"] == "one"
    assert list(over_grpc["chosen"]) == ["model", "version", "id", "score"]


def test_what_comes_over_grpc_is_written_down(over_grpc: Any, administered: Server) -> None:
    logged = {one.id: one for one in shop.logged(administered.path)}
    assert [logged[one].score for one in over_grpc["raw"]["prediction_id"]] == over_grpc["raw"]["score"]
    assert [logged[one].keys for one in over_grpc["keys"]["prediction_id"]] == [{"shop": f"shop{n}"} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("what", "status", "says"),
    [
        ("model", "NOT_FOUND", "there is no model 'nobody'"),
        ("unborn", "UNAVAILABLE", "has no champion"),
        ("version", "NOT_FOUND", "version '9'"),
        ("shape", "INVALID_ARGUMENT", "expected [rows, "),
        ("input", "INVALID_ARGUMENT", "there is no input 'x'"),
        ("output", "INVALID_ARGUMENT", "there is no output 'label'"),
        ("late", "DEADLINE_EXCEEDED", "the deadline had passed"),
        ("token", "UNAUTHENTICATED", "the token is missing or wrong"),
        ("short", "INVALID_ARGUMENT", "elements"),
        ("both", "INVALID_ARGUMENT", "typed contents beside raw ones"),
        ("large", "RESOURCE_EXHAUSTED", "larger than max"),
        ("index", "UNIMPLEMENTED", ""),
        ("unload", "UNIMPLEMENTED", ""),
        ("stream", "UNIMPLEMENTED", ""),
    ],
)
def test_triton_is_told_what_is_wrong_over_grpc(over_grpc: Any, what: str, status: str, says: str) -> None:
    assert over_grpc["refused"][what]["status"] == f"StatusCode.{status}"
    assert says in over_grpc["refused"][what]["message"]
