"""Puts the files of one part together, one for each light, so that the core judges a part as it judges a picture.

Files with one folder in front of their names are a part where at least one of them is named by a light of the product;
files without a folder that are named by a light are one part together. Every other file is a part of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from models.imaging.channels import ChannelGroup
from models.imaging.stack import StackFile, as_stack
from service.inspection.encoded_image import EncodedImage


@dataclass
class _Part:
    """The files of a part, and whether they make one: a single file travels as it is."""

    name: str | None
    files: list[EncodedImage] = field(default_factory=list)

    def image(self) -> EncodedImage:
        return together(self.files, self.name)


def parts_of(images: Sequence[EncodedImage], groups: Sequence[ChannelGroup]) -> list[EncodedImage]:
    """One image for each part, in the order of their first files; a part of several files has its folder's name.

    What is wrong with the files of a part, as one that is missing, is found where they are decoded.
    """
    if not groups:
        return list(images)
    lights = {group.name.casefold() for group in groups}
    folders = {image.folder for image in images if image.folder is not None and names_light(image, lights)}
    found: list[_Part] = []
    by_folder: dict[str | None, _Part] = {}
    for image in images:
        together = image.folder in folders or (image.folder is None and names_light(image, lights))
        if together and image.folder in by_folder:
            by_folder[image.folder].files.append(image)
            continue
        part = _Part(image.folder if together else image.name, [image])
        found.append(part)
        if together:
            by_folder[image.folder] = part
    return [part.image() for part in found]


def together(files: Sequence[EncodedImage], name: str | None = None) -> EncodedImage:
    """The only file as it is, or the stack of all of them; the first error where one of them has one."""
    if len(files) == 1:
        return replace(files[0], name=name or files[0].name)
    error = next((file.error for file in files if file.error is not None), None)
    if error is not None:
        return EncodedImage(b"", name, error)
    named = (StackFile(file.name or f"file-{number}", file.data) for number, file in enumerate(files))
    return EncodedImage(as_stack(named), name)


def names_light(image: EncodedImage, lights: set[str]) -> bool:
    """Whether a file is named by one of the lights, given without regard to case."""
    return image.name is not None and PurePosixPath(image.name).stem.casefold() in lights
