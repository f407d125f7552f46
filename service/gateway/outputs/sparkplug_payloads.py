"""What a Sparkplug B edge node says: its birth, an answer and its death, as payloads of the published protobuf schema.

The metrics of a station stand under its name, `press/Decision`. At birth they hold the fail-safe value, so that a host
never takes a state of before the connection for an OK.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from service.gateway.codes import MEANINGS, Code
from service.gateway.events import Decision
from service.gateway.libraries import need

SEQUENCE = 256
REBIRTH = "Node Control/Rebirth"


class SparkplugMetric(NamedTuple):
    """A metric of a station: its name, its datatype by pysparkplug's names, and the member of an answer it shows."""

    name: str
    datatype: str
    member: str


METRICS: tuple[SparkplugMetric, ...] = (
    SparkplugMetric("Decision", "STRING", "decision"),
    SparkplugMetric("Ok", "BOOLEAN", "ok"),
    SparkplugMetric("Code", "UINT16", "code"),
    SparkplugMetric("Meaning", "STRING", "meaning"),
    SparkplugMetric("Cycle", "UINT32", "cycle"),
    SparkplugMetric("TriggerId", "UINT32", "trigger_id"),
    SparkplugMetric("PartId", "STRING", "part_id"),
    SparkplugMetric("Recipe", "STRING", "recipe"),
    SparkplugMetric("Product", "STRING", "product"),
    SparkplugMetric("Score", "DOUBLE", "score"),
    SparkplugMetric("Threshold", "DOUBLE", "threshold"),
    SparkplugMetric("Version", "STRING", "version"),
    SparkplugMetric("Method", "STRING", "method"),
    SparkplugMetric("Artifact", "STRING", "artifact"),
    SparkplugMetric("RequestId", "STRING", "request_id"),
    SparkplugMetric("Seconds", "DOUBLE", "seconds"),
)
FAIL_SAFE: dict[str, object] = {
    "decision": Decision.REJECT.value,
    "ok": False,
    "code": int(Code.STARTED),
    "meaning": MEANINGS[Code.STARTED],
}


class SparkplugPayloads:
    """Makes the payloads of one edge node; `sequence` counts its messages since the last birth, as hosts check."""

    def __init__(self, stations: Sequence[str]) -> None:
        self._spark: Any = need("pysparkplug", "sparkplug")
        self._stations = tuple(stations)
        self._sequence = 0
        self._session = -1
        self._birth: Any = None

    def next_session(self) -> None:
        """A new connection: birth and death of it carry the same number, so that a host can pair them."""
        self._session = (self._session + 1) % SEQUENCE

    def birth(self) -> bytes:
        """All metrics with their types. The first message of a session, and the answer to a rebirth command."""
        spark, now = self._spark, milliseconds(time.time())
        rebirth = spark.Metric(timestamp=now, name=REBIRTH, datatype=spark.DataType.BOOLEAN, value=False)
        metrics = [self._session_metric(now), rebirth]
        for station in self._stations:
            metrics += self._metrics(station, FAIL_SAFE, now, is_historical=False)
        self._sequence = 0
        self._birth = spark.NBirth(timestamp=now, seq=0, metrics=tuple(metrics))
        return bytes(self._birth.encode())

    def death(self) -> bytes:
        """The last word of a session, left with the broker as its will."""
        now = milliseconds(time.time())
        return bytes(self._spark.NDeath(timestamp=now, bd_seq_metric=self._session_metric(now)).encode())

    def data(self, members: Mapping[str, object], *, is_historical: bool) -> bytes:
        """One answer, all of it in one message. `is_historical`: it is from before this session's birth."""
        self._sequence = (self._sequence + 1) % SEQUENCE
        at = milliseconds(answered_at(members))
        metrics = self._metrics(str(members["station"]), members, at, is_historical=is_historical)
        now = milliseconds(time.time())
        return bytes(self._spark.NData(timestamp=now, seq=self._sequence, metrics=tuple(metrics)).encode())

    def asks_for_rebirth(self, payload: bytes) -> bool:
        """Whether a command of a host is the one that every edge node must follow. Raises ValueError or LookupError
        for what is no command."""
        command = self._spark.NCmd.decode(payload, birth=self._birth)
        return any(metric.name == REBIRTH and metric.value for metric in command.metrics)

    def _session_metric(self, now: int) -> Any:
        spark = self._spark
        return spark.Metric(timestamp=now, name="bdSeq", datatype=spark.DataType.INT64, value=self._session)

    def _metrics(self, station: str, members: Mapping[str, object], at: int, *, is_historical: bool) -> list[Any]:
        spark = self._spark
        return [
            spark.Metric(
                timestamp=at,
                name=f"{station}/{metric.name}",
                datatype=getattr(spark.DataType, metric.datatype),
                value=members.get(metric.member),
                is_historical=is_historical,
            )
            for metric in METRICS
        ]


def answered_at(members: Mapping[str, object]) -> float:
    """The time of an answer, in seconds since 1970."""
    return datetime.fromisoformat(str(members["time"])).timestamp()


def milliseconds(seconds: float) -> int:
    """Seconds since 1970 as Sparkplug writes times."""
    return int(seconds * 1000)
