"""A judging service without a network inside: it answers /score with the real reply's JSON by what the bytes say.

`python -m tests.e2e.gateway.fake_judge PORT`. A picture whose bytes contain NG is bad, SLOW is answered late, 429, 503,
504 and NAN do as they say, JUNK is answered by something that is no JSON, SIZE is of a size that the artifact has not
seen, DEPTH of other grey levels; every other picture is good. A decoded
picture is bad where its mean is below 60.
"""

from __future__ import annotations

import asyncio
import sys

import cv2
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

DARK = 60.0


async def score(request: Request) -> Response:
    body = await request.body()
    product = request.query_params["product"]
    for status in (429, 503, 504, 500, 404):
        if str(status).encode() in body[:16]:
            return JSONResponse({"code": "asked_for", "detail": "asked for"}, status)
    if b"SLOW" in body[:16]:
        await asyncio.sleep(3)
    if b"JUNK" in body[:16]:
        return PlainTextResponse("<html>")
    if b"NAN" in body[:16]:
        return PlainTextResponse('{"request_id": "r", "results": [' + entry(product, "OK", "NaN") + "]}")
    if b"DEPTH" in body[:16]:
        error = '{"index": 0, "error": {"code": "image_level_unexpected", "title": "t", "detail": "16 times darker"}}'
        return Response('{"request_id": "r", "results": [' + error + "]}", media_type="application/json")
    bad = b"NG" in body[:16] or is_dark(body)
    seen = "false" if b"SIZE" in body[:16] else "true"
    text = entry(product, "NG" if bad else "OK", "3.5" if bad else "0.5", seen)
    return Response('{"request_id": "r", "results": [' + text + "]}", media_type="application/json")


def is_dark(body: bytes) -> bool:
    pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED) if len(body) > 16 else None
    if pixels is None:
        return False
    white = 255.0 if pixels.dtype == np.uint8 else 65535.0
    return float(pixels.mean()) / white * 255 < DARK


def entry(product: str, decision: str, number: str, seen: str = "null") -> str:
    return (
        f'{{"index": 0, "product": "{product}", "artifact": {{"version": "1", "method": "mkd", "hash": "abcdef0123"}}, '
        f'"score": {number}, "p_value": 0.5, "threshold": 2.0, "threshold_origin": "counted", "review_threshold": 1.5, '
        f'"decision": "{decision}", "image": {{"width": 8, "height": 8, "seen": {seen}}}, '
        f'"timing": {{}}}}'
    )


async def ready(_: Request) -> Response:
    return JSONResponse({"ready": True})


APP = Starlette(routes=[Route("/score", score, methods=["POST"]), Route("/readyz", ready)])

if __name__ == "__main__":
    uvicorn.run(APP, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
