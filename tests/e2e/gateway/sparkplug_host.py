"""A Sparkplug B host: hears an edge node over MQTT and reads it by the published schema, without the gateway's library.

The schema is written down here from Eclipse Tahu's sparkplug_b.proto, as far as an edge node may use it.
"""

from __future__ import annotations

import importlib
import json
import threading
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.e2e.gateway.processes import wait_for

descriptor_pb2: Any = importlib.import_module("google.protobuf.descriptor_pb2")  # it has no types of its own
KINDS = descriptor_pb2.FieldDescriptorProto
PAYLOAD = (("timestamp", 1, KINDS.TYPE_UINT64), ("seq", 3, KINDS.TYPE_UINT64))
METRIC = (
    ("name", 1, KINDS.TYPE_STRING),
    ("alias", 2, KINDS.TYPE_UINT64),
    ("timestamp", 3, KINDS.TYPE_UINT64),
    ("datatype", 4, KINDS.TYPE_UINT32),
    ("is_historical", 5, KINDS.TYPE_BOOL),
    ("is_transient", 6, KINDS.TYPE_BOOL),
    ("is_null", 7, KINDS.TYPE_BOOL),
)
VALUES = (
    ("int_value", 10, KINDS.TYPE_UINT32),
    ("long_value", 11, KINDS.TYPE_UINT64),
    ("float_value", 12, KINDS.TYPE_FLOAT),
    ("double_value", 13, KINDS.TYPE_DOUBLE),
    ("boolean_value", 14, KINDS.TYPE_BOOL),
    ("string_value", 15, KINDS.TYPE_STRING),
    ("bytes_value", 16, KINDS.TYPE_BYTES),
)
INTEGERS = {4: "long_value", 6: "int_value", 7: "int_value"}
FILLED_BY = {10: "double_value", 11: "boolean_value", 12: "string_value", **INTEGERS}


def payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="host.proto", package="host", syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    for message, fields in ((payload, PAYLOAD), (metric, METRIC + VALUES)):
        for name, number, kind in fields:
            message.field.add(name=name, number=number, type=kind, label=KINDS.LABEL_OPTIONAL)
    metric.oneof_decl.add(name="value")
    for field in metric.field[len(METRIC) :]:
        field.oneof_index = 0
    payload.field.add(
        name="metrics", number=2, type=KINDS.TYPE_MESSAGE, label=KINDS.LABEL_REPEATED, type_name=".host.Payload.Metric"
    )
    pool = importlib.import_module("google.protobuf.descriptor_pool").DescriptorPool()
    pool.Add(file)
    factory = importlib.import_module("google.protobuf.message_factory")
    return factory.GetMessageClass(pool.FindMessageTypeByName("host.Payload"))


Payload = payload_class()


@dataclass(frozen=True)
class Heard:
    """One message: its kind, its sequence number, and its metrics by name (None for null)."""

    kind: str
    seq: int | None
    metrics: dict[str, Any]
    types: dict[str, int]
    is_historical: bool


def read(kind: str, data: bytes) -> Heard:
    """Fails where a value stands in another field than its datatype says."""
    payload = Payload.FromString(data)
    metrics, types = {}, {}
    for metric in payload.metrics:
        place = metric.WhichOneof("value")
        assert (place is None) == metric.is_null, metric
        if metric.HasField("datatype") and place is not None:
            assert FILLED_BY[metric.datatype] == place, metric
        metrics[metric.name] = None if place is None else getattr(metric, place)
        types[metric.name] = metric.datatype
    seq = payload.seq if payload.HasField("seq") else None
    assert payload.HasField("timestamp")
    return Heard(kind, seq, metrics, types, any(metric.is_historical for metric in payload.metrics))


class Host:
    """Hears all of the group `mkd`."""

    def __init__(self, port: int) -> None:
        self.heard: list[Heard] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_message = lambda *given: self._on_message(given[2].topic, given[2].payload)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        wait_for(lambda: self._client.connect("127.0.0.1", port) == 0, "the broker")
        self._client.loop_start()
        self._client.subscribe("spBv1.0/mkd/#", qos=1)
        assert subscribed.wait(10)

    def _on_message(self, topic: str, data: bytes) -> None:
        _, _, kind, node = topic.split("/")
        if kind != "NCMD":
            assert node == "hall-3"
            self.heard.append(read(kind, data))

    def of(self, kind: str) -> list[Heard]:
        return [one for one in self.heard if one.kind == kind]

    def wait(self, kind: str, count: int) -> Heard:
        """The message of that kind and number, from 1."""
        wait_for(lambda: len(self.of(kind)) >= count, f"{kind} number {count}")
        return self.of(kind)[count - 1]

    def ask_for_rebirth(self) -> None:
        command = Payload(timestamp=1)
        command.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
        self._client.publish("spBv1.0/mkd/NCMD/hall-3", command.SerializeToString(), qos=1)

    def be(self, *, online: bool, at: int) -> None:
        """The state of the primary host `scada`."""
        said = json.dumps({"online": online, "timestamp": at})
        self._client.publish("spBv1.0/STATE/scada", said, qos=1, retain=True)

    def say_nonsense(self) -> None:
        self._client.publish("spBv1.0/mkd/NCMD/hall-3", b"\xff\xff nonsense", qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_message = self._client.on_subscribe = None
        del self._client  # which closes its sockets
