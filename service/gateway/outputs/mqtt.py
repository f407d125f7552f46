"""Answers to an MQTT 5 broker, from the spool.

The broker's acknowledgement does not say that a subscriber got the message: brokers drop what a sleeping subscriber
does not fetch. With `confirm`, a message stays in the spool until a subscriber has sent its id to the topic
`base`/confirm/NAME; a receiver must expect to see one twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from service.gateway.libraries import need
from service.gateway.metrics import LineMetrics
from service.gateway.mqtt_settings import Broker, properties
from service.gateway.outputs.spool import Message
from service.gateway.outputs.spooled import OutputSettings, SpooledOutput


class MqttOutputSettings(OutputSettings):
    """`[[output]] kind = "mqtt"`: results on `base`/STATION/result."""

    kind: Literal["mqtt"]
    broker: Broker = Field(default=Broker(), description="How the broker is reached.")
    confirm: bool = Field(default=False, description="Keep each message until a subscriber has sent back its id.")
    confirm_ms: float = Field(default=10000, gt=0, le=600000, description="Then it is sent again, milliseconds.")

    def output(self, state_dir: Path, metrics: LineMetrics, stations: Sequence[str]) -> SpooledOutput:
        need("aiomqtt", "mqtt")
        return SpooledOutput(self, state_dir, metrics, MqttDelivery(self))


class MqttDelivery:
    """Keeps one connection; a failure ends it, the next message makes a new one."""

    def __init__(self, settings: MqttOutputSettings) -> None:
        self._settings = settings
        self._stack: contextlib.AsyncExitStack | None = None
        self._client: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._confirmed: dict[int, asyncio.Event] = {}

    async def start(self) -> None:
        """The first message connects."""

    async def deliver(self, message: Message) -> None:
        confirmed = self._confirmed.setdefault(message.id, asyncio.Event())
        try:
            client = await self._connected()
            station = json.loads(message.body)["station"]
            given = properties("PUBLISH", UserProperty=[("message", str(message.id))])
            topic = f"{self._settings.broker.base}/{station}/result"
            await client.publish(topic, message.body, qos=1, properties=given)
            if self._settings.confirm:
                async with asyncio.timeout(self._settings.confirm_ms / 1000):
                    await confirmed.wait()
        except Exception:
            await self.close()
            raise
        finally:
            self._confirmed.pop(message.id, None)

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None
        stack, self._stack, self._client = self._stack, None, None
        if stack is not None:
            with contextlib.suppress(Exception):
                await stack.aclose()

    async def _connected(self) -> Any:
        if self._client is None:
            stack = contextlib.AsyncExitStack()
            client = await stack.enter_async_context(self._settings.broker.client(f"mkd-line-{self._settings.name}"))
            self._stack, self._client = stack, client
            if self._settings.confirm:
                await client.subscribe(f"{self._settings.broker.base}/confirm/{self._settings.name}", qos=1)
                self._listener = asyncio.create_task(self._listen(client))
        return self._client

    async def _listen(self, client: Any) -> None:
        with contextlib.suppress(need("aiomqtt", "mqtt").MqttError):
            async for message in client.messages:
                number = bytes(message.payload)
                if number.isdigit() and int(number) in self._confirmed:
                    self._confirmed[int(number)].set()
