"""Answers by POST to a web server, signed, in order, until it has taken them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import httpx
from pydantic import Field

from service.gateway.metrics import LineMetrics
from service.gateway.outputs.signing import signature
from service.gateway.outputs.spool import Message
from service.gateway.outputs.spooled import OutputSettings, Refused, SpooledOutput
from service.gateway.schema import SecretFile

TRY_AGAIN = frozenset({408, 425, 429})


class WebhookSettings(OutputSettings):
    """`[[output]] kind = "webhook"`."""

    kind: Literal["webhook"]
    url: str = Field(pattern=r"^https?://", description="Where answers are posted to.")
    secret: SecretFile = Field(description="Secret of the signature, as `{file = PATH}`.")
    timeout_ms: float = Field(default=5000, gt=0, le=60000, description="Time for one try, milliseconds.")

    def output(self, state_dir: Path, metrics: LineMetrics, stations: Sequence[str]) -> SpooledOutput:
        return SpooledOutput(self, state_dir, metrics, WebhookDelivery(self))


class WebhookDelivery:
    """Posts one message: its id in `Webhook-Id`, so that a receiver can tell what it has had before."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._url = settings.url
        self._secret = settings.secret.read()
        self._client = httpx.AsyncClient(timeout=settings.timeout_ms / 1000, trust_env=False)

    async def start(self) -> None:
        """The first message connects."""

    async def deliver(self, message: Message) -> None:
        now = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "Webhook-Id": str(message.id),
            "Webhook-Timestamp": str(now),
            "Webhook-Signature": signature(self._secret, now, message.body),
        }
        answer = await self._client.post(self._url, content=message.body, headers=headers)
        if answer.is_success:
            return
        text = f"the receiver answers {answer.status_code}"
        if 400 <= answer.status_code < 500 and answer.status_code not in TRY_AGAIN:
            raise Refused(text)
        raise ConnectionError(text)

    async def close(self) -> None:
        await self._client.aclose()
