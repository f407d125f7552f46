"""A camera's raw frame by its GenICam pixel format as an encoded picture.

Depths of 10 and 12 bits are shifted up to 16, so that white is the top of the range whatever the format: vendors' tools
save files that way too, and an artifact that has learnt its white level from such files judges live frames alike.
Colours are converted once. 8 bits become BMP, which takes no time to encode, 16 bits PNG.
"""

from __future__ import annotations

import re
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from service.gateway.codes import Code
from service.gateway.picture import PictureError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
NAME = re.compile(r"(Mono|BayerRG|BayerGR|BayerGB|BayerBG|RGB|BGR)(8|10|12|16)(Packed|p)?")
BAYER = {
    "BayerRG": cv2.COLOR_BayerRGGB2BGR,
    "BayerGR": cv2.COLOR_BayerGRBG2BGR,
    "BayerGB": cv2.COLOR_BayerGBRG2BGR,
    "BayerBG": cv2.COLOR_BayerBGGR2BGR,
}


def encode_frame(data: bytes | memoryview, width: int, height: int, pixel_format: str) -> tuple[bytes, str]:
    """The picture's bytes and media type. Raises PictureError(PICTURE_FORMAT) for what is not known."""
    pixels = to_pixels(data, width, height, pixel_format)
    if pixels.dtype == np.uint8:
        done, encoded = cv2.imencode(".bmp", pixels)
        media_type = "image/bmp"
    else:
        done, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        media_type = "image/png"
    if not done:
        raise PictureError(Code.PICTURE_FORMAT, f"a frame of {width} x {height} {pixel_format} cannot be encoded")
    return encoded.tobytes(), media_type


def to_pixels(data: bytes | memoryview, width: int, height: int, pixel_format: str) -> Pixels:
    """(H, W) grey or (H, W, 3) BGR, uint8, or uint16 with white at the top of 16 bits."""
    match = NAME.fullmatch(pixel_format)
    if match is None:
        raise PictureError(Code.PICTURE_FORMAT, f"the pixel format {pixel_format} is not known")
    kind, bits, packing = match[1], int(match[2]), match[3]
    channels = 3 if kind in ("RGB", "BGR") else 1
    count = width * height * channels
    raw = np.frombuffer(data, np.uint8)
    flat = _values(raw, count, bits, packing if bits in (10, 12) else None, pixel_format)
    if channels == 3:
        colours = flat.reshape(height, width, 3)
        return cast(Pixels, np.ascontiguousarray(colours[:, :, ::-1] if kind == "RGB" else colours))
    plane = flat.reshape(height, width)
    if kind not in BAYER:
        return cast(Pixels, plane)
    return cast(Pixels, cv2.cvtColor(plane, BAYER[kind]))


def _values(raw: npt.NDArray[np.uint8], count: int, bits: int, packing: str | None, name: str) -> Pixels:
    """`count` values, those of more than 8 bits shifted up to 16."""
    if bits == 8:
        return _enough(raw, count, name)
    if packing is None:
        values = _enough(raw, 2 * count, name).view("<u2").astype(np.uint16)
    elif packing == "p":
        values = _unpack_bits(_enough(raw, -(-count * bits // 8), name), count, bits)
    else:
        values = _unpack_pairs(_enough(raw, 3 * -(-count // 2), name), count, bits)
    return np.left_shift(values, 16 - bits)


def _enough(raw: npt.NDArray[np.uint8], size: int, name: str) -> npt.NDArray[np.uint8]:
    if raw.size < size:
        raise PictureError(Code.PICTURE_FORMAT, f"{raw.size} bytes are too few for {name}: {size} are needed")
    return raw[:size]


def _unpack_bits(raw: npt.NDArray[np.uint8], count: int, bits: int) -> npt.NDArray[np.uint16]:
    """Mono10p and Mono12p: one stream of bits, the lowest first."""
    stream = np.unpackbits(raw, bitorder="little")[: count * bits].reshape(count, bits)
    weights = (1 << np.arange(bits)).astype(np.uint16)
    values: npt.NDArray[np.uint16] = (stream * weights).sum(axis=1, dtype=np.uint16)
    return values


def _unpack_pairs(raw: npt.NDArray[np.uint8], count: int, bits: int) -> npt.NDArray[np.uint16]:
    """Mono10Packed and Mono12Packed of GigE Vision: two values in three bytes, their low bits in the middle one."""
    first, middle, last = (raw[place::3].astype(np.uint16) for place in range(3))
    low, mask = bits - 8, (1 << (bits - 8)) - 1
    values = np.empty(2 * first.size, np.uint16)
    values[0::2] = first << low | middle & mask
    values[1::2] = last << low | middle >> 4 & mask
    return values[:count]
