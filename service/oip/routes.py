"""The protocol's REST paths under /v2. Refusals have its form: {"error": text}, with our code and request id beside."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from models.names import WHOLE_NAME
from service.errors import UnsupportedBody
from service.inspection.deadlines import in_time
from service.inspection.inspector import Inspector
from service.oip.json_form import LENGTH_HEADER, is_soon_read, read_request, write_answer
from service.oip.judge import NO_IMAGE, SURFACE, Answer, NoVerdictError, check_version, infer
from service.oip.metadata import can_judge, product_metadata, server_metadata
from service.oip.outputs import reason
from service.oip.tensors import InferRequest
from service.rest.admission_check import permit_of
from service.rest.bodies.reader import BodyLimits, declared_length, pieces
from service.rest.dependencies import (
    InvalidParameter,
    MayInfer,
    TheContext,
    TheInspector,
    TheOperation,
    TheOptions,
    TheProducts,
)
from service.rest.direct_route import DirectRoute
from service.rest.disconnect import unless_client_leaves
from service.rest.problems import HttpCode, problem
from service.rest.request_record import record_of

router = APIRouter(prefix="/v2", include_in_schema=False)
Name = Annotated[str, Path(pattern=WHOLE_NAME)]
MODEL, VERSION = "/models/{name}", "/models/{name}/versions/{version}"
BINARY, JSON = "application/octet-stream", "application/json"


@router.get("")
async def server() -> dict[str, object]:
    """Name, version and extensions of the server."""
    return server_metadata()


@router.get("/health/live")
async def live(operation: TheOperation) -> JSONResponse:
    """As /healthz."""
    alive = operation.live()
    return JSONResponse({"live": alive}, 200 if alive else 503)


@router.get("/health/ready")
async def ready(operation: TheOperation) -> JSONResponse:
    """As /readyz."""
    is_ready, _ = operation.ready()
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@router.get(MODEL, dependencies=[MayInfer])
@router.get(VERSION, dependencies=[MayInfer])
async def metadata(products: TheProducts, name: Name, version: str = "") -> dict[str, object]:
    """A product's version, input and outputs."""
    status = products.status(name)
    check_version(name, version, status.version)
    return product_metadata(status)


@router.get(f"{MODEL}/ready", dependencies=[MayInfer])
@router.get(f"{VERSION}/ready", dependencies=[MayInfer])
async def model_ready(products: TheProducts, name: Name, version: str = "") -> JSONResponse:
    """Whether images of this product will be judged."""
    status = products.status(name)
    check_version(name, version, status.version)
    is_ready = can_judge(status)
    return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)


async def judge(
    request: Request, inspector: TheInspector, options: TheOptions, context: TheContext, name: Name, version: str = ""
) -> Response:
    """Judge the images of one request."""
    context.surface = SURFACE
    inspector.products.status(name)  # a product that is not there is refused before the body is read
    limits, permit = options.body_limits, permit_of(request)
    asked = await in_time(_read(request, inspector, limits), context.deadline)
    work = infer(asked, name, version, inspector, context, permit, limits.max_images)
    try:
        answer = await unless_client_leaves(request, work)
    except NoVerdictError as error:
        code = HttpCode(NO_IMAGE, error.failure.error.code, error.failure.title)
        return problem(request, code, reason(error.failure).partition(": ")[2])
    finally:
        record_of(request.scope).context = context.line
    if answer.has_pictures:
        return await inspector.threads.run(_response, name, asked, answer, context.request_id)
    return _response(name, asked, answer, context.request_id)


for path in (f"{MODEL}/infer", f"{VERSION}/infer"):
    router.add_api_route(path, judge, methods=["POST"], dependencies=[MayInfer], route_class_override=DirectRoute)


async def _read(request: Request, inspector: Inspector, limits: BodyLimits) -> InferRequest:
    """What the body asks. Raises what refuses it."""
    if request.query_params:
        raise InvalidParameter("the query is not read here: parameters stand in the request's `parameters`")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedBody("compressed bodies are not taken")
    declared_length(request, limits)
    body = b"".join([piece async for piece in pieces(request, limits, permit_of(request))])
    json_length = request.headers.get(LENGTH_HEADER)
    # A thread would be waited for behind the pictures that others have sent, longer than this takes.
    if is_soon_read(body, json_length):
        return read_request(body, json_length)
    return await inspector.threads.run(read_request, body, json_length)


def _response(name: str, asked: InferRequest, answer: Answer, request_id: str) -> Response:
    usual = asked.parameters.get("binary_data_output") is True
    binary = [usual if output.binary is None else output.binary for output in answer.outputs]
    members = {"model_name": name, "model_version": answer.version, "id": asked.id or request_id}
    body, length = write_answer(members, list(zip(answer.tensors, binary, strict=True)))
    headers = {} if length is None else {LENGTH_HEADER: str(length)}
    return Response(body, headers=headers, media_type=JSON if length is None else BINARY)
