"""The way of one request through the core, whatever form it came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.imaging.channels import channel_count
from service.engine.admission import Permit
from service.errors import ServiceError, VersionNotFound
from service.inspection.context import InspectionContext
from service.inspection.inspector import Inspector
from service.inspection.verdict import ImageFailure
from service.oip.images import CHANNELS, are_soon_made, images_of, the_input
from service.oip.outputs import PICTURES, Entry, output_tensor, wanted_outputs
from service.oip.parameters import asked
from service.oip.tensors import InferRequest, OutputTensor, RequestedOutput

SURFACE = "oip"
NO_IMAGE = 400  # the HTTP status where no image of a request could be read


@dataclass(frozen=True)
class Answer:
    """`version` is the one that has judged; `outputs` are those that were wanted, in order, and their tensors."""

    version: str
    outputs: tuple[RequestedOutput, ...]
    tensors: tuple[OutputTensor, ...]

    @property
    def has_pictures(self) -> bool:
        """Whether an output is a picture, which is more than a few numbers to write."""
        return any(output.name in PICTURES for output in self.outputs)


class NoVerdictError(Exception):
    """No image of the request could be judged: the request is refused with the first one's error."""

    def __init__(self, failure: ImageFailure) -> None:
        super().__init__(failure.error.detail)
        self.failure = failure


def check_version(name: str, version: str, active: str | None) -> None:
    """Raises VersionNotFound where a caller names another version than the active one, the only one that judges."""
    if version and version != active:
        raise VersionNotFound(f"{name} is judged by version {active}; ask for that, or for none")


async def infer(
    request: InferRequest,
    name: str,
    version: str,
    inspector: Inspector,
    context: InspectionContext,
    permit: Permit,
    max_images: int,
) -> Answer:
    """The answer to a request that has been admitted. Raises ServiceError and NoVerdictError."""
    outputs = wanted_outputs(request.outputs)
    wants = asked(request.parameters, outputs)
    if wants.line:
        context.line = replace(context.line, **wants.line)
    if wants.timeout_s is not None:
        latest = context.started + wants.timeout_s
        context.deadline = latest if context.deadline is None else min(context.deadline, latest)
    tensor = the_input(request.inputs)
    async with inspector.open(name, wants.options, context) as inspection:
        check_version(name, version, inspection.version.version)
        seen = inspection.version.preprocessing
        channels = (channel_count(seen.groups),) if seen.groups else CHANNELS
        read = (tensor, max_images, seen.sixteen_bit_white, inspector.image_limits, channels)
        # A thread would be waited for behind the pictures that others have sent.
        images = images_of(*read) if are_soon_made(tensor) else await inspector.threads.run(images_of, *read)
        entries = await inspection.judge(images, permit)
        _refuse_without_verdict(entries)
        answer = Answer(inspection.version.version, outputs, ())
        if answer.has_pictures:
            return replace(answer, tensors=await inspector.threads.run(_tensors, outputs, entries))
        return replace(answer, tensors=_tensors(outputs, entries))


def _tensors(outputs: Sequence[RequestedOutput], entries: Sequence[Entry]) -> tuple[OutputTensor, ...]:
    return tuple(output_tensor(output.name, entries) for output in outputs)


def _refuse_without_verdict(entries: Sequence[Entry]) -> None:
    failures = [one for one in entries if isinstance(one, ImageFailure)]
    if failures and len(failures) == len(entries):
        if isinstance(failures[0].error, ServiceError):
            raise failures[0].error
        raise NoVerdictError(failures[0])
