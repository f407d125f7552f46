"""Shows where a kept picture is unusual, by having its version judge it once more; that is no verdict."""

from __future__ import annotations

from service.errors import InferenceFailed, ServiceError
from service.feedback.rows import VerdictRow
from service.inspection.context import InspectionContext
from service.inspection.encoded_image import EncodedImage
from service.inspection.inspector import Inspector
from service.inspection.map_pictures import MapPictures
from service.inspection.options import InspectionOptions, PictureOptions
from service.inspection.verdict import ImageFailure

OPTIONS = InspectionOptions(pictures=PictureOptions())


async def localize(inspector: Inspector, row: VerdictRow, picture: bytes, context: InspectionContext) -> MapPictures:
    """The map of a stored verdict's picture, with its regions; no observer is told.

    Raises VersionGone where the version is not loaded any more, what `Inspection.admit` and `judge` raise, and
    InferenceFailed where the picture cannot be judged as it was.
    """
    async with inspector.open_again(row.product, row.hash, OPTIONS, context) as inspection:
        with inspection.admit(1, len(picture)) as permit:
            (found,) = await inspection.judge([EncodedImage(picture, row.filename)], permit)
    if isinstance(found, ImageFailure):
        if isinstance(found.error, ServiceError):
            raise found.error
        raise InferenceFailed(f"the picture of verdict {row.id} cannot be judged again: {found.error.detail}")
    assert found.pictures is not None
    return found.pictures
