"""The first stage of every image: its bytes become what the network takes, or an error of its own."""

from __future__ import annotations

from models.image_judge import ImageJudge, PreparedImage
from models.imaging.decode import ImageError, ImageLimits
from service.inspection.encoded_image import EncodedImage


def prepare(image: EncodedImage, judge: ImageJudge, limits: ImageLimits) -> PreparedImage:
    """Decode and prepare in one go: of a large image only the network's input stays in memory. Raises ImageError."""
    if image.error is not None:
        raise image.error
    try:
        if image.pixels is not None:
            limits.check_bytes(image.data)
            return judge.prepare_picture(image.pixels)
        return judge.prepare_file(image.data, limits)
    except MemoryError:
        raise ImageError("image_too_many_pixels", "the image does not fit into the memory that is left") from None
