"""Names what can be wrong with one image: stable codes, each with a sentence that a person understands."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

ERROR_CODES: dict[str, str] = {
    "image_empty": "The part has no bytes at all.",
    "image_too_many_bytes": "The file is larger than the limit; nothing of it was decoded.",
    "image_too_many_pixels": "The header promises more pixels than the limit; nothing was decoded.",
    "image_too_small": "The image is smaller than 8 pixels on one side.",
    "image_format_not_allowed": "The file is an image of a format that is not on the allow-list.",
    "image_layout_not_supported": "What the samples of the file mean is not in the table of docs/images-in.md.",
    "image_header_too_large": "The file has more chunks, segments, strips, tags or metadata than are walked.",
    "image_unreadable": "The bytes are not an image.",
    "image_damaged": "The image contradicts itself or a checksum; a decoder would have guessed the rest.",
    "image_truncated": "The file ends before its image does.",
    "image_multiple_frames": "The file holds more than one frame or page.",
    "image_level_unexpected": "The picture is far darker or brighter than all pictures the product was trained on.",
    "image_size_unexpected": "The picture has another size or shape than the product's tiles or mask.",
    "image_channels_missing": "The part has fewer channels, or lights, than the product takes.",
    "image_channels_unexpected": "The part has more channels, or lights, than the product takes.",
    "image_channel_repeated": "Two files of the part have the name of the same light.",
    "image_channel_unknown": "A file of the part has a name that no light of the product has.",
    "image_stack_uneven": "The pictures of the part differ in size or in bits.",
    "image_tensor_invalid": "The numbers of the tensor are not those of an image.",
    "image_too_costly": "Decoding the image took more processor time than one image may take.",
    "image_base64_invalid": "The text is not valid base64.",
}


class ImageError(ValueError):
    """One image that cannot be judged: a stable `code` of ERROR_CODES and a `detail` in words."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def damaged(detail: str) -> ImageError:
    """The error of an image that contradicts itself."""
    return ImageError("image_damaged", f"the image is damaged: {detail}")


def truncated(detail: str) -> ImageError:
    """The error of a file that is shorter than it says."""
    return ImageError("image_truncated", f"the file ends before its image does: {detail}")


def too_large(detail: str) -> ImageError:
    """The error of a header that would take too long to walk."""
    return ImageError("image_header_too_large", detail)


UNFORESEEN = (ValueError, TypeError, LookupError, ArithmeticError, OSError, RuntimeError, struct.error, cv2.error)


@contextmanager
def nothing_but_image_errors() -> Iterator[None]:
    """Whatever a reader stumbles over in bytes that it did not foresee is damage of that one image."""
    try:
        yield
    except ImageError:
        raise
    except (
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        OSError,
        RuntimeError,
        struct.error,
        cv2.error,
    ) as error:
        raise damaged(str(error) or type(error).__name__) from error
