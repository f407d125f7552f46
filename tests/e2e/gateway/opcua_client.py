"""An OPC UA client as a process of its own: `python -m tests.e2e.gateway.opcua_client`.

Each line of standard input is a session of its own, a JSON list: URL, user, password, commands. Each is answered by a
line, the JSON list of what was said to its commands, shorter where the session ended early or was not let in.

Commands: `job:PART:RECIPE` starts a job and waits for its event, `write` tries to write a variable, `read` reads the
state; `select:RECIPE`; `ack` acknowledges. Everything is read by node ids.

`secure:CERTIFICATE:KEY` as the first command encrypts, by Basic256Sha256.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

asyncua: Any = importlib.import_module("asyncua")  # its types are stricter than its functions

PATIENCE_S = 20.0


class Events:
    """Keeps the events that come."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    def event_notification(self, event: Any) -> None:
        self.queue.put_nowait(event)


async def session(said: list[dict[str, Any]], url: str, user: str, password: str, *given: str) -> None:
    """Adds to `said` what the server says to each command; raises whatever ends the session."""
    commands = list(given)
    client = asyncua.Client(url, timeout=10)
    if user:
        client.set_user(user)
        client.set_password(password)
    if commands and commands[0].startswith("secure:"):
        _, certificate, key = commands.pop(0).split(":")
        policy = importlib.import_module("asyncua.crypto.security_policies").SecurityPolicyBasic256Sha256
        client.application_uri = f"urn:test:{Path(certificate).stem}"
        await client.set_security(policy, certificate, key, mode=asyncua.ua.MessageSecurityMode.SignAndEncrypt)
    async with client:
        station = client.get_node("ns=2;s=press")
        events = Events()
        subscription = await client.create_subscription(10, events)
        kind = await client.nodes.base_event_type.get_child(["2:ResultReadyEventType"])
        await subscription.subscribe_events(station, kind)
        for command in commands:
            try:
                said.append(await asyncio.wait_for(one(client, station, events, command), PATIENCE_S))
            except (asyncua.ua.UaError, TimeoutError) as error:
                said.append({"error": type(error).__name__})


async def one(client: Any, station: Any, events: Events, command: str) -> dict[str, Any]:
    what, *rest = command.split(":")
    if what == "job":
        job, error = await station.call_method(asyncua.ua.NodeId("press.StartSingleJob", 2), rest[0], rest[1])
        event = await events.queue.get()
        score = await client.get_node("ns=2;s=press.Result.Score").read_value()
        seen = {name: getattr(event, name) for name in ("JobId", "PartId", "Decision", "IsOk", "Code", "ResultId")}
        return {"job": job, "error": error, "score": score, **seen}
    if what == "write":
        variant = asyncua.ua.Variant(True, asyncua.ua.VariantType.Boolean)
        await client.get_node("ns=2;s=press.Result.IsOk").write_value(variant)
        return {"written": True}
    if what == "select":
        return {"error": await station.call_method(asyncua.ua.NodeId("press.SelectRecipe", 2), rest[0])}
    if what == "ack":
        number = await client.get_node("ns=2;s=press.Result.ResultId").read_value()
        variant = asyncua.ua.Variant(number, asyncua.ua.VariantType.UInt16)
        return {"error": await station.call_method(asyncua.ua.NodeId("press.AcknowledgeResult", 2), variant)}
    return {name: await client.get_node(f"ns=2;s=press.{name}").read_value() for name in ("State", "Ready", "Code")}


def main() -> None:
    """Until the end of the input."""
    for line in sys.stdin:
        said: list[dict[str, Any]] = []
        try:
            asyncio.run(session(said, *json.loads(line)))
        except Exception:
            traceback.print_exc()
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
