"""Judges by a running service over HTTP: POST /score, one picture a request, on connections that are kept."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx

from service.gateway.codes import Code
from service.gateway.judge import GatewayVerdict, Ids, JudgeError, code_of_entry, code_of_status
from service.gateway.picture import Picture

CONNECTIONS = 8
READY_WITHIN_S = 2.0
LONGEST_S = 600.0  # the longest window there is; each request has its own deadline


class HttpJudge:
    """A client of the service at `url`. `key` is an API key with the scope infer, empty for none.

    Whatever is not a sound verdict raises JudgeError: refusals, faults, silence, an answer that is no JSON, more or
    fewer entries than the one picture.
    """

    def __init__(self, url: str, *, key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=60)
        self._client = httpx.AsyncClient(
            base_url=url, headers=headers, limits=limits, timeout=LONGEST_S, trust_env=False
        )

    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        left = deadline - time.monotonic()
        if left <= 0:
            raise JudgeError(Code.VERDICT_LATE, "the window was over before the picture could be sent")
        answer = await self._post(picture, product, left, ids)
        if answer.status_code != 200:
            raise JudgeError(code_of_status(answer.status_code), f"{answer.status_code}: {answer.text[:300]}")
        return _verdict(answer.content)

    async def ready(self) -> Code | None:
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                answer = await self._client.get("/readyz")
        except (httpx.HTTPError, TimeoutError):
            return Code.SERVICE_UNREACHABLE
        return None if answer.status_code == 200 else Code.SERVICE_NOT_READY

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, picture: Picture, product: str, left: float, ids: Ids) -> httpx.Response:
        headers = {
            "Content-Type": picture.media_type,
            "X-Deadline-Ms": str(max(1, int(left * 1000))),
            "X-Request-Id": ids.request_id,
            "X-Station": ids.station,
            "X-Part-Id": _header(ids.part_id) or str(ids.trigger_id),
        }
        try:
            async with asyncio.timeout(left):
                return await self._client.post(
                    "/score", params={"product": product}, content=picture.data, headers=headers
                )
        except TimeoutError:
            raise JudgeError(Code.VERDICT_LATE, "no answer within the window") from None
        except httpx.HTTPError as error:
            raise JudgeError(Code.SERVICE_UNREACHABLE, f"{type(error).__name__}: {error}") from error


def _header(text: str) -> str:
    """Text that a header can carry: what is not printable ASCII becomes a question mark."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)


def _verdict(body: bytes) -> GatewayVerdict:
    try:
        reply: Any = json.loads(body)
        (entry,) = reply["results"]
        error = entry.get("error")
        if error is None:
            return _read(entry, str(reply.get("request_id", "")))
        code, text = str(error["code"]), f"{error['code']}: {error.get('detail', '')}"
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise JudgeError(Code.VERDICT_INVALID, f"the answer cannot be read: {fault!r}") from fault
    raise JudgeError(code_of_entry(code), text)


def _read(entry: dict[str, Any], request_id: str) -> GatewayVerdict:
    artifact, review, image = entry["artifact"], entry.get("review_threshold"), entry["image"]
    return GatewayVerdict(
        product=entry["product"],
        decision=entry["decision"],
        score=float(entry["score"]),
        threshold=float(entry["threshold"]),
        review_threshold=float(review) if review is not None else None,
        version=str(artifact["version"]),
        method=str(artifact["method"]),
        artifact=str(artifact["hash"]),
        request_id=request_id,
        size=f"{image['width']} x {image['height']}",
        size_seen=_flag(image.get("seen")),
    )


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise TypeError(f"neither true nor false: {value!r}")
