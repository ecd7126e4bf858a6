"""Traces: whose requests become spans, what the spans say, and that no answer depends on whoever collects them."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from backstay.core.errors import InputError
from backstay.project import Project
from backstay.project.context import Context
from backstay.project.serving import _traces
from backstay.serving.traces import named
from backstay.serving.v2.messages import SERVICE, message
from tests.serving import shop
from tests.serving.collector import Collector, Got
from tests.serving.shop import Server, live

STAGES = ["parse", "queue", "features", "predict", "log", "write"]
PARENT = "b7ad6b7169203331"
PREDICT, INFER, LOOKUP = "/v1/models/late/predict", "/v2/models/late/infer", "/v1/features/order"


def parent(number: int, flags: str = "01") -> str:
    """The header of a caller's span, in a trace of this number."""
    return f"00-{number:032x}-{PARENT}-{flags}"


@contextmanager
def traced(
    path: Path, monkeypatch: pytest.MonkeyPatch, share: float, *words: str, toml: str = shop.TOML, cold: bool = False
) -> Iterator[tuple[Server, Collector]]:
    """A server and what collects its traces, which has all of them once the server has ended."""
    (path / "backstay.toml").write_text(f'{toml}traces = "otlp"\ntrace_share = {share}\n')
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with Server(path, *words, cold=cold) as server:
            yield server, collector


def ask(server: Server, path: str, body: Any, **headers: str) -> tuple[int, Any, str]:
    """One request: the status, the answer and its id."""
    with closing(server.connection()) as connection:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, json.dumps(body), server.headers() | more)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers["x-request-id"]


def matrix(server: Server, rows: int = 1) -> dict[str, Any]:
    """A good request with the model's inputs."""
    width = len(server.ask("GET", "/v2/models/late")[1]["parameters"]["features"])
    data = [1.0] * width * rows
    return {"inputs": [{"name": "features", "shape": [rows, width], "datatype": "FP32", "data": data}]}


def checked(tree: list[Got], parent_id: str = PARENT) -> tuple[Got, list[str]]:
    """The server's span of one whole tree, and the names of its stages in their order."""
    root, *stages = tree
    assert root.server
    assert root.parent == parent_id
    assert root.resource["service.name"] == "shop"
    assert len({one.id for one in tree}) == len(tree)
    for one in stages:
        assert (one.parent, one.server, one.failed) == (root.id, False, False)
        assert root.begin <= one.begin <= one.end <= root.end
    for one, after in pairwise(stages):
        assert one.end <= after.begin
    return root, [one.name for one in stages]


