"""Turns the input tensor of a request into images for the core: encoded files, or pixels NHWC or NCHW.

What is wrong with one image stays with that image; what is wrong with the tensor as a whole refuses the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError
from models.imaging.limits import ImageLimits
from models.imaging.streamed_views import STREAMED_PIXELS
from service.errors import MalformedRequest, NoImages, TooManyImages
from service.inspection.encoded_image import EncodedImage
from service.oip.tensors import InputTensor
from service.oip.tiff_file import tiff_file

INPUT = "image"
DATATYPES = ("BYTES", "UINT8", "UINT16", "FP32")
LAYOUTS = ("NHWC", "NCHW")
CHANNELS = (1, 3)  # of a product without groups of channels
SOON_COPIED_BYTES = 1 << 20  # a tenth of a millisecond
TENSOR_FORMAT = "TIFF"


def the_input(inputs: Sequence[InputTensor]) -> InputTensor:
    """The one input of a request. Raises MalformedRequest, NoImages."""
    if not inputs:
        raise NoImages(f"the request has no input: send one that is called {INPUT!r}")
    if len(inputs) > 1 or inputs[0].name != INPUT:
        names = ", ".join(repr(one.name[:64]) for one in inputs[:8])
        raise MalformedRequest(f"inputs: {names}; send one that is called {INPUT!r}")
    return inputs[0]


def images_of(
    tensor: InputTensor, most: int, sixteen_bit_white: int, limits: ImageLimits, channels: Sequence[int] = CHANNELS
) -> list[EncodedImage]:
    """The images of an input, at most `most`. `sixteen_bit_white` is what an FP32 value of 1 becomes; of pixels a
    number of `channels` is taken.

    Raises MalformedRequest, TooManyImages.
    """
    unknown = set(tensor.parameters) - {"layout", "binary_data_size", "content_type"}
    if unknown:
        raise MalformedRequest(f"input {INPUT!r}: parameter {min(unknown)[:64]!r} is not known")
    if tensor.datatype == "BYTES":
        _check_count(len(tensor.images), most)
        return list(tensor.images)
    if TENSOR_FORMAT not in limits.formats:
        raise MalformedRequest(f"pixels are taken where `image_formats` has {TENSOR_FORMAT.lower()}; send BYTES")
    assert tensor.values is not None
    pixels = as_nhwc(tensor.values, tensor.parameters.get("layout"), channels)
    _check_count(len(pixels), most)
    groups = tuple(channels) != CHANNELS
    return [_encoded(one, sixteen_bit_white, limits, groups=groups) for one in pixels]


def are_soon_made(tensor: InputTensor) -> bool:
    """Whether `images_of` takes no longer than the event loop may be held: images as they are, or few whole numbers."""
    values = tensor.values
    return values is None or (values.dtype.kind == "u" and values.nbytes <= SOON_COPIED_BYTES)


def as_nhwc(values: npt.NDArray[Any], layout: object, channels: Sequence[int] = CHANNELS) -> npt.NDArray[Any]:
    """(N, H, W, C) or (N, C, H, W), the N may be left out -> (N, H, W, C) with C one of `channels`.

    Raises MalformedRequest.
    """
    if values.ndim == 3:
        values = values[None]
    if layout not in (None, *LAYOUTS):
        raise MalformedRequest(f"input {INPUT!r}: parameter `layout` must be one of {', '.join(LAYOUTS)}")
    fits = [
        name for name, axis in zip(LAYOUTS, (-1, 1), strict=True) if values.ndim == 4 and values.shape[axis] in channels
    ]
    chosen = [layout] if layout in fits else fits if layout is None else []
    if len(chosen) != 1:
        both = "; both would fit, so say which by the input's parameter `layout`" if len(chosen) > 1 else ""
        raise MalformedRequest(
            f"input {INPUT!r}: pixels have the shape (N, H, W, C) or (N, C, H, W) with "
            f"{' or '.join(map(str, channels))} channels; it is {list(values.shape)}{both}"
        )
    return values if chosen == ["NHWC"] else values.transpose(0, 2, 3, 1)


def _encoded(pixels: npt.NDArray[Any], sixteen_bit_white: int, limits: ImageLimits, *, groups: bool) -> EncodedImage:
    """The file that observers and overlays are given; pixels of a usual picture go beside it, and are not read back."""
    try:
        limits.check_size(pixels.shape[1], pixels.shape[0])
        if pixels.dtype.kind == "f":
            pixels = _sixteen_bits(pixels, sixteen_bit_white)
        is_picture = pixels.shape[2] in CHANNELS and pixels.shape[0] * pixels.shape[1] < STREAMED_PIXELS
        return EncodedImage(tiff_file(pixels), pixels=pixels if is_picture and not groups else None)
    except ImageError as error:
        return EncodedImage(b"", error=error)


def _sixteen_bits(pixels: npt.NDArray[Any], white: int) -> npt.NDArray[np.uint16]:
    """Shares of white -> values up to the product's white. Raises ImageError for what is no share."""
    low, high = float(pixels.min()), float(pixels.max())  # NaN where there is one
    if not (low >= 0 and high <= 1):
        raise ImageError(
            "image_tensor_invalid", f"FP32 pixels are shares of white, 0 to 1; these go from {low:g} to {high:g}"
        )
    return np.rint(pixels * np.float32(white)).astype(np.uint16)


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise TooManyImages(f"the tensor holds {count} images; at most {most} are taken in one request")
