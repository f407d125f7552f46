"""Reads the pictures of a training from a long multipart body, one in memory at a time, into numbered files."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from starlette.requests import Request

from models.imaging.decode import ImageError, ImageLimits, read_header, read_samples
from models.sizes import size_words
from service.errors import DiskFull, UnsupportedBody
from service.inspection.encoded_image import EncodedImage
from service.inspection.thread_pool import OverBudget, WorkerThreads
from service.rest.bodies.forms import MULTIPART
from service.rest.bodies.multipart import ImageParts
from service.rest.bodies.reader import BodyLimits, declared_length, pieces
from service.rest.bodies.region_fields import FIELDS, keep_regions
from service.rest.bodies.uploaded_parts import UploadedFile, lay_out
from service.trainings.record import RefusedPicture

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp"}
MOST_REFUSED = 200  # listed by name; those beyond are counted in one row
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass
class KeptPictures:
    """How many pictures, or parts of several files, were kept, and which were not; the trainer's flags for regions."""

    kept: int = 0
    files: list[UploadedFile] = field(default_factory=list)
    refused: list[RefusedPicture] = field(default_factory=list)
    more_refused: int = 0
    region_flags: list[str] = field(default_factory=list)

    def refuse(self, name: str | None, error: ImageError) -> None:
        """Note one that is not trained on."""
        if len(self.refused) < MOST_REFUSED:
            self.refused.append(RefusedPicture(name=name, code=error.code, detail=error.detail))
        else:
            self.more_refused += 1

    def all_refused(self) -> tuple[RefusedPicture, ...]:
        """The list, with a last row for those that did not fit into it."""
        more = f"{self.more_refused} more pictures were refused"
        rest = [RefusedPicture(name=None, code="more", detail=more)] if self.more_refused else []
        return (*self.refused, *rest)


def check_form(request: Request, limits: BodyLimits) -> int:
    """The announced bytes of a multipart body, 0 where none are. Raises UnsupportedBody, BodyTooLarge."""
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != MULTIPART:
        raise UnsupportedBody(f"send {MULTIPART} with a field `image` for each picture")
    return declared_length(request, limits) or 0


async def keep_pictures(
    request: Request, limits: BodyLimits, images: ImageLimits, threads: WorkerThreads, folder: Path
) -> KeptPictures:
    """Each whole picture goes into `folder` as 00000.png, 00001.jpg ... by its content; what is none is listed.

    Where folders of lights come, each is a part: see `service.rest.bodies.uploaded_parts`. The fields `roi` and
    `ignore` go beside the folder.

    Raises MalformedRequest, TooManyImages, BodyTooLarge, BodyTooSlow, RequestCancelled, DiskFull.
    """
    form, found = ImageParts(request.headers["content-type"], limits, FIELDS), KeptPictures()
    async for piece in pieces(request, limits, None):
        form.write(piece)
        for image in form.take():
            await _keep(image, images, threads, folder, found)
    for image in form.finish():
        await _keep(image, images, threads, folder, found)
    with _room_for(folder):
        found.kept = await asyncio.to_thread(lay_out, folder, found.files)
        found.region_flags = await keep_regions(form.other, images, threads, folder.parent)
    return found


async def _keep(
    image: EncodedImage, limits: ImageLimits, threads: WorkerThreads, folder: Path, found: KeptPictures
) -> None:
    try:
        suffix = await threads.run(suffix_of, image.data, limits)
    except ImageError as error:
        found.refuse(image.name, error)
        return
    except OverBudget as error:
        found.refuse(image.name, ImageError("image_too_costly", str(error)))
        return
    path = folder / f"{len(found.files):05}{suffix}"
    with _room_for(folder, len(image.data)):
        await asyncio.to_thread(path.write_bytes, image.data)
    found.files.append(UploadedFile(path, image.folder, PurePosixPath(image.name or path.name).stem))


@contextmanager
def _room_for(folder: Path, size: int = 0) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(f"{folder}: no room for {size_words(size)} more: {error.strerror}") from error
        raise


def suffix_of(data: bytes, limits: ImageLimits) -> str:
    """The ending by which the trainer knows such a file, once it has been decoded. Raises ImageError.

    A file of many channels is one: they may be groups.
    """
    header = read_header(data, limits, channels=True)
    read_samples(header, data)
    return SUFFIXES[header.facts.format]
