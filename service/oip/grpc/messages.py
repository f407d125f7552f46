"""The protocol's gRPC messages, as classes of protobuf.

The table below is their wire form: field names, numbers and types. The classes are made in a descriptor pool of their
own: generated code registers its names for the whole process, where a client of the same protocol (tritonclient) has
registered them too, and the second of both fails.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
FILE = "mkdserve/open_inference.proto"
MANY, ONE_OF, MAP = "many ", "one of ", "map "  # before a type: repeated, a member of the message's oneof, parameters
Kinds = descriptor_pb2.FieldDescriptorProto
TYPES = {
    "bool": Kinds.TYPE_BOOL,
    "int32": Kinds.TYPE_INT32,
    "int64": Kinds.TYPE_INT64,
    "uint32": Kinds.TYPE_UINT32,
    "uint64": Kinds.TYPE_UINT64,
    "float": Kinds.TYPE_FLOAT,
    "double": Kinds.TYPE_DOUBLE,
    "string": Kinds.TYPE_STRING,
    "bytes": Kinds.TYPE_BYTES,
}
PARAMETERS = f"{MAP}InferParameter"
MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {1: ("live", "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {1: ("ready", "bool")},
    "ModelReadyRequest": {1: ("name", "string"), 2: ("version", "string")},
    "ModelReadyResponse": {1: ("ready", "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {1: ("name", "string"), 2: ("version", "string"), 3: ("extensions", "many string")},
    "ModelMetadataRequest": {1: ("name", "string"), 2: ("version", "string")},
    "ModelMetadataResponse": {
        1: ("name", "string"),
        2: ("versions", "many string"),
        3: ("platform", "string"),
        4: ("inputs", "many ModelMetadataResponse.TensorMetadata"),
        5: ("outputs", "many ModelMetadataResponse.TensorMetadata"),
    },
    "ModelMetadataResponse.TensorMetadata": {
        1: ("name", "string"),
        2: ("datatype", "string"),
        3: ("shape", "many int64"),
    },
    "InferParameter": {
        1: ("bool_param", "one of bool"),
        2: ("int64_param", "one of int64"),
        3: ("string_param", "one of string"),
        4: ("double_param", "one of double"),
        5: ("uint64_param", "one of uint64"),
    },
    "InferTensorContents": {
        1: ("bool_contents", "many bool"),
        2: ("int_contents", "many int32"),
        3: ("int64_contents", "many int64"),
        4: ("uint_contents", "many uint32"),
        5: ("uint64_contents", "many uint64"),
        6: ("fp32_contents", "many float"),
        7: ("fp64_contents", "many double"),
        8: ("bytes_contents", "many bytes"),
    },
    "ModelInferRequest": {
        1: ("model_name", "string"),
        2: ("model_version", "string"),
        3: ("id", "string"),
        4: ("parameters", PARAMETERS),
        5: ("inputs", "many ModelInferRequest.InferInputTensor"),
        6: ("outputs", "many ModelInferRequest.InferRequestedOutputTensor"),
        7: ("raw_input_contents", "many bytes"),
    },
    "ModelInferRequest.InferInputTensor": {
        1: ("name", "string"),
        2: ("datatype", "string"),
        3: ("shape", "many int64"),
        4: ("parameters", PARAMETERS),
        5: ("contents", "InferTensorContents"),
    },
    "ModelInferRequest.InferRequestedOutputTensor": {1: ("name", "string"), 2: ("parameters", PARAMETERS)},
    "ModelInferResponse": {
        1: ("model_name", "string"),
        2: ("model_version", "string"),
        3: ("id", "string"),
        4: ("parameters", PARAMETERS),
        5: ("outputs", "many ModelInferResponse.InferOutputTensor"),
        6: ("raw_output_contents", "many bytes"),
    },
    "ModelInferResponse.InferOutputTensor": {
        1: ("name", "string"),
        2: ("datatype", "string"),
        3: ("shape", "many int64"),
        4: ("parameters", PARAMETERS),
        5: ("contents", "InferTensorContents"),
    },
}


def _describe(message: descriptor_pb2.DescriptorProto, name: str) -> None:
    for number, (field_name, kind) in MESSAGES[name].items():
        field = message.field.add(name=field_name, number=number, label=Kinds.LABEL_OPTIONAL)
        if kind.startswith(MAP):
            _describe_parameters(message, field, kind.removeprefix(MAP), name)
            continue
        if kind.startswith(ONE_OF):
            if not message.oneof_decl:
                message.oneof_decl.add(name="parameter_choice")
            field.oneof_index = 0
        if kind.startswith(MANY):
            field.label = Kinds.LABEL_REPEATED
        _set_type(field, kind.removeprefix(ONE_OF).removeprefix(MANY))


def _describe_parameters(
    message: descriptor_pb2.DescriptorProto, field: descriptor_pb2.FieldDescriptorProto, value: str, name: str
) -> None:
    """A map is a repeated message of key and value, marked as such."""
    entry = message.nested_type.add(name="ParametersEntry")
    entry.options.map_entry = True
    _set_type(entry.field.add(name="key", number=1, label=Kinds.LABEL_OPTIONAL), "string")
    _set_type(entry.field.add(name="value", number=2, label=Kinds.LABEL_OPTIONAL), value)
    field.label = Kinds.LABEL_REPEATED
    _set_type(field, f"{name}.ParametersEntry")


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in TYPES:
        field.type = TYPES[kind]
    else:
        field.type, field.type_name = Kinds.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    described: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name in MESSAGES:  # an outer message stands before its inner ones
        outer, _, inner = name.rpartition(".")
        described[name] = described[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=inner)
        _describe(described[name], name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in MESSAGES
        if "." not in name
    }


CLASSES = _classes()
