"""The gateway as an OPC UA server: jobs by method, results as variables and events."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections import deque
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from service import logs
from service.auth import KeyRing
from service.errors import ServiceError
from service.gateway.codes import Code
from service.gateway.events import TriggerRequest
from service.gateway.libraries import need
from service.gateway.links.opcua_nodes import NO_RESULT, NODES, RESULT_NODES, document
from service.gateway.outputs_view import Outputs
from service.gateway.runner import StationRunner
from service.gateway.schema import LineSchema

NAMESPACE = "urn:mkdserve:line"
CERTIFICATE_AGAIN_S = 2.0
DONE, BUSY, UNKNOWN, STRAY = 0, -1, -2, -3  # what methods return as Error


class OpcUaServerSettings(LineSchema):
    """`[station.link] kind = "opcua_server"`: one server for each station."""

    kind: Literal["opcua_server"]
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=4840, ge=1, le=65535, description="TCP port to listen on.")
    anonymous: Literal["none", "read", "write"] = Field(
        default="read", description="What clients without a user may do; methods belong to write."
    )
    keys_file: Path | None = Field(
        default=None, description="Users: lines of `mkd-serve keys new` with the scope infer; the key is the password."
    )
    certificate: Path | None = Field(default=None, description="The server's certificate, DER or PEM.")
    private_key: Path | None = Field(default=None, description="Its private key, PEM.")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together")
        if self.anonymous != "write" and self.keys_file is None:
            raise ValueError("nobody could start a job: give keys_file, or anonymous = 'write' on a closed network")
        return self

    def claims(self) -> set[str]:
        return {f"tcp port {self.port}"}

    def link(self, runner: StationRunner) -> OpcUaServerLink:
        return OpcUaServerLink(self, runner)


class OpcUaServerLink:
    """Serves the nodes of one station."""

    def __init__(self, settings: OpcUaServerSettings, runner: StationRunner) -> None:
        self._settings = settings
        self._runner = runner
        self._opcua = need("asyncua", "opcua")
        self._ua = self._opcua.ua
        self._variables: dict[str, Any] = {}
        self._written: dict[str, Any] = {}
        self._pending: deque[Outputs] = deque(maxlen=1000)
        self._changed = asyncio.Event()
        self._recipe = ""
        self._result = 0

    async def run(self) -> None:
        while fault := certificate_fault(self._settings.certificate):
            logs.event("certificate", logging.ERROR, station=self._runner.name, detail=fault)
            self._runner.lost(Code.CERTIFICATE_INVALID)
            await asyncio.sleep(CERTIFICATE_AGAIN_S)
        self._variables, self._written = {}, {}
        server = self._opcua_server = await self._server()
        async with server:
            self._runner.listen(self._on_change)
            self._runner.found()
            try:
                await self._publish(await self._events(server))
            finally:
                self._runner.unlisten(self._on_change)

    def _on_change(self, shown: Outputs) -> None:
        self._pending.append(shown)
        self._changed.set()

    async def _publish(self, events: Any) -> None:
        look_again = asyncio.get_running_loop().time() + CERTIFICATE_AGAIN_S
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._pending:
                await self._write(self._pending.popleft(), events)
            if (now := asyncio.get_running_loop().time()) > look_again:
                look_again = now + CERTIFICATE_AGAIN_S
                if fault := certificate_fault(self._settings.certificate):
                    raise ConnectionError(fault)

    async def _write(self, shown: Outputs, events: Any) -> None:
        for node in NODES:
            await self._set(node.path, node.kind, node.value(shown))
        answer = shown.answer
        if answer is None or shown.result == self._result:
            return
        self._result = shown.result
        for row in RESULT_NODES:
            value = row.value(answer)
            await self._set(f"Result.{row.name}", row.kind, value)
            setattr(events.event, row.name, value)
        text = document(self._runner.name, answer)
        await self._set("Result.Document", "String", text)
        await self._set("Result.ResultId", "UInt16", shown.result)
        self._runner.delivered(shown.result)
        events.event.ResultId, events.event.Document = shown.result, text
        events.event.Severity = 1 if answer.code is Code.JUDGED else 700
        await events.trigger(message=f"{answer.decision.value} {answer.part_id}")

    async def _set(self, path: str, kind: str, value: Any) -> None:
        if self._written.get(path) == value:
            return
        self._written[path] = value
        # The variant's type is named: a Python number alone would be taken for another one.
        # Written into the address space itself: the way by a session costs five times as much.
        data = self._ua.DataValue(self._ua.Variant(value, getattr(self._ua.VariantType, kind)))
        await self._opcua_server.write_attribute_value(self._variables[path].nodeid, data)

    async def _server(self) -> Any:
        settings = self._settings
        server = self._opcua.Server(user_manager=KeyUsers(settings, self._opcua))
        await server.init()
        server.set_endpoint(f"opc.tcp://{settings.host}:{settings.port}/mkd/{self._runner.name}")
        server.set_server_name("mkdserve line gateway")
        policies = [self._ua.SecurityPolicyType.NoSecurity]
        if settings.certificate is not None and settings.private_key is not None:
            await server.load_certificate(str(settings.certificate))
            await server.load_private_key(str(settings.private_key))
            policies = [self._ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        server.set_security_policy(policies, permission_ruleset=Permissions(settings.anonymous, self._opcua))
        space = await server.register_namespace(NAMESPACE)
        await self._nodes(server, space)
        return server

    async def _nodes(self, server: Any, space: int) -> None:
        ua, name = self._ua, self._runner.name
        station = await server.nodes.objects.add_object(ua.NodeId(name, space), ua.QualifiedName(name, space))
        result = await station.add_object(ua.NodeId(f"{name}.Result", space), ua.QualifiedName("Result", space))
        shown = self._runner.outputs()
        for node in NODES:
            await self._add(station, space, node.path, node.kind, node.value(shown))
        for row in RESULT_NODES:
            await self._add(result, space, f"Result.{row.name}", row.kind, row.value(NO_RESULT))
        await self._add(result, space, "Result.Document", "String", "")
        await self._add(result, space, "Result.ResultId", "UInt16", 0)
        text, number, count = ua.VariantType.String, ua.VariantType.Int32, ua.VariantType.UInt16
        job = [("PartId", text), ("RecipeId", text)], [("JobId", text), ("Error", number)]
        methods: tuple[tuple[str, Any, list[Any], list[Any]], ...] = (
            ("StartSingleJob", self._start_job, *job),
            ("SelectRecipe", self._select_recipe, [("RecipeId", text)], [("Error", number)]),
            ("Abort", self._abort, [], [("Error", number)]),
            ("AcknowledgeResult", self._acknowledge, [("ResultId", count)], [("Error", number)]),
        )  # fmt: skip
        for called, handler, given, returned in methods:
            await station.add_method(
                ua.NodeId(f"{name}.{called}", space),
                ua.QualifiedName(called, space),
                handler,
                [self._argument(*one) for one in given],
                [self._argument(*one) for one in returned],
            )
        self._station = station

    async def _add(self, parent: Any, space: int, path: str, kind: str, value: Any) -> None:
        ua = self._ua
        name = path.rpartition(".")[2]
        self._variables[path] = await parent.add_variable(
            ua.NodeId(f"{self._runner.name}.{path}", space),
            ua.QualifiedName(name, space),
            value,
            getattr(ua.VariantType, kind),
        )

    def _argument(self, name: str, kind: Any) -> Any:
        argument = self._ua.Argument()
        argument.Name = name
        argument.DataType = self._ua.NodeId(kind.value)
        argument.ValueRank = -1
        return argument

    async def _events(self, server: Any) -> Any:
        kinds = self._ua.VariantType
        fields = [(row.name, getattr(kinds, row.kind)) for row in RESULT_NODES]
        fields += [("ResultId", kinds.UInt16), ("Document", kinds.String)]
        space = await server.get_namespace_index(NAMESPACE)
        kind = await server.create_custom_event_type(space, "ResultReadyEventType", properties=fields)
        return await server.get_event_generator(kind, emitting_node=self._station)

    # The methods get the parent's node id and Variants, and return Variants.

    async def _start_job(self, _: Any, part: Any, recipe: Any) -> list[Any]:
        part_id, recipe_id = str(part.Value or "")[:128], str(recipe.Value or "") or self._recipe
        was_busy = self._runner.busy()
        job = self._runner.start_job(TriggerRequest(0, recipe_id, part_id))
        return [self._text(str(job)), self._number(BUSY if was_busy else DONE)]

    async def _select_recipe(self, _: Any, recipe: Any) -> list[Any]:
        if self._runner.busy():
            return [self._number(BUSY)]
        if not self._runner.has_recipe(str(recipe.Value)):
            return [self._number(UNKNOWN)]
        self._recipe = str(recipe.Value)
        return [self._number(DONE)]

    async def _abort(self, _: Any) -> list[Any]:
        self._runner.abort()
        return [self._number(DONE)]

    async def _acknowledge(self, _: Any, result: Any) -> list[Any]:
        shown = self._runner.outputs()
        right = shown.result_valid and shown.result == result.Value
        self._runner.acknowledge(int(result.Value or 0))
        return [self._number(DONE if right else STRAY)]

    def _number(self, value: int) -> Any:
        return self._ua.Variant(value, self._ua.VariantType.Int32)

    def _text(self, value: str) -> Any:
        return self._ua.Variant(value, self._ua.VariantType.String)


class KeyUsers:
    """Users by API keys: the password is the key."""

    def __init__(self, settings: OpcUaServerSettings, opcua: Any) -> None:
        self._keys = KeyRing(settings.keys_file) if settings.keys_file is not None else None
        self._anonymous = settings.anonymous
        self._rules = need("asyncua.crypto.permission_rules", "opcua")

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        """The user, or None to refuse. A name without a right key is refused, never anonymous."""
        if not username:
            role = self._rules.UserRole.Anonymous
            return self._rules.User(role=role) if self._anonymous != "none" else None
        if self._keys is None or not password:
            return None
        try:
            name = self._keys.check(str(password), "infer")
        except ServiceError:
            return None
        return self._rules.User(role=self._rules.UserRole.User, name=name)


class Permissions:
    """Users may read, write and call; who has no user only what `anonymous` says; nobody changes nodes."""

    def __init__(self, anonymous: str, opcua: Any) -> None:
        ids = opcua.ua.ObjectIds
        rules = need("asyncua.crypto.permission_rules", "opcua")
        self._anonymous_role = rules.UserRole.Anonymous
        everything = {opcua.ua.NodeId(number) for number in rules.USER_TYPES}
        changing = {ids.WriteRequest_Encoding_DefaultBinary, ids.CallRequest_Encoding_DefaultBinary}
        self._users = everything
        allowed = {"none": set(), "read": everything - {opcua.ua.NodeId(number) for number in changing}}
        self._anonymous: set[Any] = allowed.get(anonymous, everything)

    def check_validity(self, user: Any, action_type_id: Any, body: Any) -> bool:
        return action_type_id in (self._anonymous if user.role == self._anonymous_role else self._users)


def certificate_fault(file: Path | None) -> str:
    """What is wrong with a certificate now, empty for nothing or for none."""
    if file is None:
        return ""
    from cryptography import x509

    try:
        data = file.read_bytes()
        text = data.lstrip().startswith(b"-----")
        certificate = x509.load_pem_x509_certificate(data) if text else x509.load_der_x509_certificate(data)
    except (OSError, ValueError) as error:
        return f"{file}: cannot be read: {error}"
    now = datetime.datetime.now(datetime.UTC)
    if now > certificate.not_valid_after_utc:
        return f"{file}: has expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if now < certificate.not_valid_before_utc:
        return f"{file}: is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return ""
