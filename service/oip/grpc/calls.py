"""The calls of the protocol's gRPC service. Each is checked, admitted, counted and logged as an HTTP request is.

A call that judges is admitted before its message is received: the handler takes a stream of one message, which is on
the wire what a single message is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import grpc

from service.engine.admission import Permit
from service.errors import DeadlineExceeded, RequestCancelled, ServiceError
from service.inspection.context import InspectionContext
from service.inspection.inspector import Inspector
from service.oip.grpc.form import read_request, write_answer
from service.oip.grpc.messages import CLASSES, SERVICE
from service.oip.judge import NO_IMAGE, SURFACE, NoVerdictError, check_version, infer
from service.oip.metadata import can_judge, product_metadata, server_metadata
from service.oip.outputs import reason
from service.rest.admission_check import INFER
from service.rest.app_state import Operation
from service.rest.credentials import secret_of
from service.rest.problems import HTTP_CODES
from service.rest.request_checks import RequestChecks
from service.rest.request_record import RequestRecord, accepted_request_id, finish

Context = Any  # grpc.aio.ServicerContext, whose type parameters differ from version to version
STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
OPEN_CALLS = frozenset({"ServerLive", "ServerReady", "ServerMetadata"})  # without a key, as probes are
CODE_KEY, REQUEST_ID_KEY = "mkd-code", "x-request-id"


class Refusal(NamedTuple):
    """How a call ends that is not answered; `status` as in HTTP."""

    status: int
    code: str
    detail: str


class Calls:
    """The handlers, around the core of one server process."""

    def __init__(self, inspector: Inspector, checks: RequestChecks, operation: Operation) -> None:
        self._inspector, self._checks, self._operation = inspector, checks, operation
        self._simple: dict[str, Callable[[Any], object]] = {
            "ServerLive": lambda _: {"live": operation.live()},
            "ServerReady": lambda _: {"ready": operation.ready()[0]},
            "ServerMetadata": lambda _: server_metadata(),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
        }

    def handler(self) -> grpc.GenericRpcHandler:
        """All calls, for a server."""
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answered(name),
                request_deserializer=CLASSES[f"{name}Request"].FromString,
                response_serializer=CLASSES[f"{name}Response"].SerializeToString,
            )
            for name in self._simple
        }
        handlers["ModelInfer"] = grpc.stream_unary_rpc_method_handler(
            self._infer,
            request_deserializer=CLASSES["ModelInferRequest"].FromString,
            response_serializer=CLASSES["ModelInferResponse"].SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _model_ready(self, message: Any) -> object:
        status = self._inspector.products.status(message.name)
        check_version(message.name, message.version, status.version)
        return {"ready": can_judge(status)}

    def _model_metadata(self, message: Any) -> object:
        status = self._inspector.products.status(message.name)
        check_version(message.name, message.version, status.version)
        return product_metadata(status)

    def _answered(self, name: str) -> Callable[[Any, Context], Awaitable[Any]]:
        async def call(message: Any, context: Context) -> Any:
            async def work(record: RequestRecord, headers: Mapping[bytes, bytes]) -> Any:
                if name not in OPEN_CALLS:
                    self._check_key(record, headers)
                return CLASSES[f"{name}Response"](**_members(self._simple[name](message)))

            return await self._recorded(name, context, work)

        return call

    async def _infer(self, messages: AsyncIterator[Any], context: Context) -> Any:
        async def work(record: RequestRecord, headers: Mapping[bytes, bytes]) -> Any:
            self._check_key(record, headers)
            judged = InspectionContext(record.request_id, SURFACE, caller=record.caller, started=record.started)
            judged.deadline = self._deadline(context, record)
            record.inspection = judged
            admission = self._checks.admission
            left_s = None if judged.deadline is None else judged.deadline - time.monotonic()
            caller = f"key {record.caller}" if record.caller else context.peer().rpartition(":")[0]
            with admission.try_admit(1, admission.reservation, patience_s=left_s, caller=caller) as permit:
                message = await anext(aiter(messages), None)
                if message is None:
                    raise RequestCancelled("the client hung up")
                return await self._judge(message, record, judged, permit)

        return await self._recorded("ModelInfer", context, work)

    async def _judge(self, message: Any, record: RequestRecord, judged: InspectionContext, permit: Permit) -> Any:
        record.bytes_in = message.ByteSize()
        permit.arrived(record.bytes_in)
        name = message.model_name
        self._inspector.products.status(name)
        asked = await self._inspector.threads.run(read_request, message)
        most = self._checks.options.body_limits.max_images
        try:
            answer = await infer(asked, name, message.model_version, self._inspector, judged, permit, most)
        finally:
            record.context = judged.line
        answered = await self._inspector.threads.run(write_answer, name, asked.id or record.request_id, answer)
        record.bytes_out = answered.ByteSize()
        return answered

    def _check_key(self, record: RequestRecord, headers: Mapping[bytes, bytes]) -> None:
        if self._checks.keys is not None:
            record.caller = self._checks.keys.check(secret_of(headers), INFER)

    def _deadline(self, context: Context, record: RequestRecord) -> float | None:
        """The caller's, or that of a request which brings none."""
        left_s = context.time_remaining()
        if left_s is None:
            left_s = self._checks.options.deadline_ms / 1000 or None
        return None if left_s is None else record.started + left_s

    async def _recorded(
        self, name: str, context: Context, work: Callable[[RequestRecord, Mapping[bytes, bytes]], Awaitable[Any]]
    ) -> Any:
        """The answer of `work`, or the call ended with the protocol's status; counted and logged either way."""
        headers = _headers(context)
        offered = headers.get(REQUEST_ID_KEY.encode())
        path = f"/{SERVICE}/{name}"
        record = RequestRecord(accepted_request_id(offered.decode() if offered else None), "GRPC", path, route=path)
        try:
            answer = await work(record, headers)
            record.status = 200
            context.set_trailing_metadata(((REQUEST_ID_KEY, record.request_id),))
            return answer
        except asyncio.CancelledError:  # the client has hung up, or its deadline is over
            over = (context.time_remaining() or 1.0) <= 0
            record.code = DeadlineExceeded.code if over else RequestCancelled.code
            raise
        except Exception as error:
            refusal = _refusal_of(error, record.request_id)
            record.status, record.code = refusal.status, refusal.code
            context.set_trailing_metadata(((REQUEST_ID_KEY, record.request_id), (CODE_KEY, refusal.code)))
            await context.abort(
                STATUS.get(refusal.status, grpc.StatusCode.INTERNAL), f"{refusal.code}: {refusal.detail}"
            )
            raise
        finally:
            finish(record, self._checks.metrics)


def _refusal_of(error: Exception, request_id: str) -> Refusal:
    if isinstance(error, ServiceError):
        return Refusal(error.status, error.code, error.detail)
    if isinstance(error, NoVerdictError):
        return Refusal(NO_IMAGE, error.failure.error.code, reason(error.failure).partition(": ")[2])
    logging.getLogger("mkdserve").exception("unexpected fault, request %s", request_id)
    return Refusal(500, HTTP_CODES[500].code, "the fault is logged under this request id")


def _members(members: object) -> dict[str, Any]:
    assert isinstance(members, dict)
    return members


def _headers(context: Context) -> dict[bytes, bytes]:
    """The call's metadata as headers; of two with one name the first."""
    found: dict[bytes, bytes] = {}
    for name, value in context.invocation_metadata() or ():
        found.setdefault(name.encode(), value if isinstance(value, bytes) else value.encode())
    return found
