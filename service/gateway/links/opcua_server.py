"""The gateway as an OPC UA server: jobs by method, results as variables and events."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from service import logs
from service.gateway.certificates import application_uri, certificate_fault, form_of
from service.gateway.codes import Code
from service.gateway.libraries import need
from service.gateway.links.opcua_access import KeyUsers, Permissions, client_validator, identity_tokens
from service.gateway.links.opcua_methods import StationMethods
from service.gateway.links.opcua_space import AddressSpace
from service.gateway.outputs_view import Outputs
from service.gateway.runner import StationRunner
from service.gateway.schema import LineSchema

CERTIFICATE_AGAIN_S = 2.0


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
    certificate: Path | None = Field(
        default=None, description="The server's certificate, DER or PEM; then Basic256Sha256 is all that is spoken."
    )
    private_key: Path | None = Field(default=None, description="Its private key, PEM or DER, without a password.")
    trusted: Path | None = Field(
        default=None,
        description="Folder of clients' certificates, or of those that have signed them; none: every client that has "
        "a user.",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together")
        if self.trusted is not None and self.certificate is None:
            raise ValueError("trusted needs certificate: without encryption no client shows one")
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
        self._methods = StationMethods(runner)
        self._pending: deque[Outputs] = deque(maxlen=1000)
        self._changed = asyncio.Event()
        self._result = 0

    async def run(self) -> None:
        while fault := self._certificate_fault():
            logs.event("certificate", logging.ERROR, station=self._runner.name, detail=fault)
            self._runner.lost(Code.CERTIFICATE_INVALID)
            await asyncio.sleep(CERTIFICATE_AGAIN_S)
        server = await self._server()
        space = AddressSpace(server, self._runner.name)
        await space.build(self._runner.outputs(), self._methods.table())
        async with server:
            self._runner.display.listen(self._on_change)
            self._runner.found()
            try:
                await self._publish(space)
            finally:
                self._runner.display.unlisten(self._on_change)

    async def _server(self) -> Any:
        settings, opcua = self._settings, need("asyncua", "opcua")
        kinds = opcua.ua.SecurityPolicyType
        server = opcua.Server(user_manager=KeyUsers(settings.keys_file, settings.anonymous))
        await server.init()
        server.set_endpoint(f"opc.tcp://{settings.host}:{settings.port}/mkd/{self._runner.name}")
        server.set_server_name("mkdserve line gateway")
        server.set_identity_tokens(identity_tokens(settings.anonymous))
        policies = [kinds.NoSecurity]
        if settings.certificate is not None and settings.private_key is not None:
            await server.set_application_uri(application_uri(settings.certificate) or "urn:mkdserve:line")
            # The library goes by the names' endings unless it is told.
            await server.load_certificate(settings.certificate, form_of(settings.certificate))
            await server.load_private_key(settings.private_key, None, form_of(settings.private_key))
            server.set_certificate_validator(await client_validator(settings.trusted))
            policies = [kinds.Basic256Sha256_SignAndEncrypt]
        server.set_security_policy(policies, permission_ruleset=Permissions(settings.anonymous))
        return server

    def _certificate_fault(self) -> str:
        return certificate_fault(self._settings.certificate, self._settings.private_key)

    def _on_change(self, shown: Outputs) -> None:
        self._pending.append(shown)
        self._changed.set()

    async def _publish(self, space: AddressSpace) -> None:
        look_again = asyncio.get_running_loop().time() + CERTIFICATE_AGAIN_S
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._pending:
                await self._write(space, self._pending.popleft())
            if (now := asyncio.get_running_loop().time()) > look_again:
                look_again = now + CERTIFICATE_AGAIN_S
                if fault := self._certificate_fault():
                    raise ConnectionError(fault)

    async def _write(self, space: AddressSpace, shown: Outputs) -> None:
        await space.show(shown)
        if shown.answer is None or shown.result == self._result:
            return
        self._result = shown.result
        await space.show_result(shown)
        self._runner.delivered(shown.result)
        await space.tell(shown)
