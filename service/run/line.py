"""The line gateway inside the service: its stations are judged by the Inspector, with no HTTP in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from service.errors import NotReady, ServiceError
from service.gateway.codes import Code
from service.gateway.gateway import Gateway
from service.gateway.judge import GatewayVerdict, Ids, JudgeError, code_of_entry, code_of_status
from service.gateway.libraries import MissingLibrary
from service.gateway.outputs.spool import SpoolError
from service.gateway.picture import Picture
from service.gateway.settings import LineFileError, LineSettings, read
from service.inspection.context import InspectionContext, LineContext
from service.inspection.encoded_image import EncodedImage
from service.inspection.inspector import Inspector
from service.inspection.options import InspectionOptions
from service.inspection.verdict import ImageFailure, Verdict
from service.run.command_line import SettingsError

Ready = Callable[[], tuple[bool, str | None]]


def read_line(file: Path) -> LineSettings:
    """The stations of a line.toml. Raises SettingsError."""
    try:
        return read(file)
    except LineFileError as error:
        raise SettingsError(f"--line: {error}") from None


@asynccontextmanager
async def line(settings: LineSettings, inspector: Inspector, ready: Ready) -> AsyncIterator[None]:
    """The stations at work while the block runs. Raises NotReady where they cannot begin."""
    async with AsyncExitStack() as stack:
        try:
            gateway = Gateway(settings, InspectorJudge(inspector, ready))
            await stack.enter_async_context(gateway.running())
        except (MissingLibrary, SpoolError, OSError) as error:
            raise NotReady(f"line: {error}") from None
        yield


class InspectorJudge:
    """The gateway's judge in the process of the service; `ready` is the service's own readiness."""

    def __init__(self, inspector: Inspector, ready: Ready) -> None:
        self._inspector = inspector
        self._ready = ready

    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        """The verdict; raises JudgeError with the code that the same refusal has over HTTP."""
        context = InspectionContext(ids.request_id, "gateway", _line_context(ids), deadline=deadline)
        images = [EncodedImage(picture.data, picture.name or None)]
        try:
            (found,) = await self._inspector.inspect(images, product, InspectionOptions(), context)
        except ServiceError as error:
            raise JudgeError(code_of_status(error.status), f"{error.code}: {error.detail}") from error
        if isinstance(found, ImageFailure):
            raise JudgeError(code_of_entry(found.error.code), f"{found.error.code}: {found.error.detail}")
        return _gateway_verdict(found, ids.request_id)

    async def ready(self) -> Code | None:
        """None where the service is ready."""
        is_ready, _ = self._ready()
        return None if is_ready else Code.SERVICE_NOT_READY

    async def close(self) -> None:
        """The Inspector is the service's."""


def _gateway_verdict(verdict: Verdict, request_id: str) -> GatewayVerdict:
    review = verdict.thresholds.review
    return GatewayVerdict(
        product=verdict.product,
        decision=verdict.decision,
        score=verdict.score,
        threshold=verdict.thresholds.ng.value,
        review_threshold=review.value if review is not None else None,
        version=verdict.version,
        method=verdict.method,
        artifact=verdict.hash,
        request_id=request_id,
        size=f"{verdict.width} x {verdict.height}",
        size_seen=verdict.size_seen,
    )


def _line_context(ids: Ids) -> LineContext:
    """Station and part, as a request over HTTP would bring them; what is not ASCII becomes a question mark."""
    part = "".join(sign if " " <= sign <= "~" else "?" for sign in ids.part_id)[:128]
    return LineContext(station=ids.station, part_id=part or str(ids.trigger_id))
