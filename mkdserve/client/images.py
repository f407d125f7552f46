"""What can be sent for judging: a file's bytes, a path, an array of pixels; each becomes a named part of a form.

A folder is one part with a file for each light, and goes as a tar of its files: one image, one verdict.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

TYPE = "application/octet-stream"  # the service looks at the bytes, never at the declared type


@dataclass(frozen=True)
class ImageFile:
    """The bytes of an image file with the name under which its result is to come back."""

    data: bytes
    name: str


Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
ImageInput = bytes | str | os.PathLike[str] | ImageFile | Pixels
Part = tuple[str, tuple[str, bytes, str]]


def parts(images: Sequence[ImageInput], field: str = "image") -> tuple[Part, ...]:
    """The parts of a multipart form, in order. Raises ValueError where an input is no image, OSError from reading."""
    files = [image_file(image, f"{number:03}") for number, image in enumerate(images)]
    return tuple((field, (file.name, file.data, TYPE)) for file in files)


def image_file(image: ImageInput, name: str) -> ImageFile:
    """`image` as a file; `name` is taken where it has none.

    A folder is sent as a tar of its files. An array is sent as PNG, without loss: (H, W) grey or (H, W, 3) RGB, uint8
    or uint16.
    """
    if isinstance(image, ImageFile):
        return image
    if isinstance(image, bytes | bytearray | memoryview):
        return ImageFile(bytes(image), name)
    if isinstance(image, np.ndarray):
        return ImageFile(png(image), f"{name}.png")
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        if path.is_dir():
            return ImageFile(tar_of(path), path.name)
        return ImageFile(path.read_bytes(), path.name)
    raise ValueError(f"{type(image).__name__} is no image: give bytes, a path, an ImageFile or an array")


def tar_of(folder: Path) -> bytes:
    """The files right inside a folder, hidden ones left out. Raises ValueError where there is none."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
    if not files:
        raise ValueError(f"{folder} holds no file: a part's folder has an image file for each light")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files:
            archive.add(file, file.name)
    return stream.getvalue()


def png(pixels: npt.NDArray[Any]) -> bytes:
    """(H, W) grey or (H, W, 3) RGB, uint8 or uint16, as a PNG file. Raises ValueError for anything else."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"an array of {pixels.dtype} is no image: scale it to uint8 or uint16 yourself")
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)) or 0 in pixels.shape:
        raise ValueError(f"an array of shape {pixels.shape} is no image: (H, W) is grey, (H, W, 3) is RGB")
    in_file = pixels if pixels.ndim == 2 else pixels[:, :, ::-1]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(in_file))
    if not done:
        raise ValueError(f"an array of shape {pixels.shape} cannot be written as PNG")
    return encoded.tobytes()