def test_a_request_that_its_caller_traces_is_one_tree(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with traced(path, monkeypatch, 0) as (server, collector):
        before = time.time_ns()
        status, told, identity = ask(server, PREDICT, live(), traceparent=parent(1), tracestate="shop=7")
        after = time.time_ns()
        assert status == 200
        assert ask(server, PREDICT, live())[0] == 200, "nobody traces it"
        assert ask(server, PREDICT, live(), traceparent=parent(2, "00"))[0] == 200, "its caller does not"
        assert ask(server, PREDICT, live(), traceparent=parent(3) + "-")[0] == 200, "no parent"
        assert ask(server, PREDICT, live(), traceparent=parent(8), tracestate="\xff,=,a=1,a=2")[0] == 200, "no state"
        assert ask(server, PREDICT, {"rows": [live()] * 3}, traceparent=parent(4), x_request_id="mine")[0] == 200
        assert ask(server, INFER, matrix(server), traceparent=parent(5, "03"))[0] == 200
        assert ask(server, "/v2/models/late/versions/1/infer", matrix(server, 2), traceparent=parent(6))[0] == 200
        keys = {"keys": {name: live()["keys"][name] for name in ("shop", "counter")}, "fields": live()["fields"]}
        status, looked_up, _ = ask(server, LOOKUP, {"rows": [keys]}, traceparent=parent(7))
        assert status == 200, looked_up
    trees = {int(number, 16): tree for number, tree in collector.trees().items()}
    assert trees.keys() == {1, 4, 5, 6, 7, 8}
    assert collector.headers[0]["x-tenant"] == "shop"
    root, stages = checked(trees[1])
    assert (root.name, root.state, root.failed) == ("POST /v1/models/{model}/predict", "shop=7", False)
    assert stages == STAGES
    assert root.attributes == {
        "http.request.method": "POST", "http.route": "/v1/models/{model}/predict", "url.path": PREDICT,
        "url.scheme": "http", "http.response.status_code": 200, "backstay.model": "late", "backstay.version": 1,
        "backstay.rows": 1, "backstay.prediction_id": told["prediction_id"], "backstay.request_id": identity,
    }  # fmt: skip
    assert before < root.begin < root.end
    assert trees[1][1].begin == root.begin, "what is parsed is read from the beginning"
    assert root.begin < after
    assert checked(trees[8])[0].state == ""
    many, stages = checked(trees[4])
    assert (many.attributes["backstay.rows"], many.attributes["backstay.request_id"]) == (3, "mine")
    assert "backstay.prediction_id" not in many.attributes
    assert stages == STAGES
    given, stages = checked(trees[5])
    assert (given.name, stages) == ("POST /v2/models/{model}/infer", ["parse", "queue", "predict", "log", "write"])
    chosen, _ = checked(trees[6])
    assert chosen.attributes["http.route"] == "/v2/models/{model}/versions/{version}/infer"
    assert chosen.attributes["backstay.rows"] == 2
    lookup, stages = checked(trees[7])
    assert (lookup.attributes["backstay.feature_set"], stages) == ("order", ["parse", "queue", "features", "write"])


def test_a_share_of_what_nobody_decided_is_traced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with traced(path, monkeypatch, 1) as (server, collector):
        assert ask(server, PREDICT, live(), x_request_id="alone")[0] == 200
        assert ask(server, PREDICT, live(), x_request_id="mangled", traceparent="00-zz")[0] == 200
        assert ask(server, PREDICT, live(), x_request_id="no", traceparent=parent(9, "00"))[0] == 200
        assert server.ask("POST", PREDICT, b"{}", {})[0] == 401
        assert server.ask("GET", "/v2/health/live")[0] == 200
    roots = {checked(tree, "")[0].attributes["backstay.request_id"]: tree for tree in collector.trees().values()}
    assert roots.keys() == {"alone", "mangled"}
    assert roots["alone"][0].trace != roots["mangled"][0].trace


def test_what_was_refused_and_what_failed_has_its_status(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with traced(path, monkeypatch, 0, toml=f"{shop.TOML}queue_limit = 4\n") as (server, collector):
        assert ask(server, PREDICT, {"keys": {}}, traceparent=parent(400))[0] == 400
        assert ask(server, "/v1/models/none/predict", live(), traceparent=parent(404))[0] == 404
        assert ask(server, "/v1/models/unborn/predict", live(), traceparent=parent(503))[0] == 503
        assert ask(server, PREDICT, live(), traceparent=parent(504), x_request_timeout_ms="0")[0] == 504
        assert sorted(_together(server, 2, parent(429))) == [200, 429]
    trees = {int(number, 16): tree for number, tree in collector.trees().items()}
    assert trees.keys() == {400, 404, 429, 503, 504}
    (answered, refused) = sorted(
        (one for one in trees[429] if one.server), key=lambda one: one.attributes["http.response.status_code"]
    )
    assert (answered.attributes["http.response.status_code"], answered.failed) == (200, False)
    assert (refused.attributes["http.response.status_code"], refused.failed) == (429, False)
    assert [one.name for one in trees[429] if one.parent == refused.id] == ["parse", "write"]
    for status in (400, 404, 503, 504):
        root, stages = checked(trees[status])
        assert root.attributes["http.response.status_code"] == status
        assert root.failed == (status >= 500)
        assert root.attributes.get("error.type") == (str(status) if status >= 500 else None)
        assert stages == (["parse", "write"] if status == 504 else ["write"])
    assert trees[503][0].attributes["backstay.model"] == "unborn"


def _together(server: Server, count: int, traceparent: str) -> list[int]:
    """The statuses of requests of three rows each that the server reads in one turn: it sleeps while they arrive."""
    body = json.dumps({"rows": [live()] * 3})
    connections = [server.connection() for _ in range(count)]
    try:
        for one in connections:  # accepted, and known to be
            one.request("GET", "/v2/health/live")
            one.getresponse().read()
        server.process.send_signal(signal.SIGSTOP)
        for one in connections:
            one.request("POST", PREDICT, body, server.headers() | {"traceparent": traceparent})
        server.process.send_signal(signal.SIGCONT)
        return [_status(one) for one in connections]
    finally:
        for one in connections:
            one.close()


def _status(connection: http.client.HTTPConnection) -> int:
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_calls_over_grpc_are_traced_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = f"{SERVICE}/ModelInfer"
    with traced(path, monkeypatch, 0, toml=shop.ADMIN) as (server, collector):
        width = len(server.ask("GET", "/v2/models/late")[1]["parameters"]["features"])
        made = message("ModelInferRequest")(model_name="late")
        one = made.inputs.add(name="features", datatype="FP32", shape=[1, width])
        one.contents.fp32_contents.extend([1.0] * width)
        with grpc.insecure_channel(server.told["grpc"]) as channel:
            call = channel.unary_unary(
                f"/{method}",
                request_serializer=lambda given: given.SerializeToString(),
                response_deserializer=message("ModelInferResponse").FromString,
            )

            def infer(number: int, token: str = server.token, flags: str = "01") -> str:
                more = [("traceparent", parent(number, flags)), ("authorization", f"Bearer {token}")]
                try:
                    call(made, timeout=20, metadata=[*more, ("x-request-id", f"call-{number}")])
                except grpc.RpcError as error:
                    return error.code().name
                return "OK"

            assert infer(1) == "OK"
            assert infer(2, flags="00") == "OK"
            assert infer(3, token="wrong") == "UNAUTHENTICATED"
            made.model_name = "unborn"
            assert infer(4) == "UNAVAILABLE"
            made.model_name = "none"
            assert infer(5) == "NOT_FOUND"
    trees = {int(number, 16): tree for number, tree in collector.trees().items()}
    assert trees.keys() == {1, 4, 5}
    root, stages = checked(trees[1])
    assert (root.name, stages, root.failed) == (method, ["parse", "queue", "predict", "log", "write"], False)
    assert root.attributes.pop("backstay.prediction_id") in {one.id for one in shop.logged(path)}
    assert root.attributes == {
        "rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": "OK", "backstay.model": "late",
        "backstay.version": 1, "backstay.rows": 1, "backstay.request_id": "call-1",
    }  # fmt: skip
    failed, stages = checked(trees[4])
    assert (failed.failed, failed.attributes["error.type"], stages) == (True, "UNAVAILABLE", ["write"])
    unknown, _ = checked(trees[5])
    assert (unknown.failed, unknown.attributes["rpc.response.status_code"]) == (False, "NOT_FOUND")


def test_rows_that_fall_to_several_versions_are_one_tree(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(path, actor="ana")
    project.routes.set({"v2": 0.5}, "late", key=["order"], why="a test")
    project.close()
    orders = [live(order=f"e{number}") for number in range(20)]
    with traced(path, monkeypatch, 0) as (server, collector):
        status, told, _ = ask(server, PREDICT, {"rows": orders}, traceparent=parent(1))
        assert (status, told["version"]) == (200, None)
    (tree,) = collector.trees().values()
    root, stages = checked(tree)
    assert stages == ["parse", "queue", "features", "predict", "predict", "log", "write"]
    assert root.attributes["backstay.rows"] == 20
    assert not root.attributes.keys() & {"backstay.version", "backstay.prediction_id"}


def test_the_log_lasts_until_the_records_are_on_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = f'[predictions]\nmode = "sync"\n\n{shop.TOML}'
    with traced(path, monkeypatch, 0, toml=toml) as (server, collector):
        assert ask(server, PREDICT, live(), traceparent=parent(1))[0] == 200
    (tree,) = collector.trees().values()
    assert checked(tree)[1] == STAGES


def test_every_worker_exports_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with traced(path, monkeypatch, 0, "--workers", "2") as (server, collector):
        for number in range(1, 41):
            assert ask(server, PREDICT, live(), traceparent=parent(number))[0] == 200
    trees = collector.trees()
    assert {int(number, 16) for number in trees} == set(range(1, 41))
    assert all(checked(tree)[1] == STAGES for tree in trees.values())
    assert server.process.pid not in {tree[0].resource["process.pid"] for tree in trees.values()}


@pytest.mark.parametrize("hangs", [False, True])
def test_a_collector_that_is_down_changes_no_answer(path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    (path / "backstay.toml").write_text(f'{shop.TOML}traces = "otlp"\ntrace_share = 1\n')
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    with socket.socket() as nobody:  # it is bound; connections are refused, or never answered
        nobody.bind(("127.0.0.1", 0))
        if hangs:
            nobody.listen(1)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with Server(path) as server:
            assert {server.predict(live())[0] for _ in range(50)} == {200}
    told = Path(server.log.name).read_text()
    assert "Queue full, dropping Span" in told
    assert hangs or "Transient error" in told
    assert len(shop.logged(path)) == 50


def test_nothing_of_it_is_loaded_where_traces_are_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # Python names what it imports
    with Server(path, cold=True) as server:
        assert ask(server, PREDICT, live(), traceparent=parent(1))[0] == 200
    assert "uvicorn" in Path(server.log.name).read_text()
    assert "opentelemetry" not in Path(server.log.name).read_text()
    with traced(path, monkeypatch, 1, cold=True) as (server, _):
        assert ask(server, PREDICT, live())[0] == 200
    assert "opentelemetry" in Path(server.log.name).read_text()


def test_without_the_extra_the_error_says_how_to_get_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "backstay.toml").write_text(f'{shop.TOML}traces = "otlp"\n')
    monkeypatch.delitem(sys.modules, "backstay.serving.traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError, match=r"OpenTelemetry is not installed.*pip install 'backstay\[otel\]'"):
        _traces(Context(path), secure=False)


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (parent(1), True),
        (parent(1, "00"), False),
        (parent(1, "ff"), True),
        (parent(1, "02"), False),
        (f" {parent(1)} ", True),
        ("cc" + parent(1)[2:], True),
        ("cc" + parent(1)[2:] + "-what-comes-later", True),
        (parent(1) + "-more", None),
        (parent(1) + "-", None),
        (parent(1) + ".", None),
        ("ff" + parent(1)[2:], None),
        ("cc" + parent(1)[2:] + ".more", None),
        (parent(0), None),
        (parent(1).replace(PARENT, "0" * 16), None),
        (parent(1).upper(), None),
        (parent(1, "1"), None),
        (parent(1, "0g"), None),
        (parent(1)[1:], None),
        (parent(1).replace("-", "_"), None),
        ("\u0661" + parent(1)[1:], None),
        (f"{parent(1)},{parent(2)}", None),
        ("", None),
    ],
)
def test_a_parent_is_read_as_the_w3c_says(header: str, sampled: bool | None) -> None:
    found = named(header.encode())
    assert sampled == (None if found is None else found.trace_flags.sampled)
    if found is not None:
        assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (f"{1:032x}", PARENT)
