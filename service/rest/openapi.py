"""What the OpenAPI document has beyond the types of the routes: request forms, examples and problems."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from models.imaging.decode import ERROR_CODES
from service import errors
from service.errors import RequestCancelled, ServiceError
from service.rest.bodies.forms import JSON, MULTIPART, RAW, JsonImage
from service.rest.bodies.tar_members import TAR
from service.rest.bounded_protocol import REQUEST_TIMEOUT
from service.rest.problems import HTTP_CODES, MEDIA_TYPE, HttpCode, problem_body
from service.rest.schemas import Problem

Document = dict[str, Any]
Responses = dict[int | str, Document]
REQUEST_ID = "4f1c2a90b7de4d0c9e55a1f06a3c7b21"
DESCRIPTION = """
Judges images of parts against what good parts look like.

Every refusal is an `application/problem+json` (RFC 9457) with a stable `code`. One image that cannot be judged never
fails the request: its entry carries an `error` and no `decision`. **Whatever is not an explicit `OK` must be treated as
a part that has not been inspected.**
"""


class Code(NamedTuple):
    """One row of the error table: a stable code, its status (None: stands in an image's entry only) and its title."""

    code: str
    status: int | None
    title: str


def document_of(app: FastAPI, *, keys_needed: bool) -> Document:
    """The OpenAPI document of `app`, made once. Problems go in here: the framework would list them as JSON too."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
        )
        made["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        if not keys_needed:
            _drop_security(made)
        app.openapi_schema = made
    return app.openapi_schema


def _drop_security(document: Document) -> None:
    """Say nothing of keys where there are none: a generated client would ask its user for one."""
    document["components"].pop("securitySchemes", None)
    for routes in document["paths"].values():
        for route in routes.values():
            route.pop("security", None)


def all_codes() -> list[Code]:
    """Every code that a caller can meet, in the order of the table in docs/errors.md."""
    service = {kind.code: Code(kind.code, kind.status, kind.title) for kind in _leaves(ServiceError)}
    http = {row.code: Code(row.code, row.status, row.title) for row in (*HTTP_CODES.values(), REQUEST_TIMEOUT)}
    images = {code: Code(code, None, title) for code, title in ERROR_CODES.items()}
    return sorted({**service, **http}.values(), key=lambda row: (row.status or 0, row.code)) + list(images.values())


def _leaves(kind: type[ServiceError]) -> list[type[ServiceError]]:
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, kind)]
    return [leaf for leaf in kinds if "code" in vars(leaf)]


def problems_for(*statuses: int) -> Responses:
    """The `responses` of a route for these statuses, each with one example for every code that has it."""
    return {status: _problem_response(status) for status in statuses}


def _problem_response(status: int) -> Document:
    codes = [row for row in all_codes() if row.status == status and row.code != RequestCancelled.code]
    response: Document = {
        "description": "; ".join(row.title for row in codes),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": _examples(codes)}},
    }
    if status in (429, 503):
        seconds = {"type": "integer", "minimum": 1}
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait before trying again.", "schema": seconds}
        }
    return response


def _examples(codes: list[Code]) -> Document:
    return {
        row.code: {
            "value": problem_body(
                HttpCode(row.status or 0, row.code, row.title),
                "What would be right, in words.",
                instance="/score",
                request_id=REQUEST_ID,
            )
        }
        for row in codes
    }


def json_body(schema: type[BaseModel], *, required: bool = True) -> Document:
    """The `requestBody` of a route that reads its small JSON body itself."""
    return {"requestBody": {"required": required, "content": {JSON: {"schema": schema.model_json_schema()}}}}


INFER_RESPONSES = problems_for(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504)

_BINARY: Document = {"type": "string", "format": "binary"}
_MULTIPART_SCHEMA: Document = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "array", "minItems": 1, "items": _BINARY, "description": "Repeatable."}},
    "additionalProperties": False,
}
JSON_SCHEMA: Document = {
    "type": "object",
    "required": ["images"],
    "additionalProperties": False,
    "properties": {"images": {"type": "array", "minItems": 1, "items": JsonImage.model_json_schema()}},
}
_JSON_EXAMPLE: Document = {"images": [{"data": "iVBORw0KGgo...", "name": "part-0815.png"}]}

REQUEST_BODY: Document = {
    "requestBody": {
        "required": True,
        "description": "One to N images, in one of three forms.",
        "content": {
            MULTIPART: {"schema": _MULTIPART_SCHEMA, "encoding": {"image": {"contentType": "image/*"}}},
            "image/png": {"schema": _BINARY},
            "image/jpeg": {"schema": _BINARY},
            "image/bmp": {"schema": _BINARY},
            "image/tiff": {"schema": _BINARY},
            "image/webp": {"schema": _BINARY},
            RAW: {"schema": _BINARY},
            JSON: {"schema": JSON_SCHEMA, "example": _JSON_EXAMPLE},
        },
    }
}

_REGIONS = "A mask picture (above 0 is meant), or polygons in JSON."
PICTURES_BODY: Document = {
    "requestBody": {
        "required": True,
        "description": "The pictures of good parts, and which of their places are looked at.",
        "content": {
            MULTIPART: {
                "schema": {
                    **_MULTIPART_SCHEMA,
                    "properties": {
                        **_MULTIPART_SCHEMA["properties"],
                        "roi": {**_BINARY, "description": f"What alone is looked at. {_REGIONS}"},
                        "ignore": {**_BINARY, "description": f"What is not looked at. {_REGIONS}"},
                    },
                },
                "encoding": {"image": {"contentType": "image/*"}},
            }
        },
    }
}

STREAM_BODY: Document = {
    "requestBody": {
        "required": True,
        "description": "A tar archive (ustar, GNU or pax, not compressed), each file of it one image.",
        "content": {TAR: {"schema": _BINARY}, RAW: {"schema": _BINARY}},
    }
}

_VERDICT: Document = {
    "index": 0,
    "filename": "part-0815.png",
    "product": "screw",
    "artifact": {"version": "2", "method": "mkd", "hash": "sha256 of the artifact"},
    "score": 0.31,
    "p_value": 0.42,
    "threshold": 0.58,
    "threshold_origin": "counted, split-conformal on 199 held-out good images: at most 0.01 of good parts above",
    "review_threshold": 0.52,
    "decision": "OK",
    "image": {"width": 1024, "height": 1024, "seen": True},
    "timing": {"decode_ms": 9.5, "queue_ms": 1.2, "device_ms": 31.0, "encode_ms": 0.0, "total_ms": 43.1},
}
_NO_VERDICT: Document = {
    "index": 1,
    "filename": "part-0816.png",
    "error": {
        "code": "image_truncated",
        "title": ERROR_CODES["image_truncated"],
        "detail": "the file ends before its image does",
    },
}
_MAP: Document = {
    "map": "iVBORw0KGgo...",
    "map_scale": {"low": 0.002, "high": 0.094, "threshold": 0.048, "grey_at_threshold": 128},
    "regions": [{"box": [402, 611, 58, 40], "area_px": 1733, "area_share": 0.00165, "peak": 0.081, "mean": 0.06}],
}


def _reply_example(description: str, verdict: Document) -> Document:
    value = {"request_id": REQUEST_ID, "results": [verdict, _NO_VERDICT]}
    return {"description": description, "content": {JSON: {"example": value}}}


SCORE_EXAMPLE = _reply_example("One entry per image, in order. The figures are made up.", _VERDICT)
LOCALIZE_EXAMPLE = _reply_example("One entry per image, in order. The figures are made up.", {**_VERDICT, **_MAP})

_LAST_LINE: Document = {"end": {"request_id": REQUEST_ID, "complete": True, "images": 2, "verdicts": 1}}
STREAM_EXAMPLE: Document = {
    "description": "A line for each image, in order, as it is judged, and a last one.",
    "content": {
        "application/x-ndjson": {
            "schema": {"type": "string"},
            "example": "".join(json.dumps(line) + "\n" for line in (_VERDICT, _NO_VERDICT, _LAST_LINE)),
        }
    },
}
