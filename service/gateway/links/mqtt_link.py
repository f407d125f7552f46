"""Triggers by MQTT 5: requests with a response topic and correlation data, and the station's state with a last will.

Topics, under `base`/STATION: `request` takes JSON `{"recipe", "trigger_id"?, "part_id"?}`; `state` is retained and says
`online` or `offline`. The answer goes to the request's response topic. Whoever gets none within the window, or sees
`offline`, has no OK.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Literal

from pydantic import Field

from service import logs
from service.gateway.answer_text import answer_members
from service.gateway.events import TriggerRequest
from service.gateway.libraries import need
from service.gateway.mqtt_settings import Broker, CertificateFault, code_of, properties
from service.gateway.runner import StationRunner
from service.gateway.schema import LineSchema

AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class MqttLinkSettings(LineSchema):
    """`[station.link] kind = "mqtt"`."""

    kind: Literal["mqtt"]
    broker: Broker = Field(default=Broker(), description="How the broker is reached.")

    def claims(self) -> set[str]:
        return set()

    def link(self, runner: StationRunner) -> MqttLink:
        need("aiomqtt", "mqtt")
        return MqttLink(self, runner)


class MqttLink:
    """Answers the requests to one station."""

    def __init__(self, settings: MqttLinkSettings, runner: StationRunner) -> None:
        self._broker = settings.broker
        self._runner = runner
        self._topic = f"{settings.broker.base}/{runner.name}"
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        mqtt_error = need("aiomqtt", "mqtt").MqttError
        tries, told = 0, ""
        while True:
            try:
                await self._session()
            except (mqtt_error, CertificateFault) as error:
                if str(error) != told:
                    logs.event("plc is gone", logging.WARNING, station=self._runner.name, detail=str(error)[:300])
                    told = str(error)
                self._runner.lost(code_of(error))
            tries, told = (1, "") if self._was_up else (tries + 1, told)
            await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S)) - 1])
            self._runner.metrics.count("mkd_line_reconnections_total", station=self._runner.name, peer="plc")

    async def _session(self) -> None:
        self._was_up = False
        state = f"{self._topic}/state"
        client = self._broker.client(f"mkd-line-{self._runner.name}", will_topic=state, will=b"offline")
        async with client:
            await client.subscribe(f"{self._topic}/request", qos=1)
            await client.publish(state, b"online", qos=1, retain=True)
            self._was_up = True
            self._runner.found()
            try:
                async for message in client.messages:
                    task = asyncio.create_task(self._answer(client, message))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            finally:
                # A client that leaves in good order publishes no will.
                await self._farewell(client, state)

    async def _farewell(self, client: Any, state: str) -> None:
        try:
            await client.publish(state, b"offline", qos=1, retain=True, timeout=1)
        except Exception as error:
            logs.event("no farewell", logging.DEBUG, station=self._runner.name, detail=repr(error))

    async def _answer(self, client: Any, message: Any) -> None:
        """One request. One that cannot be read is answered by what is wrong with it, and starts nothing."""
        response = getattr(message.properties, "ResponseTopic", None)
        try:
            request = read_request(message.payload)
            answer = self._runner.taken(await self._runner.trigger(request))
            said: dict[str, object] = answer_members(self._runner.name, answer)
        except ValueError as error:
            said = {"station": self._runner.name, "ok": False, "decision": "REJECT", "error": str(error)}
            logs.event("request cannot be read", logging.WARNING, station=self._runner.name, detail=str(error))
        if response is None:
            return
        correlation = getattr(message.properties, "CorrelationData", None)
        given = properties("PUBLISH", **({"CorrelationData": correlation} if correlation is not None else {}))
        try:
            await client.publish(response, json.dumps(said).encode(), qos=1, properties=given)
        except Exception as error:
            logs.event("answer not sent", logging.WARNING, station=self._runner.name, detail=repr(error)[:300])

    _was_up = False


def read_request(payload: bytes) -> TriggerRequest:
    """The request of a JSON payload; raises ValueError with what is wrong."""
    try:
        members = json.loads(payload)
    except (ValueError, UnicodeDecodeError):
        raise ValueError("the payload must be a JSON object with recipe") from None
    if not isinstance(members, dict) or not isinstance(members.get("recipe"), str):
        raise ValueError("the payload must be a JSON object with recipe, a text")
    unknown = set(members) - {"recipe", "trigger_id", "part_id"}
    if unknown:
        raise ValueError(f"unknown members: {', '.join(sorted(unknown))}")
    trigger_id = members.get("trigger_id", 0)
    if type(trigger_id) is not int or not 0 <= trigger_id <= 0xFFFFFFFF:
        raise ValueError("trigger_id must be a whole number from 0 to 4294967295")
    return TriggerRequest(trigger_id, members["recipe"], str(members.get("part_id", ""))[:128])
