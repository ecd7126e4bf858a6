"""The Open Inference Protocol over gRPC: a thin shell over the desk, on a port of its own, off unless it is enabled.

The token comes as the metadata `authorization: Bearer TOKEN`, the deadline as the call's own. An answer has the form of
its request: raw contents for raw contents, typed contents for typed ones. The model repository is not answered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from backstay.core.errors import BackstayError, InputError
from backstay.serving.desk import Desk
from backstay.serving.logs import REQUEST, request_id
from backstay.serving.refusal import Overloaded, Refusal, refused
from backstay.serving.tls import Tls
from backstay.serving.v2.contract import answered, unclassified
from backstay.serving.v2.messages import METHODS, SERVICE, message, pool
from backstay.serving.v2.rest import waits
from backstay.serving.v2.tensors import BYTES, NUMBERS, Tensor, from_list, from_raw, plain, raw

if TYPE_CHECKING:
    from backstay.serving.traces import Trace

_TRACE: ContextVar[Trace | None] = ContextVar("backstay_trace", default=None)
"""Of the call, if it is traced."""
_CODES = {
    200: "OK", 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED", 422: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED",
    500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_QUIET, _AT_MOST = 0.01, 0.1
"""Seconds without a new call after which a stop goes on, and after how many in any case."""
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", BYTES: "bytes_contents",
}  # fmt: skip


class Rpc:
    """The gRPC server of the data plane.

    shared: whether other workers listen on the same port; the system gives each connection to one of them
    """

    def __init__(
        self,
        desk: Desk,
        host: str,
        port: int,
        limit: int,
        told: Callable[[str], None],
        *,
        shared: bool = False,
        tls: Tls | None = None,
    ) -> None:
        self._desk, self._limit, self._told, self._shared, self._tls = desk, limit, told, shared, tls
        self._host, self._port = f"[{host}]" if ":" in host else host, port
        self._server: Any = None
        self._came = 0
        self._stopping: asyncio.Event | None = None

    async def start(self) -> None:
        """Listen. Raises `InputError` if the port is taken."""
        options = [("grpc.max_receive_message_length", self._limit), ("grpc.so_reuseport", int(self._shared))]
        self._server = grpc.aio.server(options=options)
        handlers = {  # the handler reads the request itself: to gRPC, one that cannot be read is its own failure
            name: grpc.unary_unary_rpc_method_handler(
                self._handler(getattr(self, f"_{name}"), message(f"{name}Request").FromString),
                response_serializer=lambda answer: answer.SerializeToString(),
            )
            for name in METHODS
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        add_ServerReflectionServicer_to_server(_Reflection(self._principal), self._server)
        try:
            port = self._bound(f"{self._host}:{self._port}")
        except RuntimeError:
            raise InputError(
                f"cannot listen on {self._host}:{self._port}",
                where="serving.grpc_port",
                fix="choose another port, or 0",
            ) from None
        await self._server.start()
        self._told(f"{self._host}:{port}")

    def _bound(self, address: str) -> int:
        if self._tls is None:
            return int(self._server.add_insecure_port(address))
        pair = (self._tls.key.read_bytes(), self._tls.certificate.read_bytes())
        return int(self._server.add_secure_port(address, grpc.ssl_server_credentials([pair])))

    async def stop(self) -> None:
        """Take no more calls, and give those in flight time to be answered.

        gRPC cancels a call that has come and that nobody has asked it for yet. So all that have come are taken first,
        and their answers wait meanwhile: whoever waits for one sends no other. They follow the word that this server
        stops, so that the next call is made elsewhere.
        """
        if self._server is None:
            return
        self._stopping, until, came = asyncio.Event(), monotonic() + _AT_MOST, -1
        while came != self._came and monotonic() < until:
            came = self._came
            await asyncio.sleep(_QUIET)
        stopped = asyncio.ensure_future(self._server.stop(10))
        await asyncio.sleep(_QUIET)
        self._stopping.set()
        await stopped

    async def _told_to_leave(self) -> None:
        """Before an answer: while the server stops it waits until that has been told."""
        if self._stopping is not None:
            await self._stopping.wait()

    def _handler(
        self, answer: Callable[[Any, Any], Awaitable[Any]], read: Callable[[bytes], Any]
    ) -> Callable[[bytes, Any], Awaitable[Any]]:
        metrics = self._desk.metrics

        async def handle(data: bytes, context: Any) -> Any:
            begin, request = monotonic(), None
            self._came += 1
            given = dict(context.invocation_metadata() or ()).get("x-request-id", b"")
            identity = request_id(given if isinstance(given, bytes) else given.encode()).decode()
            more, status = [("x-request-id", identity)], 499  # until it is known: a call that is cancelled ends so
            try:
                request = _read(data, read)
                told, status = await answer(request, context), 200
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
                REQUEST.set(identity)
                status, texts = refused(error)
                if isinstance(error, Overloaded):
                    more.append(("retry-after", str(error.retry_after)))
                context.set_trailing_metadata(tuple(more))
                sentence = str(error) if isinstance(error, BackstayError) else texts["error"]
                await self._told_to_leave()
                await context.abort(getattr(grpc.StatusCode, _CODES.get(status, "UNKNOWN")), sentence)
            finally:
                if answer == self._ModelInfer:
                    seconds = monotonic() - begin
                    metrics.observe("request", seconds)
                    metrics.answered("infer", status)
                    if request is not None and (tally := metrics.tallies.get(request.model_name)) is not None:
                        tally.answered(status, seconds)
                    if (trace := _TRACE.get()) is not None:
                        _end(trace, status, identity, context)
            context.set_trailing_metadata(tuple(more))
            await self._told_to_leave()
            return told

        return handle

    def _principal(self, context: Any) -> str:
        given = dict(context.invocation_metadata() or ())
        token = given.get("authorization", "")
        return self._desk.guard.require(token if isinstance(token, bytes) else token.encode())

    async def _ServerLive(self, _: Any, __: Any) -> Any:  # noqa: N802 - the protocol's name
        return message("ServerLiveResponse")(live=True)

    async def _ServerReady(self, _: Any, __: Any) -> Any:  # noqa: N802
        try:
            self._desk.ready()
        except Refusal:
            return message("ServerReadyResponse")(ready=False)
        return message("ServerReadyResponse")(ready=True)

    async def _ServerMetadata(self, _: Any, context: Any) -> Any:  # noqa: N802
        self._principal(context)
        told = self._desk.server()
        return message("ServerMetadataResponse")(name=told["name"], version=told["version"])

    async def _ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        principal = self._principal(context)
        try:
            self._desk.metadata(principal, request.name, request.version)
        except Refusal:
            return message("ModelReadyResponse")(ready=False)
        return message("ModelReadyResponse")(ready=True)

    async def _ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        told = self._desk.metadata(self._principal(context), request.name, request.version)
        told.pop("parameters")
        return message("ModelMetadataResponse")(**told)

    async def _ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        desk, name = self._desk, request.model_name
        begin = monotonic()
        principal = self._principal(context)
        if desk.traces is not None:
            _TRACE.set(desk.traces.called(f"{SERVICE}/ModelInfer", context.invocation_metadata(), begin, model=name))
        route = desk.route(principal, name)
        route.version(request.model_version)
        desk.limiter.admit()
        contract = desk.parts.contracts[name]
        given = contract.read(_tensors(request))
        outputs = contract.wanted([one.name for one in request.outputs])
        for one in request.outputs:
            unclassified(one.name, _parameter(one, "classification"))
        left = context.time_remaining()
        wait = min(inf if left is None else left, waits(_parameter(request, "timeout")))
        job = desk.by_inputs(name, given, begin + wait, None, version=request.model_version, request_id=request.id)
        if (trace := _TRACE.get()) is not None:
            trace.follow(job)
        await desk.done(name, job)
        desk.metrics.observe("parse", job.begun - begin)
        assert job.answer is not None
        response = message("ModelInferResponse")(
            model_name=name, model_version="" if job.version is None else str(job.version), id=request.id
        )
        typed = not request.raw_input_contents
        for tensor in answered(job.answer, outputs):
            one = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            if typed:
                _fill(one.contents, tensor)
            else:
                response.raw_output_contents.append(raw(tensor))
        return response


def _end(trace: Trace, status: int, identity: str, context: Any) -> None:
    """The handler is done: the trace ends once the answer is written."""
    begin, code = monotonic(), _CODES.get(status, "UNKNOWN")
    context.add_done_callback(lambda _: trace.answered(status, begin, monotonic(), identity.encode(), code))


class _Reflection:
    """Tells tools the messages. Not without a token: only health needs none."""

    def __init__(self, principal: Callable[[Any], str]) -> None:
        self._principal = principal
        self._servicer = reflection.aio.ReflectionServicer((SERVICE, reflection.SERVICE_NAME), pool=pool())

    async def ServerReflectionInfo(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        try:
            self._principal(context)
        except Refusal as error:
            await context.abort(getattr(grpc.StatusCode, _CODES[error.status]), str(error))
        async for told in self._servicer.ServerReflectionInfo(requests, context):
            yield told


def _read(data: bytes, read: Callable[[bytes], Any]) -> Any:
    try:
        return read(data)
    except DecodeError as error:
        raise InputError(
            f"the message is not as the protocol has it: {error}", where="message", expected="protobuf of this method",
            fix="make the client anew from the protocol's file, or from reflection",
        ) from None  # fmt: skip


def _parameter(holder: Any, name: str) -> Any:
    """A parameter of a request or of an output, if it has it."""
    if name not in holder.parameters:
        return None
    given = holder.parameters[name]
    kind = given.WhichOneof("parameter_choice")
    return None if kind is None else getattr(given, kind)


def _tensors(request: Any) -> list[Tensor]:
    contents = request.raw_input_contents
    if contents and len(contents) != len(request.inputs):
        raise InputError(
            f"there are {len(contents)} raw contents for {len(request.inputs)} inputs", where="raw_input_contents",
            expected="one for each input, or none and typed contents",
        )  # fmt: skip
    out = []
    for place, one in enumerate(request.inputs):
        if contents:
            if one.HasField("contents"):
                raise InputError(
                    f"{one.name!r} has typed contents beside raw ones", where=f"inputs.{one.name}.contents",
                    expected="one of them",
                )  # fmt: skip
            out.append(from_raw(one.name, one.datatype, one.shape, contents[place]))
            continue
        field = _CONTENTS.get(one.datatype)
        _only(one, field)
        data = list(getattr(one.contents, field)) if field else []
        out.append(from_list(one.name, one.datatype, one.shape, data))
    return out


def _only(one: Any, field: str | None) -> None:
    """Raise `InputError` if a tensor has contents in another field than its datatype's: they would be left out."""
    other = next((kind.name for kind, _ in one.contents.ListFields() if kind.name != field), None)
    if other is not None and one.datatype in (*NUMBERS, BYTES):
        raise InputError(
            f"{one.name!r} is {one.datatype}, and has {other}", where=f"inputs.{one.name}.contents",
            expected=f"{field} only" if field else "raw contents: no typed ones hold it",
        )  # fmt: skip


def _fill(contents: Any, tensor: Tensor) -> None:
    values = plain(tensor)
    if tensor.datatype == BYTES:
        values = [text.encode() for text in values]
    getattr(contents, _CONTENTS[tensor.datatype]).extend(values)
