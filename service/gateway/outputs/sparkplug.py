"""Answers as Sparkplug B over MQTT, from the spool: the gateway is an edge node, its stations' results are metrics.

    spBv1.0/GROUP/NBIRTH/NODE   all metrics with their types, at the fail-safe value
    spBv1.0/GROUP/NDATA/NODE    one answer
    spBv1.0/GROUP/NDEATH/NODE   the connection's will: what the node has said counts no more
    spBv1.0/GROUP/NCMD/NODE     `Node Control/Rebirth` asks for the birth once more

Sparkplug sends with quality of service 0, so an answer is out of the spool once it was sent on a connection. With
`primary_host` answers stay in the spool while that host is offline. What waited is marked as historical.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from service import logs
from service.gateway.libraries import need
from service.gateway.metrics import LineMetrics
from service.gateway.mqtt_settings import Broker
from service.gateway.outputs.sparkplug_payloads import SparkplugPayloads, answered_at
from service.gateway.outputs.spool import Message
from service.gateway.outputs.spooled import OutputSettings, SpooledOutput

SPACE = "spBv1.0"
ID_PATTERN = r"^[^/+#\x00]{1,100}$"
SEND_WITHIN_S = 5.0
AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class SparkplugSettings(OutputSettings):
    """`[[output]] kind = "sparkplug"`."""

    kind: Literal["sparkplug"]
    broker: Broker = Field(default=Broker(), description="How the broker is reached; Sparkplug has topics of its own.")
    group: str = Field(default="mkd", pattern=ID_PATTERN, description="Group id of the edge node.")
    node: str = Field(default="line", pattern=ID_PATTERN, description="Edge node id, another one for each gateway.")
    primary_host: str = Field(
        default="",
        pattern=r"^[^/+#\x00]{0,100}$",
        description="Id of the host that must be online before anything is sent; empty for none.",
    )

    def output(self, state_dir: Path, metrics: LineMetrics, stations: Sequence[str]) -> SpooledOutput:
        need("aiomqtt", "sparkplug")
        return SpooledOutput(self, state_dir, metrics, SparkplugDelivery(self, stations))


class HostGone(Exception):
    """The primary host has gone offline: the session ends, and answers stay in the spool."""


class SparkplugDelivery:
    """Keeps one session with the broker, from birth to death; a session that ended is followed by another."""

    def __init__(self, settings: SparkplugSettings, stations: Sequence[str]) -> None:
        self._settings = settings
        self._payloads = SparkplugPayloads(stations)
        self._born = asyncio.Event()
        self._born_at = 0.0
        self._client: Any = None
        self._host_spoke_at = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    async def deliver(self, message: Message) -> None:
        async with asyncio.timeout(SEND_WITHIN_S):
            await self._born.wait()
        members = json.loads(message.body)
        payload = self._payloads.data(members, is_historical=answered_at(members) < self._born_at)
        await self._client.publish(self._topic("NDATA"), payload, qos=0)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _topic(self, kind: str) -> str:
        return f"{SPACE}/{self._settings.group}/{kind}/{self._settings.node}"

    async def _keep(self) -> None:
        tries = 0
        while True:
            try:
                await self._session()
            except Exception as error:
                if not tries:
                    detail = repr(error)[:300]
                    logs.event("sparkplug session ended", logging.WARNING, output=self._settings.name, detail=detail)
            tries = 1 if self._client is not None else tries + 1
            self._client = None
            await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S)) - 1])

    async def _session(self) -> None:
        """One connection. Its will is told to the broker before anything is born."""
        settings, payloads = self._settings, self._payloads
        payloads.next_session()
        death = self._topic("NDEATH")
        identifier = f"mkd-line-{settings.name}"
        async with settings.broker.client(identifier, will_topic=death, will=payloads.death(), retain=False) as client:
            self._client = client
            await client.subscribe(self._topic("NCMD"), qos=1)
            try:
                if settings.primary_host:
                    await client.subscribe(f"{SPACE}/STATE/{settings.primary_host}", qos=1)
                else:
                    await self._bear(client)
                async for message in client.messages:
                    await self._heard(client, message)
            finally:
                self._born.clear()
                with contextlib.suppress(Exception):  # a client that leaves in good order publishes no will
                    await client.publish(death, payloads.death(), qos=1, timeout=1)

    async def _bear(self, client: Any) -> None:
        self._born_at = time.time()
        await client.publish(self._topic("NBIRTH"), self._payloads.birth(), qos=0)
        self._born.set()

    async def _heard(self, client: Any, message: Any) -> None:
        if str(message.topic) == self._topic("NCMD"):
            if self._born.is_set() and self._is_rebirth(bytes(message.payload)):
                await self._bear(client)
            return
        is_online = self._host_is_online(bytes(message.payload))
        if is_online is False and self._born.is_set():
            raise HostGone(f"{self._settings.primary_host} is offline")
        if is_online and not self._born.is_set():
            await self._bear(client)

    def _is_rebirth(self, payload: bytes) -> bool:
        try:
            return self._payloads.asks_for_rebirth(payload)
        except Exception as error:  # of a decoder that is not ours
            logs.event("command cannot be read", logging.WARNING, output=self._settings.name, detail=repr(error)[:300])
            return False

    def _host_is_online(self, payload: bytes) -> bool | None:
        """None for what is no state, and for an old one: a will may come behind the birth of the next session."""
        try:
            state = json.loads(payload)
            is_online, at = bool(state["online"]), int(state["timestamp"])
        except (ValueError, KeyError, TypeError):
            return None
        if at < self._host_spoke_at:
            return None
        self._host_spoke_at = at
        return is_online
