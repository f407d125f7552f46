"""A picture in, the same picture as a line might see it on another day out: light, focus, place, turn, compression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast, get_args

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.decode import Pixels

Change = Literal["light", "gamma", "blur", "shift", "turn", "jpeg"]
CHANGES: tuple[str, ...] = get_args(Change)
JPEG_QUALITY = 80
Perturbation = Callable[[Pixels], Pixels]


def _light(pixels: Pixels, factor: float) -> Pixels:
    return _like(pixels, pixels.astype(np.float32) * np.float32(factor))


def _gamma(pixels: Pixels, exponent: float) -> Pixels:
    white = np.float32(np.iinfo(pixels.dtype).max)
    return _like(pixels, white * (pixels.astype(np.float32) / white) ** np.float32(exponent))


def _blur(pixels: Pixels, sigma: float) -> Pixels:
    return cast(Pixels, cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


def _moved(pixels: Pixels, x: float, y: float, degrees: float = 0.0) -> Pixels:
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix[:, 2] += np.array([x, y])
    moved = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return cast(Pixels, moved)


def _jpeg(pixels: Pixels) -> Pixels:
    """Through JPEG and back; 16-bit pictures lose what JPEG cannot hold."""
    deep = pixels.dtype == np.uint16
    eight = (pixels // 257).astype(np.uint8) if deep else pixels
    _, encoded = cv2.imencode(".jpg", eight[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    back = decoded[:, :, ::-1]
    return cast(Pixels, back.astype(np.uint16) * 257 if deep else np.ascontiguousarray(back))


def _like(pixels: Pixels, values: npt.NDArray[np.float32]) -> Pixels:
    return cast(Pixels, np.clip(np.rint(values), 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype))


# What is done, by its name in a table, and the change that it belongs to. Shifts are in pixels of the picture's file.
PERTURBATIONS: Mapping[str, tuple[Change, Perturbation]] = {
    "brightness -10 %": ("light", lambda pixels: _light(pixels, 0.9)),
    "brightness +10 %": ("light", lambda pixels: _light(pixels, 1.1)),
    "gamma 0.9": ("gamma", lambda pixels: _gamma(pixels, 0.9)),
    "gamma 1.1": ("gamma", lambda pixels: _gamma(pixels, 1.1)),
    "blur, sigma 0.5": ("blur", lambda pixels: _blur(pixels, 0.5)),
    "blur, sigma 1": ("blur", lambda pixels: _blur(pixels, 1.0)),
    "shift of 2 px": ("shift", lambda pixels: _moved(pixels, 2, 2)),
    "turn by 1 degree": ("turn", lambda pixels: _moved(pixels, 0, 0, 1.0)),
    "JPEG, quality 80": ("jpeg", _jpeg),
}


def perturbations(changes: Sequence[Change]) -> list[Perturbation]:
    """Every perturbation of those changes."""
    return [perturb for change, perturb in PERTURBATIONS.values() if change in changes]
