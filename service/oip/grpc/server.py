"""A gRPC port beside the HTTP port, on the same event loop."""

from __future__ import annotations

import grpc

from service.errors import NotReady
from service.inspection.inspector import Inspector
from service.logs import event
from service.oip.grpc.calls import Calls
from service.rest.app_state import Operation
from service.rest.request_checks import RequestChecks

ANSWER_BYTES = -1  # no bound: an answer is as large as the pictures that were asked for


class GrpcServer:
    """Listens from `start` to `stop`."""

    def __init__(self, inspector: Inspector, checks: RequestChecks, operation: Operation) -> None:
        limits = checks.options.body_limits
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", limits.max_bytes),
                ("grpc.max_send_message_length", ANSWER_BYTES),
                ("grpc.so_reuseport", int(checks.options.processes > 1)),
                ("grpc.max_metadata_size", checks.options.max_header_bytes),
            )
        )
        self._server.add_generic_rpc_handlers((Calls(inspector, checks, operation).handler(),))
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Raises NotReady where the port cannot be had."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise NotReady(f"gRPC cannot listen on {address}: {error}") from None
        await self._server.start()
        event("gRPC started", host=host, port=self.port)

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, and give those in flight this long."""
        await self._server.stop(grace_s)
