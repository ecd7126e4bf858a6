"""The protocol's messages and its service, `inference.GRPCInferenceService`, as protobuf has them.

Names and numbers are the standard's; the classes are built from the table below when the first is asked for, so that
there is no generated code. They stand in a pool of their own: a client's in the same process are left alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
_REPOSITORY = ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload")
ALL_METHODS = (*METHODS, *_REPOSITORY)

# A field is its number, name and type; `*` is repeated, `{}` a map from texts, `|` one of a choice.
_MESSAGES = """
ServerLiveRequest
ServerLiveResponse: 1 live bool
ServerReadyRequest
ServerReadyResponse: 1 ready bool
ModelReadyRequest: 1 name string, 2 version string
ModelReadyResponse: 1 ready bool
ServerMetadataRequest
ServerMetadataResponse: 1 name string, 2 version string, 3 extensions *string
ModelMetadataRequest: 1 name string, 2 version string
ModelMetadataResponse.TensorMetadata: 1 name string, 2 datatype string, 3 shape *int64
ModelMetadataResponse: 1 name string, 2 versions *string, 3 platform string,
  4 inputs *ModelMetadataResponse.TensorMetadata, 5 outputs *ModelMetadataResponse.TensorMetadata
InferParameter: 1 bool_param |bool, 2 int64_param |int64, 3 string_param |string, 4 double_param |double,
  5 uint64_param |uint64
InferTensorContents: 1 bool_contents *bool, 2 int_contents *int32, 3 int64_contents *int64, 4 uint_contents *uint32,
  5 uint64_contents *uint64, 6 fp32_contents *float, 7 fp64_contents *double, 8 bytes_contents *bytes
ModelInferRequest.InferInputTensor: 1 name string, 2 datatype string, 3 shape *int64, 4 parameters {}InferParameter,
  5 contents InferTensorContents
ModelInferRequest.InferRequestedOutputTensor: 1 name string, 2 parameters {}InferParameter
ModelInferRequest: 1 model_name string, 2 model_version string, 3 id string, 4 parameters {}InferParameter,
  5 inputs *ModelInferRequest.InferInputTensor, 6 outputs *ModelInferRequest.InferRequestedOutputTensor,
  7 raw_input_contents *bytes
ModelInferResponse.InferOutputTensor: 1 name string, 2 datatype string, 3 shape *int64, 4 parameters {}InferParameter,
  5 contents InferTensorContents
ModelInferResponse: 1 model_name string, 2 model_version string, 3 id string, 4 parameters {}InferParameter,
  5 outputs *ModelInferResponse.InferOutputTensor, 6 raw_output_contents *bytes
ModelRepositoryParameter: 1 bool_param |bool, 2 int64_param |int64, 3 string_param |string, 4 bytes_param |bytes
RepositoryIndexRequest: 1 repository_name string, 2 ready bool
RepositoryIndexResponse.ModelIndex: 1 name string, 2 version string, 3 state string, 4 reason string
RepositoryIndexResponse: 1 models *RepositoryIndexResponse.ModelIndex
RepositoryModelLoadRequest: 1 repository_name string, 2 model_name string, 3 parameters {}ModelRepositoryParameter
RepositoryModelLoadResponse
RepositoryModelUnloadRequest: 1 repository_name string, 2 model_name string, 3 parameters {}ModelRepositoryParameter
RepositoryModelUnloadResponse
"""


@cache
def pool() -> Any:
    """The pool that holds the descriptors."""
    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package=PACKAGE, syntax="proto3")
    messages: dict[str, Any] = {}
    for line in _MESSAGES.replace(",\n  ", ", ").strip().splitlines():
        name, _, fields = line.partition(":")
        outer, _, inner = name.rpartition(".")
        if outer and outer not in messages:
            messages[outer] = file.message_type.add(name=outer)
        message = messages.get(name)
        if message is None:
            message = messages[name] = (messages[outer].nested_type if outer else file.message_type).add(name=inner)
        for field in filter(None, map(str.strip, fields.split(","))):
            _add(message, name, field)
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    for method in ALL_METHODS:
        service.method.add(
            name=method, input_type=f".{PACKAGE}.{method}Request", output_type=f".{PACKAGE}.{method}Response"
        )
    made = descriptor_pool.DescriptorPool()
    made.Add(file)
    return made


def _add(message: Any, inside: str, text: str) -> None:
    """One field, as the table has it."""
    number, name, kind = text.split()
    field = message.field.add(name=name, number=int(number), label=_LABEL.LABEL_OPTIONAL)
    if kind.startswith("{}"):
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _add(entry, inside, "1 key string")
        _add(entry, inside, f"2 value {kind[2:]}")
        kind = f"*{inside}.{entry.name}"
    if kind.startswith("*"):
        field.label = _LABEL.LABEL_REPEATED
    if kind.startswith("|"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    kind = kind.lstrip("*|")
    if kind[0].islower():
        field.type = _LABEL.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = _LABEL.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


_LABEL = descriptor_pb2.FieldDescriptorProto


@cache
def message(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))
